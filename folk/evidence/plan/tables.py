"""A plan as tables for a terminal."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from folk.evidence.plan.figures import BOUND, ESTIMATE, NOT_COUNTED, SCALED, Figure
from folk.evidence.plan.jobs import Plan, Sum, hours_of_chain

_MEANINGS = {
    BOUND: "≤  never measured: the runtime that the study asks for",
    SCALED: "~  hours: the timed steps of `cost`, without reading images, over all GPUs alike",
    ESTIMATE: "~  disk: 4 bytes a weight of an encoder, and a number of a state kept for replays; "
    "scenes as raw pixels, archives whole",
    NOT_COUNTED: "≥  disk: predictions, histories, missing archives and, without torch, weights "
    "are not in it",
}


def plan_tables(plan: Plan) -> RenderableType:
    """Make the tables of all stages and the study, the critical path, and a legend."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("stage", no_wrap=True)
    # A narrow terminal folds a number; it never cuts off its end.
    for header in ("jobs", "to do", "GPU h", "CPU h", "longest", "disk", "kWh"):
        table.add_column(header, justify="right", overflow="fold")
    for stage in plan.stages:
        _add(table, stage, plan.all(stage).jobs, plan.to_do(stage), str(plan.to_do(stage).jobs))
    table.add_section()
    everything, rest = plan.all(), plan.to_do()
    _add(table, "to do", everything.jobs, rest, str(rest.jobs))
    _add(table, "whole study", everything.jobs, everything, "")
    title = f"Study {plan.study}: hours, disk and energy of what is still to be done"
    parts: list[RenderableType] = [title, table, *_chain(plan), *_notes(plan, (rest, everything))]
    return Group(*parts)


def _add(table: Table, name: str, jobs: int, part: Sum, to_do: str) -> None:
    table.add_row(
        name,
        str(jobs),
        to_do,
        str(part.gpu_hours) if part.gpu_hours.basis else "0",
        str(part.cpu_hours) if part.cpu_hours.basis else "0",
        f"{part.longest_job} h" if part.longest_job.basis else "-",
        bytes_text(part.disk),
        str(part.energy) if part.energy.basis else "0",
    )


def _chain(plan: Plan) -> list[RenderableType]:
    if not plan.chain:
        return ["Nothing to be done."]
    hours = hours_of_chain(plan.chain)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("job")
    table.add_column("hours", justify="right", no_wrap=True)
    for job in plan.chain:
        table.add_row(job.name, str(job.hours))
    return [f"Longest chain of jobs: {hours} h, however many run at once", table]


def _notes(plan: Plan, sums: Iterable[Sum]) -> list[RenderableType]:
    bases = {
        basis
        for part in sums
        for figure in (part.gpu_hours, part.cpu_hours, part.disk)
        for basis in figure.basis
    }
    lines: list[RenderableType] = ["   unmarked: measured on finished jobs that did the same work"]
    lines += [meaning for basis, meaning in _MEANINGS.items() if basis in bases]
    lines.append(
        f"   kWh: GPU hours x {plan.watts:g} W, assumed (--watts); the GPUs alone, not measured"
    )
    lines.append("   CPU h: threads x hours of jobs without a GPU")
    return lines


def bytes_text(disk: Figure) -> str:
    """Format a size with its unit, in powers of ten."""
    if not disk.value:
        return str(disk)
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if disk.value >= size:
            return f"{disk.times(1 / size)} {unit}"
    return f"{disk} B"
