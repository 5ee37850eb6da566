"""Numbers that others printed, each with its place, its source and how surely we know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.ranges import Positive
from folk.evidence.core.yaml_model import Document, Section, checked

Epoch = Literal["best", "last", "unknown"]
# What kind of measurement a number is of.
Kind = Literal["full-labels", "few-labels", "frozen-features", "segmentation", "robustness"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Certainty = Literal[
    "code",
    "paper-text",
    "computed",
    "other-code",
    "paper",
    "review",
    "thread",
    "unknown",
]


class Paper(Section):
    """Whose number it is; authors and arXiv id stand there for papers, not for repositories."""

    title: str
    authors: str = ""
    venue: str
    arxiv: str = ""


class PublishedNumber(Section):
    """One printed number; `value` is null where nobody has seen it yet.

    `value` and `margin` are in `unit`. `margin` is how far a mean of ours may lie from `value` and
    still count as the same result; it stands in the file before any run is made. `epoch` tells the
    accuracy of the best epoch from that of the last, where the source does.
    """

    id: str
    paper: str
    table: str
    row: str
    column: str
    metric: str
    unit: str
    printed: str | None
    value: float | None
    margin: Annotated[float, Field(gt=0.0)] | None
    certainty: Certainty
    epoch: Epoch = "unknown"
    source: str
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _nothing_from_memory(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("certainty") == "memory":
            raise ValueError("a number known only from memory is never a published number")
        return values

    def measures(self, metric: str) -> bool:
        """Whether a metric of ours is of the kind that was printed: `top1` covers `top1_best`."""
        return metric == self.metric or metric.startswith(f"{self.metric}_")

    def of_another_epoch(self, metric: str) -> bool:
        """Whether one of the two is known to be the best epoch's, and the other the last's."""
        ours = metric.rpartition("_")[2]
        return {ours, self.epoch} == {"best", "last"}

    @model_validator(mode="after")
    def _printed_is_the_value(self) -> "PublishedNumber":
        unknown = self.certainty == "unknown"
        if (self.value is None) != unknown or (self.printed is None) != unknown:
            raise ValueError("value and printed are null exactly when certainty is 'unknown'")
        if self.printed is not None and float(self.printed) != self.value:
            raise ValueError(f"printed '{self.printed}' is not the value {self.value}")
        return self


class SeedDeviation(Section):
    """How much a number of ours is taken to scatter over seeds, before there is any."""

    deviation: Positive  # of one pre-training, fine-tuned or measured once; points
    basis: str


class Statement(Section):
    """What a source says of several numbers: that they rise in the order given, or are equal.

    `numbers` are ids, as far as the single numbers are known to anybody.
    """

    id: str
    paper: str
    place: str
    kind: Literal["order", "equal"]
    says: str
    numbers: list[str] = Field(default_factory=list)
    certainty: Certainty
    source: str
    note: str = ""


class PublishedFile(Section):
    """`config/published.yaml` as it stands."""

    certainty: dict[Certainty, str]
    papers: dict[str, Paper]
    seed_deviation: dict[Kind, SeedDeviation] = Field(default_factory=dict)
    numbers: list[PublishedNumber]
    statements: list[Statement] = Field(default_factory=list)


@dataclass(frozen=True)
class Published:
    """The published numbers by id, with what their certainty codes mean."""

    path: Path
    papers: dict[str, Paper]
    certainty: dict[str, str]
    numbers: dict[str, PublishedNumber]
    statements: dict[str, Statement]
    seed_deviation: dict[Kind, SeedDeviation]

    def number(self, name: str, asked_by: str) -> PublishedNumber:
        """The number called `name`.

        Raises:
            InputError: there is none; the line names `asked_by`, the cell or claim that wants it.
        """
        if name not in self.numbers:
            raise InputError(
                f"{self.path}: {_noun(asked_by)} asks for published number '{name}', "
                f"which does not stand there{nearest(name, self.numbers)}"
            )
        return self.numbers[name]

    def statement(self, name: str, asked_by: str) -> Statement:
        """The statement called `name`.

        Raises:
            InputError: there is none; the line names `asked_by`, the claim that wants it.
        """
        if name not in self.statements:
            raise InputError(
                f"{self.path}: {_noun(asked_by)} asks for published statement '{name}', "
                f"which does not stand there{nearest(name, self.statements)}"
            )
        return self.statements[name]


def _noun(asked_by: str) -> str:
    return f"cell '{asked_by}'" if "/" in asked_by else f"claim '{asked_by}'"


def load_published(path: Path) -> Published:
    """Read and check the published numbers.

    Raises:
        InputError: file, line and key of what is wrong; also an id that stands there twice, a
            paper or a certainty code that the file does not explain, or an order that its own
            numbers contradict.
    """
    document = Document(path)
    file = checked(PublishedFile, document.values, document)
    problems: list[str] = []
    seen: set[str] = set()
    named: list[tuple[str, list[Any]]] = [
        ("numbers", file.numbers),
        ("statements", file.statements),
    ]
    for section, entries in named:
        for index, entry in enumerate(entries):
            where = document.where((section, index))
            if entry.id in seen:
                problems.append(f"{where}: id: '{entry.id}' stands there twice; rename one")
            if entry.paper not in file.papers:
                close = nearest(entry.paper, file.papers)
                problems.append(f"{where}: paper: no paper is named '{entry.paper}'{close}")
            if entry.certainty not in file.certainty:
                problems.append(f"{where}: certainty: '{entry.certainty}' is not explained on top")
            seen.add(entry.id)
    numbers = {number.id: number for number in file.numbers}
    for index, statement in enumerate(file.statements):
        problem = _contradiction(statement, numbers)
        if problem:
            problems.append(f"{document.where(('statements', index))}: numbers: {problem}")
    if problems:
        raise InputError("\n".join(problems))
    meanings = {str(code): meaning for code, meaning in file.certainty.items()}
    return Published(
        path=path,
        papers=file.papers,
        certainty=meanings,
        numbers=numbers,
        statements={statement.id: statement for statement in file.statements},
        seed_deviation=file.seed_deviation,
    )


def _contradiction(statement: Statement, numbers: Mapping[str, PublishedNumber]) -> str:
    for name in statement.numbers:
        if name not in numbers:
            return f"no number has the id '{name}'{nearest(name, numbers)}"
    values = [numbers[name].value for name in statement.numbers]
    known = [value for value in values if value is not None]
    if statement.kind == "order" and known != sorted(set(known)):
        return f"the order is contradicted: {', '.join(map(str, known))} do not rise"
    return ""
