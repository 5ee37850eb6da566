"""Explanations as terminal text, in 80 columns and readable without color."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from folk.evidence.audit.attestation import in_words
from folk.evidence.audit.explanation import (
    Change,
    ClaimExplanation,
    Explanation,
    FailureFacts,
    JobFacts,
    Part,
    PublishedFacts,
)
from folk.evidence.results.cells import Cell
from folk.evidence.results.verdicts import TO_DECIDE

_SHORT = 12  # digits of a digest; JSON has all of them
_SHOWN_FILES = 12
_SHOWN_CHANGES = 4
_AGREEMENT = {"same": "as today", "other": "not today's", "unknown": "today's unknown"}
_STATES = {
    "same": "re-hashed",
    "other": "OTHER BYTES",
    "missing": "missing",
    "elsewhere": "not here",
    "not read": "not hashed",
    "no digest": "no digest",
}
_EPOCHS = {
    "best": "of the best epoch",
    "last": "of the last epoch",
    "unknown": "of the best or the last epoch, which is not known",
}
Lines = Iterator[tuple[str, str]]


def narrate(found: Explanation | ClaimExplanation) -> RenderableType:
    """Render an explanation: contradictions first, then the facts, a chain and two lists."""
    chain: list[JobFacts] = []
    if isinstance(found, ClaimExplanation):
        name, facts = found.claim, _claim_lines(found)
    else:
        name, facts, chain = found.cell, cell_lines(found), found.chain
    parts: list[RenderableType] = [Text(name, style="bold")]
    parts += _listed("Contradicted", found.contradicted, "bold red")
    parts += [_grid(facts), Text()]
    if chain:
        parts.append(Text("Chain, makers before readers", style="bold"))
    for place, job in enumerate(chain, start=1):
        parts.append(Text(f"{place}. {job.name}", style="bold"))
        parts.append(Padding(_grid(job_lines(job)), (0, 0, 0, 3)))
    parts += [Text()] if chain else []
    parts += _listed("Established: re-checked just now", found.established, "bold green")
    parts += _listed("Not established: on trust", found.not_established, "bold yellow")
    return Group(*parts)


def narrate_cells(rows: Iterable[tuple[str, str, str, str]]) -> RenderableType:
    """Render every cell with its printed value, by table; a row is table, id, printed, verdict.

    Claims come as a table of their own.
    """
    grid = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    before = ""
    for table, cell, printed, verdict in rows:
        if table != before:
            grid.add_row(Text(table, style="bold"))
            before = table
        grid.add_row(Text(f"  {cell}"), Text(printed), Text(verdict))
    return grid


def in_one_line(found: Explanation | ClaimExplanation) -> str:
    """Summarize whether a cell or a claim holds, and the first reason why not."""
    if isinstance(found, ClaimExplanation):
        name, shown = found.claim, found.judged.verdict
        how = f"follows from {len(found.cells)} cells"
    else:
        name, how = found.cell, _how(found)
        shown = found.number.printed or found.number.published_printed or "-"
    if found.contradicted:
        more = len(found.contradicted) - 1
        return f"CONTRADICTED  {name}  {shown}  {found.contradicted[0]}" + (
            f" (and {more} more)" if more else ""
        )
    return f"holds  {name}  {shown}  {how}"


def _how(found: Explanation) -> str:
    parts = [part for run in found.runs for part in run.parts]
    again = sum(1 for part in parts if part.derived is not None)
    how = f"derived again from stored predictions, {again} of {len(parts)} evaluations"
    if again == 0:
        how = "stated by its job; not derivable from stored predictions"
    if found.number.value is None:
        how = "a published number" if found.number.quoted else f"no number: {found.number.note}"
    return how


def _claim_lines(found: ClaimExplanation) -> Lines:
    claim = found.judged
    yield "claim", claim.says
    yield "kind", claim.kind
    for cell in found.cells:
        printed = f"{cell.number.printed} {cell.number.unit}".strip() or "no number"
        holds = "holds" if cell.holds else "CONTRADICTED"
        yield "reads", f"{cell.cell}: {printed}, n = {cell.number.n}; {holds}"
    for step in claim.steps:
        printed = f"{step.printed} {claim.unit}".strip() or "none"
        yield "step", f"{step.above} over {step.below}: {printed}"
        if step.printed_interval:
            yield "", f"{100 * claim.confidence:.0f} % interval {step.printed_interval}"
    if claim.margin is not None:
        yield "margin", f"± {claim.margin:g} {claim.unit}".strip()
    if claim.published_id is not None:
        printed = f"{claim.published_printed}: " if claim.published_printed else ""
        yield "published", f"{printed}{claim.published_source}"
        yield "", f"{claim.published_certainty}: {found.certainty_means}"
    yield "verdict", f"{claim.verdict}: {found.rule}"
    if claim.printed_seeds_to_decide:
        yield "", f"{claim.printed_seeds_to_decide} seeds in each row would decide it: {TO_DECIDE}"
    yield "frozen", found.frozen
    if claim.note:
        yield "note", claim.note


def cell_lines(found: Explanation) -> Lines:
    """Yield label and text of each fact of a cell but its chain; "" is the label before."""
    cell = found.number
    yield "table", f"{found.title}: {found.row}, {found.column}"
    if not cell.quoted:
        printed = f"{cell.printed} {cell.unit}".strip() or "none"
        yield "value", f"{printed}, n = {cell.n}"
        for seed, value in zip(_seed_names(cell), cell.printed_seeds, strict=True):
            yield "seeds", f"{seed}: {value}"
        if cell.printed_std_finetune:
            yield "spread", f"of fine-tuning (within a run) {cell.printed_std_finetune}"
        if cell.printed_std_pretrain:
            yield "spread", f"of pre-training (between runs) {cell.printed_std_pretrain}"
        if cell.printed_low:
            yield "95 %", f"interval over seeds {cell.printed_low} to {cell.printed_high}"
        if cell.printed_boot_low:
            between = f"{cell.printed_boot_low} to {cell.printed_boot_high}"
            yield "95 %", f"bootstrap over images, these seeds {between}"
        yield "formula", cell.formula
        for run in found.runs:
            for part in run.parts:
                yield "from", f"{part.name}: {_part_line(part)}"
    if cell.note:
        yield "note", cell.note
    if found.published is not None:
        yield from _published(found.published, cell)
    if cell.verdict is not None:
        yield "verdict", f"{cell.verdict}: {found.rule}"
    for claim in found.claims:
        verdict = f"; {claim.verdict}" if claim.verdict else ""
        yield "claim", f"{claim.name} ({claim.kind}) rests on it: {claim.says}{verdict}"
    counted = [each for each in found.reruns if each.word == "ok"]
    if counted:
        yield "again", in_words([each.attestation for each in counted])
        yield from (("", each.says) for each in counted)
    for failure in found.failures:
        yield "failed", _failure_line(failure)


def _seed_names(cell: Cell) -> list[str]:
    if not cell.finetune_seeds:
        return [f"seed {seed}" for seed in cell.seeds]
    pairs = zip(cell.seeds, cell.finetune_seeds, strict=True)
    return [f"seed {seed}, fine-tuning seed {again}" for seed, again in pairs]


def _part_line(part: Part) -> str:
    """Format the number of one evaluation from its job, and from its predictions."""
    if part.status != "ok":
        return part.status
    stated, derived = part.stated, part.derived
    again = "not derivable from stored files" if derived is None else f"derived again {derived:.6g}"
    return f"stated {'nothing' if stated is None else f'{stated:.6g}'}, {again}"


def _failure_line(failure: FailureFacts) -> str:
    """Format a failed or interrupted job, and whether a later start completed."""
    later = "; a later start finished" if failure.completed_later else ""
    what = f"{failure.name}, {failure.outcome} {failure.started[:19]}"
    return f"{what}: {failure.reason}{later} ({failure.record})"


def _published(found: PublishedFacts, cell: Cell) -> Lines:
    number, paper = found.number, found.paper
    margin = "" if number.margin is None else f", margin ± {number.margin:g}"
    yield "published", f"{number.printed or 'not seen by us'} {number.unit}{margin}".strip()
    arxiv = f", arXiv {paper.arxiv}" if paper.arxiv else ""
    place = ", ".join(filter(None, (number.table, number.row, number.column)))
    yield "", f"{paper.title} ({paper.venue}{arxiv}), {place}"
    yield "", f"{number.certainty}: {found.certainty_means}; {number.source}"
    if number.note:
        yield "", number.note
    if number.printed is not None and cell.metric.endswith(("_best", "_last")):
        yield "", _EPOCHS[number.epoch]


def job_lines(job: JobFacts) -> Lines:
    """Yield label and text of each fact of a job; see `cell_lines`."""
    record, recipe = job.job.record, job.recipe
    yield "record", f"{job.job.id[:_SHORT]} {job.record}"
    for start in job.starts:
        yield "start" if start["reason"] != "finished" else "ran", _start_line(start)
    based = f", based on {recipe.base}" if recipe.base else ""
    count = len(record["recipe"].get("assume") or {})
    assumed = f"; {count} values without a source" if count else ""
    file = recipe.file or record["recipe_digest"][:_SHORT]
    yield "recipe", f"{file}{based}; {_AGREEMENT[recipe.today]}{assumed}"
    for title, found in (
        ("edited since", recipe.edited),
        ("set by the study", recipe.by_study),
        ("over the base", recipe.over_base),
    ):
        if found:
            yield "", f"{title}: {_changes_line(found)}"
    code, installed = record["code"], record["environment"]
    version = f", version {code['version']}" if "version" in code else ""
    commit = f"commit {code['commit'][:_SHORT]}" if code["commit"] else f"no commit{version}"
    yield "code", f"{code['fingerprint'][:_SHORT]} {_AGREEMENT[job.code]}; {commit}"
    if job.job.diff is not None:
        yield "", f"with uncommitted changes, {job.uncommitted}: {job.job.diff}"
    lock = installed["lock_sha256"]
    text = f"{lock[:_SHORT]} {_AGREEMENT[job.lock]}" if lock else "none"
    torch = installed["packages"].get("torch")
    yield "lock", f"{text}; Python {installed['python']}, torch {torch}"
    for verb, files in (("read", job.inputs), ("made", job.outputs)):
        yield from ((verb, line) for line in _files(files))
    for problem in job.problems:
        yield "problem", problem


def _start_line(start: Mapping[str, Any]) -> str:
    """Format time, host, device and end of a start."""
    node = f", node {start['node']}" if start["node"] else ""
    slurm = f", SLURM job {start['job_id']}" if start["job_id"] else ""
    device = ", ".join(start["gpus"]) or start["cpu"] or "unknown processor"
    step = "" if start["last_step"] is None else f", got to step {start['last_step']}"
    other = [what for what in ("code", "lock", "geometry") if not start[f"same_{what}"]]
    ended = f" to {start['ended'][:19]}" if start["ended"] else ""
    parts = [start["why"] or "", f"SLURM: {start['slurm_state']}" if start["slurm_state"] else ""]
    why = "; ".join(filter(None, parts))
    end = "".join([start["reason"], f" ({why})" if why else "", step])
    where = f"{start['started'][:19]}{ended} UTC on {start['host']}{node}{slurm}, {device}"
    others = "".join(f"; other {what}" for what in other)
    return f"{where}{_spread(start['geometry'])}; {end}{others}"


def _spread(geometry: Mapping[str, Any] | None) -> str:
    """Format the geometry of a start with several processes."""
    if geometry is None or geometry["world_size"] == 1:
        return ""
    nodes, processes = geometry["nodes"], geometry["processes"]
    if nodes == 1:
        return f", {processes} processes"
    return f", {nodes} nodes x {processes} processes ({', '.join(geometry['node_list'])})"


def _files(files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each file; a full-size data set has hundreds, so only the first ones."""
    states = {file["state"] for file in files}
    for file in files[:_SHOWN_FILES]:
        yield _file_line(file) + ("" if len(states) == 1 else f" {_STATES[file['state']]}")
    if (more := len(files) - _SHOWN_FILES) > 0:
        yield f"and {more} more, listed in the record"
    if len(states) == 1:
        yield f"{'all ' if len(files) > 1 else ''}{_STATES[states.pop()]}"


