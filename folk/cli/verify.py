"""Command `verify`, which audits a whole study."""

import json
import secrets
from collections import Counter
from pathlib import Path, PurePath
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from folk.cli.read import PublishedFile, Results, StudyFile, effective_study, from_here
from folk.evidence.audit.findings import RULES, WRONG, Verification
from folk.evidence.core.errors import InputError, printable
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES

_COLORS = {"behind": "yellow", "adopted": "cyan", "ok": "green"}
_SHOWN_CELLS = 4
WORDS = "\n\n".join(
    [
        *(f"{word}: {rule}." for word, rule in RULES.items()),
        f"The audit fails for {', '.join(WRONG)}, unless it is only a remark. Status: 0 nothing is "
        "wrong, 1 something is, 2 invalid input.",
    ]
)


def verify(
    study: StudyFile,
    results: Results = Path("results"),
    published: PublishedFile = Path("config/published"),
    sample: Annotated[
        int | None,
        typer.Option(min=0, help="read only so many of the files above 1 MiB, chosen by --seed"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="chooses the files of --sample and the segments of --replay",
            show_default="0; for --replay a new one, which is printed",
        ),
    ] = None,
    deep: Annotated[
        list[str],
        typer.Option(
            help="run again the evaluations behind a cell (table/row/column), or one evaluation "
            "(run/evaluation), and compare predictions; needs torch",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    replay: Annotated[
        list[str],
        typer.Option(
            help="run parts of a training again, from states that it kept, and compare: a run, or "
            "a run/evaluation; needs torch",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer copies it
    segments: Annotated[
        int, typer.Option(min=1, help="parts that --replay draws, of those between kept states")
    ] = 3,
    signers: Annotated[
        Path | None,
        typer.Option(help="ssh's allowed signers: only their attestations count"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Check every file and every number of a finished study.

    Hashes every file, recomputes every cell and reports every mismatch. Writes nothing; trusts no
    time stamp and no cache.
    """
    from folk.cli.recipes_today import recipes_today
    from folk.cli.sources_today import sources_today
    from folk.evidence.audit.checks.files import Sample
    from folk.evidence.audit.replay import Draw
    from folk.evidence.audit.verify import verify as audit

    try:
        named, path = effective_study(study, results)
    except InputError:  # of study.yaml, which is a finding; or of this file, as before
        named, path = load_study(study, STAGES), from_here(study)
    found = audit(
        named,
        path,
        from_here(results) / named.name,
        from_here(published),
        recipes_today(named, path),
        source_files=sources_today(named, named.recipe_folder(path)),
        sample=None if sample is None else Sample(sample, seed or 0),
        deep=deep,
        # Nobody who made the results can know a new seed.
        replay=Draw(tuple(replay), segments, secrets.randbelow(2**32) if seed is None else seed)
        if replay
        else None,
        signers=signers,
    )
    if as_json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(found)
    if found.wrong:
        raise typer.Exit(1)


def _show(found: Verification) -> None:
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in found.findings:
        color = _COLORS.get(finding.word, "red" if finding.wrong else "yellow")
        word = f"[{color}]{finding.word}[/]" + (" [dim](remark)[/]" if finding.remark else "")
        cells = ", ".join(finding.cells[:_SHOWN_CELLS])
        more = len(finding.cells) - _SHOWN_CELLS
        cells += f" and {more} more" if more > 0 else ""
        reaches = f"\n[dim]reaches {escape(cells)}[/]" if cells else ""
        place = printable(finding.place).replace("\n", r"\n")
        table.add_row(word, f"{escape(place)}: {escape(printable(finding.says))}{reaches}")
    console.print(table)
    done = found.checked
    console.print(
        f"[green]ok[/]  {done.files} files re-hashed ({_size(done.bytes_read)} read), "
        f"{done.records} records, {done.cells} cells derived again"
    )
    if done.not_read:
        console.print(f"not read, only their sizes compared: {len(done.not_read)} files:")
        for place in done.not_read:
            console.print(f"  {printable(place)}", markup=False)
    if done.elsewhere:
        names = Counter(PurePath(place).name for place in done.elsewhere)
        listed = ", ".join(f"{count} {name}" for name, count in names.most_common())
        console.print(
            f"not checked: {len(done.elsewhere)} files that git does not hold ({listed}); "
            "--json lists the sha256 that each must have",
            markup=False,
        )
    for sentence in done.not_checked:
        console.print(f"not checked: {sentence}", markup=False)
    if found.wrong:
        reached = {cell for finding in found.wrong for cell in finding.cells}
        console.print(f"[red]{len(found.wrong)} findings[/], {len(reached)} cells reached")
    else:
        console.print(f"Nothing is wrong with {found.study}.")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
