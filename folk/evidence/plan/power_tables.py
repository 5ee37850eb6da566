"""Tables and JSON of a study's statistical power."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from folk.evidence.plan.figures import BOUND, SCALED, Figure
from folk.evidence.plan.power import MOST_SEEDS, Deviations, Question
from folk.evidence.results.simulated import ENOUGH

_MARKS = {
    BOUND: "≤  never measured: the runtime that the study asks for",
    SCALED: "~  the timed steps of `cost`, without reading images, over all GPUs alike",
}


@dataclass(frozen=True)
class Answer:
    """Chance of one question, and the seeds and GPU-hours for sufficient power."""

    question: Question
    chance: float  # at the study's seeds
    seeds_needed: int | None  # runs of each row; None beyond `MOST_SEEDS`
    gpu_hours: Figure | None  # of so many runs and their evaluations

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        cells = self.question.cells
        return {
            "name": self.question.name,
            "kind": self.question.kind,
            "seeds": {cell.row: cell.seeds for cell in cells},
            "finetune_seeds": {cell.row: cell.fine_tunings for cell in cells},
            "deviation_of_run": {cell.row: cell.deviation for cell in cells},
            "chance": self.chance,
            "seeds_needed": self.seeds_needed,
            "gpu_hours_needed": None if self.gpu_hours is None else self.gpu_hours.to_json(),
        }


@dataclass(frozen=True)
class Power:
    """Statistical power of a whole study."""

    study: str
    deviations: Deviations
    bases: dict[str, str]  # by kind: basis of the deviation
    trials: int
    answers: Sequence[Answer]
    without: dict[str, str]  # questions without a chance, with the reason

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "study": self.study,
            "assumed": {
                "deviation": self.deviations.by_kind,
                "basis": self.bases,
                "pretrain_share_of_variance": self.deviations.pretrain_share,
            },
            "trials": self.trials,
            "enough": ENOUGH,
            "most_seeds": MOST_SEEDS,
            "questions": [answer.to_json() for answer in self.answers],
            "without": self.without,
        }


def power_tables(power: Power) -> RenderableType:
    """Make the table of chances, needed seeds, their costs and the assumptions."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("number or claim", overflow="fold")
    needed = f"for {100 * ENOUGH:.0f} %"
    for header in ("seeds", "chance", needed, "GPU h"):
        table.add_column(header, justify="right", no_wrap=True)
    for answer in power.answers:
        table.add_row(
            answer.question.name,
            _seeds(answer.question),
            f"{100 * answer.chance:.0f} %",
            _needed(answer),
            "-" if answer.gpu_hours is None else str(answer.gpu_hours),
        )
    title = f'Study {power.study}: the chance of the verdict "reproduced", if the papers are right'
    return Group(title, table, *_notes(power))


def _seeds(question: Question) -> str:
    counts = sorted({cell.seeds for cell in question.cells})
    again = max(cell.fine_tunings for cell in question.cells)
    return ", ".join(map(str, counts)) + (f" x {again}" if again > 1 else "")


def _needed(answer: Answer) -> str:
    if answer.seeds_needed is None:
        return f"> {MOST_SEEDS}"
    again = max(cell.fine_tunings for cell in answer.question.cells)
    return f"{answer.seeds_needed} x {again}" if again > 1 else str(answer.seeds_needed)


def _notes(power: Power) -> list[str]:
    share = power.deviations.pretrain_share
    lines = [
        "   seeds: pre-training runs of each row x fine-tunings of each run, as the study has them",
        f"   for {100 * ENOUGH:.0f} %: pre-training runs of each row that give that chance,"
        " with as many fine-tunings",
        "   GPU h: of these runs and their evaluations, all rows of the line together",
    ]
    bases = {b for a in power.answers if a.gpu_hours is not None for b in a.gpu_hours.basis}
    lines += [f"   {meaning}" for basis, meaning in _MARKS.items() if basis in bases]
    lines.append("Assumed: standard deviation over seeds of one pre-training, fine-tuned once")
    lines += [
        f"   {kind}: {deviation:.3g} points ({power.bases[kind]})"
        for kind, deviation in power.deviations.by_kind.items()
    ]
    lines.append(
        f"   {100 * share:.0f} % of each variance from the pre-training, the rest from the"
        " fine-tuning (half is assumed unless --sd-pretrain is given; the one public nested"
        " measurement, 4 x 3 runs of CoinCheung/MFM, estimates none by moments)"
    )
    lines.append(f"   simulated: {power.trials} studies for each line, one fixed seed")
    if power.without:
        lines.append("Without a chance to tell:")
        for reason in dict.fromkeys(power.without.values()):
            names = [name for name, why in power.without.items() if why == reason]
            lines.append(f"   {reason}: {', '.join(names)}")
    return lines