def _file_line(file: Mapping[str, Any]) -> str:
    """Format a file with its recorded digest."""
    # Files of the study are identified by their maker, external files by their path.
    outside = "record" in file and file["record"] is None
    digest = f" {file['sha256'][:_SHORT]}" if file["sha256"] else ""
    origin = f" of record {file['record'][:_SHORT]}" if file.get("record") else ""
    official = ""
    if file["name"].startswith("archive "):
        known = "its makers' md5" if file["official_md5"] == file["md5"] else "NOT its makers' md5"
        official = f" ({known if file['official_md5'] else 'no md5 of its makers known'})"
    return f"{file['path'] if outside else file['name']}{digest}{origin}{official}"


def _changes_line(found: list[Change]) -> str:
    """Format the first few changed values of a recipe, and the number of others."""
    shown = [f"{c.key} {_value(c.before)} -> {_value(c.after)}" for c in found[:_SHOWN_CHANGES]]
    more = len(found) - _SHOWN_CHANGES
    return "; ".join(shown) + (f"; {more} more" if more > 0 else "")


def _value(value: Any) -> str:
    return "none" if value is None else str(value)


def _grid(lines: Lines) -> Table:
    grid = Table(box=None, padding=(0, 1, 0, 0), show_header=False, pad_edge=False)
    grid.add_column(no_wrap=True, min_width=9)
    grid.add_column(overflow="fold")
    before = None
    for label, text in lines:
        # Do not repeat a label on the next line.
        grid.add_row(Text("" if label == before else label, style="dim"), Text(text))
        before = label or before
    return grid


def _listed(title: str, sentences: list[str], style: str) -> Iterator[RenderableType]:
    if not sentences:
        return
    yield Text(title, style=style)
    grid = Table(box=None, padding=(0, 1, 0, 0), show_header=False, pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for sentence in sentences:
        grid.add_row(Text("-"), Text(sentence))
    yield Padding(grid, (0, 0, 0, 1))
