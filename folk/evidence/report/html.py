"""The report as one offline page: tables first, and the origin of each number."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from folk import __version__
from folk.evidence.core.canonical import chain_digest
from folk.evidence.core.errors import InputError
from folk.evidence.record.adopted import read_adopted
from folk.evidence.report.assumptions import Assumption
from folk.evidence.report.canvas import inline
from folk.evidence.report.chains import CellStory, Stories, jobs_of
from folk.evidence.report.claim_views import ClaimView
from folk.evidence.report.drawing import Drawing, NotDrawn
from folk.evidence.report.escape import html_templates
from folk.evidence.report.tables import CellView, TableView, scatter_text
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence, Failure
from folk.evidence.results.published import Published
from folk.evidence.results.verdicts import CLAIM_RULES, RULES
from folk.evidence.study.study import Study

_EPOCHS = {
    "best": "Of the best epoch.",
    "last": "Of the last epoch.",
    "unknown": "Of the best or the last epoch, which is not known.",
}
_SHORT = 12  # characters of a digest that a person compares


@dataclass(frozen=True)
class Proof:
    """Content of the panel of one cell."""

    id: str
    anchor: str
    title: str
    ours: str
    unit: str
    interval: str
    bootstrap: str
    scatter: str  # parts of the deviation, if runs were fine-tuned several times
    formula: str
    seeds: list[tuple[str, str]]
    parents: list[tuple[str, str]]  # record path and id
    published: str
    published_place: str
    published_source: str
    verdict: str
    verdict_class: str
    rule: str
    note: str
    story: CellStory


@dataclass(frozen=True)
class Facts:
    """Footer of the page: (name, value) of digests, commits and records."""

    rows: list[tuple[str, str]]
    commit: str  # empty if the records do not have a single commit
    chain: str  # digest of all records


def render_html(
    study: Study,
    study_path: Path,
    tables: Sequence[TableView],
    claims: Sequence[ClaimView],
    drawings: Sequence[Drawing],
    not_drawn: Sequence[NotDrawn],
    assumptions: Sequence[Assumption],
    failures: Sequence[Failure],
    facts: Facts,
    published: Published,
    stories: Stories,
) -> str:
    """Render the whole page."""
    views = [view for table in tables for row in table.rows for view in row.cells if view]
    cells = [view.cell for view in views if not view.cell.quoted]
    return (
        html_templates()
        .get_template("report.html.jinja")
        .render(
            study=study,
            study_path=study_path.as_posix(),
            tables=tables,
            proofs={
                table.name: [
                    _proof(view, f"{row.label}, {column.label}", published, stories)
                    for row in table.rows
                    for view, column in zip(row.cells, table.columns, strict=True)
                    if view is not None
                ]
                for table in tables
            },
            jobs=jobs_of(stories),
            contradicted=[(id_, s) for id_, story in stories.items() for s in story.contradicted],
            papers=[paper for paper in published.papers.values() if paper.arxiv and paper.authors],
            version=__version__,
            claims=claims,
            claim_rules=[(c.kind, list(CLAIM_RULES[c.rules].items())) for c in _one_a_kind(claims)],
            anchor=anchor,
            verdict_class=verdict_class,
            figures=[
                (d.name, d.title, d.caption, Markup(inline(d.svg, d.name, f"{d.title}. {d.seen}")))
                for d in drawings
            ],
            not_drawn=not_drawn,
            assumptions=assumptions,
            assumed={t.name: [a for a in assumptions if t.name in a.tables] for t in tables},
            failures=failures,
            empty=[cell for cell in cells if cell.is_missing],
            num_cells=len(cells),
            num_runs=len(list(study.runs())),
            rules=list(RULES.items()),
            compared=any(cell.verdict for cell in cells),
            facts=facts,
        )
    )


def anchor(cell_id: str) -> str:
    """Return the id of the element with a cell's origin."""
    return "evidence-" + cell_id.replace("/", ".")


def verdict_class(word: str) -> str:
    """Return the CSS class of a verdict."""
    return "verdict-" + word.split("(")[0].strip().replace(" ", "-")


