"""Numbers that others printed, each with its place, its source and how surely we know it."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import Field, model_validator

from folk.evidence.core.errors import InputError, brief, nearest
from folk.evidence.core.ranges import Positive
from folk.evidence.core.yaml_loader import Keys
from folk.evidence.core.yaml_model import Document, Section, checked, text_of

Entry = TypeVar("Entry")
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
    """Origin of a number; papers have authors and an arXiv id, repositories do not."""

    title: str
    authors: str = ""
    venue: str
    arxiv: str = ""


class PublishedNumber(Section):
    """A row of numbers.csv: one printed number; it has no value where nobody has seen it yet.

    `value` and `margin` are in `unit`. `margin` is how far a mean of ours may lie from `value` and
    still count as the same result; it is fixed before any run is made. `epoch` is the
    measured one, best or last, where the source names it.
    """

    id: str
    paper: str
    table: str
    row: str
    column: str
    metric: str
    unit: str
    printed: str | None = None
    value: Annotated[float, Field(strict=False, allow_inf_nan=False)] | None = None
    margin: Annotated[float, Field(strict=False, allow_inf_nan=False, gt=0.0)] | None = None
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
        """True if a metric of ours is of the kind that was printed: `top1` covers `top1_best`."""
        return metric == self.metric or metric.startswith(f"{self.metric}_")

    def of_another_epoch(self, metric: str) -> bool:
        """True if one of the two is known to be the best epoch's, and the other the last's."""
        ours = metric.rpartition("_")[2]
        return {ours, self.epoch} == {"best", "last"}

    @model_validator(mode="after")
    def _printed_is_the_value(self) -> "PublishedNumber":
        unknown = self.certainty == "unknown"
        if (self.value is None) != unknown or (self.printed is None) != unknown:
            raise ValueError("value and printed are empty exactly when certainty is 'unknown'")
        if self.printed is not None and float(self.printed) != self.value:
            raise ValueError(f"printed '{self.printed}' is not the value {self.value}")
        return self


class SeedDeviation(Section):
    """Assumed scatter of a number of ours over seeds, before there is any."""

    deviation: Positive  # of one pre-training, fine-tuned or measured once; points
    basis: str


class Statement(Section):
    """A source's statement about several numbers: they rise in the order given, or are equal.

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


class PapersFile(Section):
    """Content of papers.yaml."""

    certainty: dict[Certainty, str]
    papers: dict[str, Paper]
    seed_deviation: dict[Kind, SeedDeviation] = Field(default_factory=dict)
    statements: list[Statement] = Field(default_factory=list)


def numbers_file(folder: Path) -> Path:
    """The table of published numbers."""
    return folder / "numbers.csv"


def papers_file(folder: Path) -> Path:
    """The papers, the certainty codes and the statements about several numbers at once."""
    return folder / "papers.yaml"


def published_files(folder: Path) -> list[Path]:
    """All files of the published numbers."""
    return [numbers_file(folder), papers_file(folder)]


@dataclass(frozen=True)
class Published:
    """The published numbers by id, with what their certainty codes mean."""

    folder: Path
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
        return _found(name, self.numbers, "number", numbers_file(self.folder), asked_by)

    def statement(self, name: str, asked_by: str) -> Statement:
        """The statement called `name`; else an error as of `number`."""
        return _found(name, self.statements, "statement", papers_file(self.folder), asked_by)


def _found(name: str, known: Mapping[str, Entry], noun: str, file: Path, asked_by: str) -> Entry:
    if name not in known:
        user = f"cell '{asked_by}'" if "/" in asked_by else f"claim '{asked_by}'"
        raise InputError(
            f"{file}: unknown published {noun} '{name}' (used by {user}){nearest(name, known)}"
        )
    return known[name]


def load_published(folder: Path) -> Published:
    """Read and check the published numbers.

    Args:
        folder: it holds numbers.csv and papers.yaml, as `config/published` does.

    Raises:
        InputError: file, line and key of what is wrong; also a duplicate id, a paper or a certainty
            code that papers.yaml does not explain, or an order that its own numbers contradict.
    """
    document = Document(papers_file(folder))
    file = checked(PapersFile, document.values, document)
    rows = _numbers(numbers_file(folder))
    numbers = {number.id: number for _, number in rows}
    entries: list[tuple[str, PublishedNumber | Statement]] = [*rows]
    problems: list[str] = []
    for index, statement in enumerate(file.statements):
        where = document.where(("statements", index))
        entries.append((where, statement))
        if problem := _contradiction(statement, numbers):
            problems.append(f"{where}: numbers: {problem}")
    seen: set[str] = set()
    for where, entry in entries:
        if entry.id in seen:
            problems.append(f"{where}: id: duplicate id '{entry.id}'; rename one")
        if entry.paper not in file.papers:
            close = nearest(entry.paper, file.papers)
            problems.append(f"{where}: paper: unknown paper '{entry.paper}'{close}")
        if entry.certainty not in file.certainty:
            unknown = f"'{entry.certainty}' is not explained in {document.path}"
            problems.append(f"{where}: certainty: {unknown}")
        seen.add(entry.id)
    if problems:
        raise InputError("\n".join(problems))
    return Published(
        folder=folder,
        papers=file.papers,
        certainty={str(code): meaning for code, meaning in file.certainty.items()},
        numbers=numbers,
        statements={statement.id: statement for statement in file.statements},
        seed_deviation=file.seed_deviation,
    )


@dataclass(frozen=True)
class _Row:
    """A row of a table, for error lines."""

    place: str

    def where(self, keys: Keys) -> str:
        return self.place


def _numbers(path: Path) -> list[tuple[str, PublishedNumber]]:
    """`file:line` and number of each row."""
    numbers, problems = [], []
    for place, values in _rows(path):
        try:
            numbers.append((place, checked(PublishedNumber, values, _Row(place))))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return numbers


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """`file:line` and values of each row; an empty cell is no value."""
    columns = [*PublishedNumber.model_fields]
    reader = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)
    try:
        if next(reader, []) != columns:
            raise InputError(f"{path}:1: expected the columns {','.join(columns)}")
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if len(cells) != len(columns):
                raise InputError(f"{place}: expected {len(columns)} cells, got {len(cells)}")
            values = zip(columns, cells, strict=True)
            yield place, {column: cell for column, cell in values if cell}
    except csv.Error as error:
        line = reader.line_num
        raise InputError(f"{path}:{line}: not readable as CSV: {brief(error)}") from error


def _contradiction(statement: Statement, numbers: Mapping[str, PublishedNumber]) -> str:
    for name in statement.numbers:
        if name not in numbers:
            return f"no number has the id '{name}'{nearest(name, numbers)}"
    values = [numbers[name].value for name in statement.numbers]
    known = [value for value in values if value is not None]
    if statement.kind == "order" and known != sorted(set(known)):
        return f"the order is contradicted: {', '.join(map(str, known))} do not rise"
    return ""
