"""Check of tables, page and figures by making them again.

These files are in no record. Tables are made again from the cells; all else by rendering the whole
report in a temporary copy of the study's folder.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from folk.evidence.audit.checks.cells import CELLS_NAME, Derived
from folk.evidence.audit.checks.page import PageToday
from folk.evidence.audit.findings import Finding, Word
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import sha256_or_none
from folk.evidence.core.json_file import read_json
from folk.evidence.record.adopted import ADOPTED_NAME
from folk.evidence.report.chains import Tell
from folk.evidence.report.tables import (
    CellView,
    RowView,
    TableView,
    render_csv,
    render_latex,
    render_markdown,
    table_views,
)
from folk.evidence.results.published import published_files

_RENDERERS = {"md": render_markdown, "tex": render_latex, "csv": render_csv}
_SEPARATOR = {"md": "|", "tex": "&", "csv": ","}


def check_products(
    subject: Subject, derived: Derived, page: PageToday, code_moved: bool
) -> Iterator[Finding]:
    """Check tables, page, figures and the summary of metrics.

    Args:
        subject: the study.
        derived: its cells.
        page: today's stories of the page.
        code_moved: True if code or environment have changed since.
    """
    judge = _Judge(subject, derived, code_moved)
    yield from judge.cells()
    yield from _tables(subject, derived, judge)
    yield from _report(subject, derived, page, judge)
    yield from _summaries(subject)
    yield from judge.rest()


class _Judge:
    """Verdicts on products that do or do not match when made again."""

    def __init__(self, subject: Subject, derived: Derived, code_moved: bool) -> None:
        self._subject = subject
        self._derived = derived
        self._study_moved = any(finding.word == "stale" for finding in derived.findings)
        self._code_moved = code_moved
        self._sealed = dict(subject.seal.files) if subject.seal is not None else {}

    def cells(self) -> Iterator[Finding]:
        """Check the seal of cells.parquet, whose values were compared before."""
        path = self._subject.results / CELLS_NAME
        if path.is_file():
            same = not self._derived.findings
            accused = {cell for finding in self._derived.findings for cell in finding.cells}
            yield from self.of(path, same, tuple(sorted(accused)))

    def of(
        self, path: Path, same: bool | None, cells: tuple[str, ...], says: str = ""
    ) -> Iterator[Finding]:
        """Yield a finding for `path`, or none; `same` is None if it could not be made again."""
        sealed = self._sealed.pop(path.as_posix(), None)
        as_sealed = None if sealed is None else sha256_or_none(path) == sealed
        word: Word
        if same:
            if as_sealed is not False:
                return
            word, says = "stale", "made again after the seal; seal the study again"
        elif as_sealed is False:
            word, says = "tampered", f"other bytes than were sealed{': ' if says else ''}{says}"
        elif same is None:
            if as_sealed is None:
                why = "the evidence behind it is broken, so it was not made again; no seal names it"
                self._subject.not_checked.append(f"{path.as_posix()}: {why}")
            return
        elif path.name == CELLS_NAME:
            return  # each cell was reported
        elif self._study_moved:
            word, says = "stale", f"made before study or published numbers were changed: {says}"
        elif as_sealed:
            word, says = "behind", f"as it was sealed; today's code makes another: {says}"
        elif self._code_moved:
            word, says = "stale", f"code or environment moved since; run `report` again: {says}"
        else:
            word = "tampered"
        yield Finding(word, path.as_posix(), says, cells)

    def of_checks(
        self, path: Path, cells: tuple[str, ...], says: str, may_differ: bool
    ) -> Iterator[Finding]:
        """Yield the finding for a page that differs only in its checks."""
        sealed = self._sealed.get(path.as_posix())
        if sealed is not None and sha256_or_none(path) != sealed:
            yield from self.of(path, False, cells, says)
            return
        self._sealed.pop(path.as_posix(), None)
        if sealed is None and not may_differ:
            says = f"today's check of its chains says otherwise; run `report` again: {says}"
            yield Finding("stale", path.as_posix(), says, cells)

    def rest(self) -> Iterator[Finding]:
        """Check sealed results without a finding so far."""
        for name, sha256 in sorted(self._sealed.items()):
            path = Path(name)
            # Study, recipes and published numbers are outside: they are compared by value.
            if self._subject.results not in path.parents:
                continue
            if not path.is_file():
                yield Finding("missing", name, "sealed, but missing")
            elif sha256_or_none(path) != sha256:
                yield Finding("tampered", name, "other bytes than were sealed")


def _tables(subject: Subject, derived: Derived, judge: _Judge) -> Iterator[Finding]:
    cells = derived.trusted
    if not {cell.id for cell in cells} >= {*derived.today, *derived.broken}:
        return  # cells.parquet is missing or of another study: reported before
    for view in table_views(subject.study, cells, derived.published):
        for form, render in _RENDERERS.items():
            path = subject.results / "tables" / f"{view.name}.{form}"
            ids = tuple(cell.id for cell in _views(view.rows))
            if not path.is_file():
                yield Finding("missing", path.as_posix(), "missing; run `report`", ids)
                continue
            found, expected = _text(path), render(view)
            reached, says = _difference(view, form, expected, found)
            yield from judge.of(path, found == expected, reached or ids, says)


def _difference(
    view: TableView, form: str, expected: str, found: str
) -> tuple[tuple[str, ...], str]:
    """Find the cells whose fields differ between two texts of a table, and the first such field."""
    lines = list(zip(expected.splitlines(), found.splitlines(), strict=False))
    reached: list[str] = []
    said = ""
    for line, other in lines:
        if line == other:
            continue
        pairs = zip(line.split(_SEPARATOR[form]), other.split(_SEPARATOR[form]), strict=False)
        fields = [(a.strip(), b.strip()) for a, b in pairs if a != b]
        said = said or next((f"expected '{a}', got '{b}'" for a, b in fields), "")
        reached += _cells_of_line(view, line, [a for a, _ in fields])
    return tuple(dict.fromkeys(reached)), said or "its text differs"


def _cells_of_line(view: TableView, line: str, fields: list[str]) -> list[str]:
    cells = [cell for cell in _views(view.rows) if f"{cell.id}," in line]  # CSV names them
    if cells:
        return [cell.id for cell in cells]
    cells = _views([row for row in view.rows if row.label in line])
    shown = [c for c in cells if any(c.ours in f or c.published in f for f in fields)]
    return [cell.id for cell in shown or cells]


def _views(rows: Sequence[RowView]) -> list[CellView]:
    return [cell for row in rows for cell in row.cells if cell is not None]


def _report(
    subject: Subject, derived: Derived, today: PageToday, judge: _Judge
) -> Iterator[Finding]:
    """Check the page, the figures and all other files of the report by making them again."""
    every = tuple(subject.plan.cell_ids)
    page = subject.results / "report.html"
    if not page.is_file():
        yield Finding("missing", page.as_posix(), "missing; run `report`", every)
    if derived.broken or derived.tampered:
        yield from judge.of(page, None, ())
        return
    for path, expected in _made_again(subject, today.tell).items():
        done_before = path.name == CELLS_NAME or path.parent.name == "tables"
        if done_before or (path == page and not page.is_file()):
            continue
        if not path.is_file():
            yield Finding("missing", path.as_posix(), "missing; run `report`")
        elif path.suffix == ".parquet":
            yield from judge.of(path, _same_table(expected, path.read_bytes()), every)
        elif path == page:
            yield from _page(subject, derived, today, judge, expected)
        else:
            yield from judge.of(path, path.read_bytes() == expected, (), "its bytes differ")


def _made_again(subject: Subject, tell: Tell) -> dict[Path, bytes]:
    """Render the report in a folder of links to the study's files, and return its files.

    The page of an adopted study may have been rendered before or after the adoption, which it
    mentions; the matching rendering is returned.
    """
    first = _rendered(subject, tell, without=ADOPTED_NAME)
    page = subject.results / "report.html"
    if first.get(page) == page.read_bytes() or not (subject.results / ADOPTED_NAME).is_file():
        return first
    return _rendered(subject, tell, without="")


def _rendered(subject: Subject, tell: Tell, without: str) -> dict[Path, bytes]:
    from folk.evidence.report.render import render_report

    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="folk-verify-") as name:
        copy = Path(name)
        for folder, _, files in os.walk(subject.results):
            if files:  # an empty folder may have the name of the report's file
                (copy / folder).mkdir(parents=True, exist_ok=True)
            for file in files:
                if file != without:
                    (copy / folder / file).symlink_to(here / folder / file)
        for path in (subject.study_path, *published_files(subject.published)):
            if not path.is_absolute() and subject.results not in path.parents:
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                (copy / path).symlink_to(here / path)
        # Paths on the page are relative to the folder that the report runs in.
        with contextlib.chdir(copy):
            written = render_report(
                subject.study,
                subject.study_path,
                subject.results,
                subject.published,
                choices=subject.choices,
                tell=tell,
            )
        return {path: (copy / path).read_bytes() for path in written}


def _page(
    subject: Subject, derived: Derived, today: PageToday, judge: _Judge, expected: bytes
) -> Iterator[Finding]:
    page = subject.results / "report.html"
    made, found = expected.decode("utf-8"), _text(page)
    for path in (subject.study_path, *published_files(subject.published)):
        # The page prints digests of both files. Their values are compared elsewhere; a comment
        # changes the digest but no value.
        digest = sha256_or_none(path) or ""
        if digest not in found:
            line = next((x for x in made.splitlines() if digest in x), "")
            form = re.escape(line).replace(digest, "[0-9a-f]{64}")
            former = next((x for x in found.splitlines() if line and re.fullmatch(form, x)), None)
            made = made if former is None else made.replace(line, former)
    reached, says = _lines_that_differ(derived, made, found)
    if found != made and today.only_checked(made, found):
        yield from judge.of_checks(page, reached, says, today.may_differ)
    else:
        yield from judge.of(page, found == made, reached, says)


def _lines_that_differ(derived: Derived, expected: str, found: str) -> tuple[tuple[str, ...], str]:
    """Find the cells whose printed number is lost from a page, and the first line that differs."""
    pairs = zip(expected.splitlines(), found.splitlines(), strict=False)
    differ = [(line, other) for line, other in pairs if line != other]
    lost = [
        cell.id
        for cell in derived.today.values()
        if any(cell.printed in a and cell.printed not in b for a, b in differ)
    ]
    if not differ:
        return tuple(derived.today), "its length changed"
    one, other = differ[0]
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    near = slice(max(start - 20, 0), start + 20)
    says = f"expected '{_plain(one[near])}', got '{_plain(other[near])}'"
    return tuple(lost) or tuple(derived.today), says


def _summaries(subject: Subject) -> Iterator[Finding]:
    """Check metrics/<run>.json, the summary of the run's metrics.json files."""
    measured: dict[str, dict[str, dict[str, float]]] = {}
    folders: dict[str, list[Path]] = {}
    for path, job in subject.planned.items():
        stage, run, *evaluation = path.parent.relative_to(subject.results).parts
        key = "/".join(evaluation) or stage
        measured.setdefault(run, {})[key] = job.record["metrics"]
        folders.setdefault(run, []).append(path.parent)
    for path in sorted((subject.results / "metrics").glob("*.json")):
        of_run = measured.get(path.stem, {})
        try:
            said = read_json(path, "render the report again")
            wrong = [
                f"{key}.{name}"
                for key, numbers in said.items()
                for name, value in numbers.items()
                if of_run.get(key, {}).get(name) != value
            ]
        except (ValueError, AttributeError, TypeError):
            wrong = ["its form"]
        if wrong:
            says = f"{', '.join(wrong[:3])} differs from the records"
            cells = subject.plan.cells(*folders.get(path.stem, ()))
            yield Finding("tampered", path.as_posix(), says, cells)


def _same_table(expected: bytes, found: bytes) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(found)).read()
    except (OSError, ValueError, pa.ArrowException):
        return False  # incomplete table
    return bool(table.equals(pq.ParquetFile(pa.BufferReader(expected)).read()))


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>?", " ", text)).strip()