def _one_a_kind(claims: Sequence[ClaimView]) -> list[ClaimView]:
    return list({claim.kind: claim for claim in claims}.values())


def collect_facts(evidence: Evidence, digests: Sequence[tuple[str, str]]) -> Facts:
    """Collect the caller's digests, and code and environment of all records."""
    commits, locks, ends, count = set(), set(), [], 0
    for path, record in evidence.records():
        count += 1
        code, environment = record.get("code") or {}, record.get("environment") or {}
        if not isinstance(code, dict) or not isinstance(environment, dict):
            raise InputError(f"{path}: invalid record; restore it, or run that job again")
        if code.get("commit"):
            dirty = " with uncommitted changes" if code.get("dirty") else ""
            commits.add(f"{code['commit']}{dirty}")
        if environment.get("lock_sha256"):
            locks.add(str(environment["lock_sha256"]))
        if record.get("ended"):
            ends.append(str(record["ended"]))
    rows = [(name, value) for name, value in digests]
    rows += [("commit", commit) for commit in sorted(commits)]
    rows += [("requirements.lock", lock) for lock in sorted(locks)]
    finished, failed = evidence.record_ids()
    rows += [("records", str(count))]
    adopted = sum(finished.get(path) == id_ for path, id_ in read_adopted(evidence.results).items())
    if adopted:
        rows += [("adopted, not computed here", f"{adopted} of {count} records")]
    rows += [("records of failed or interrupted jobs", str(len(failed)))] if failed else []
    chain = chain_digest(finished, failed)
    rows += [("chain of all records", chain)]
    rows += [("last record ended", max(ends))] if ends else []
    commit = commits.pop().split()[0] if len(commits) == 1 else ""
    return Facts(rows=rows, commit=commit, chain=chain)


def _proof(view: CellView, title: str, published: Published, stories: Stories) -> Proof:
    cell = view.cell
    number = published.numbers.get(cell.published_id or "")
    known = number is not None and number.printed is not None
    ids = [found[:_SHORT] if found else "no record" for found in cell.parent_ids]
    place = source = ""
    if number is not None:
        paper = published.papers[number.paper]
        venue = f"{paper.venue}, arXiv {paper.arxiv}" if paper.arxiv else paper.venue
        place = f"{paper.title} ({venue}), {number.table}, {number.row}, {number.column}"
        meaning = published.certainty[number.certainty]
        source = f"Known as {number.certainty} ({meaning}). Source: {number.source}."
        source += f" {number.note[:1].upper()}{number.note[1:]}." if number.note else ""
        if known and number.margin is not None:
            source += f" Margin ± {number.margin:g}, fixed before any run."
        if known and cell.metric.endswith(("_best", "_last")):
            source += f" {_EPOCHS[number.epoch]}"
    return Proof(
        id=cell.id,
        anchor=anchor(cell.id),
        title=title,
        ours=view.ours,
        unit="" if cell.quoted else cell.unit,
        interval=f"{cell.printed_low} to {cell.printed_high}" if cell.printed_low else "",
        bootstrap=f"{cell.printed_boot_low} to {cell.printed_boot_high}"
        if cell.printed_boot_low
        else "",
        formula=cell.formula,
        scatter=scatter_text(cell),
        seeds=list(zip(_seed_names(cell), cell.printed_seeds, strict=True)),
        parents=list(zip(cell.parents, ids, strict=True)),
        published=view.published if known else "",
        published_place=place,
        published_source=source,
        verdict=view.verdict,
        verdict_class=verdict_class(view.verdict),
        rule=next((rule for word, rule in RULES.items() if word == cell.verdict), ""),
        note=cell.note,
        story=stories.get(cell.id, CellStory()),
    )


def _seed_names(cell: Cell) -> list[str]:
    if not cell.finetune_seeds:
        return [str(seed) for seed in cell.seeds]
    pairs = zip(cell.seeds, cell.finetune_seeds, strict=True)
    return [f"{seed}, fine-tuning seed {again}" for seed, again in pairs]
