"""Numbers that others printed, each with its place, its source and how surely we know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from folk.errors import InputError, nearest
from folk.yaml_model import Document, Section, checked

Certainty = Literal[
    "code",
    "upstream",
    "other-code",
    "paper",
    "review",
    "thread",
    "computed",
    "inferred",
    "second-hand",
    "second-hand 1",
    "second-hand 2",
    "second-hand 1+2",
    "unknown",
]


class Paper(Section):
    """Whose number it is."""

    title: str
    authors: str
    venue: str
    arxiv: str


class PublishedNumber(Section):
    """One printed number; `value` is null where nobody has seen it yet.

    `value` and `margin` are in `unit`. `margin` is how far a mean of ours may lie from `value` and
    still count as the same result; it stands in the file before any run is made.
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
    source: str
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _nothing_from_memory(cls, values: object) -> object:
        if isinstance(values, Mapping) and values.get("certainty") == "memory":
            raise ValueError("a number known only from memory is never a published number")
        return values

    @model_validator(mode="after")
    def _printed_is_the_value(self) -> "PublishedNumber":
        unknown = self.certainty == "unknown"
        if (self.value is None) != unknown or (self.printed is None) != unknown:
            raise ValueError("value and printed are null exactly when certainty is 'unknown'")
        if self.printed is not None and float(self.printed) != self.value:
            raise ValueError(f"printed '{self.printed}' is not the value {self.value}")
        return self


class PublishedFile(Section):
    """`config/published.yaml` as it stands."""

    certainty: dict[Certainty, str]
    papers: dict[str, Paper]
    numbers: list[PublishedNumber]


@dataclass(frozen=True)
class Published:
    """The published numbers by id, with what their certainty codes mean."""

    path: Path
    papers: dict[str, Paper]
    certainty: dict[str, str]
    numbers: dict[str, PublishedNumber]

    def number(self, name: str, asked_by: str) -> PublishedNumber:
        """The number called `name`.

        Raises:
            InputError: there is none; the line names `asked_by`, the cell that wants it.
        """
        if name not in self.numbers:
            raise InputError(
                f"{self.path}: cell '{asked_by}' asks for published number '{name}', "
                f"which does not stand there{nearest(name, self.numbers)}"
            )
        return self.numbers[name]


def load_published(path: Path) -> Published:
    """Read and check the published numbers.

    Raises:
        InputError: file, line and key of what is wrong; also an id that stands there twice, a
            paper or a certainty code that the file does not explain.
    """
    document = Document(path)
    file = checked(PublishedFile, document.values, document)
    numbers: dict[str, PublishedNumber] = {}
    for index, number in enumerate(file.numbers):
        where = document.where(("numbers", index))
        if number.id in numbers:
            raise InputError(f"{where}: id: '{number.id}' stands there twice; rename one")
        if number.paper not in file.papers:
            close = nearest(number.paper, file.papers)
            raise InputError(f"{where}: paper: no paper is named '{number.paper}'{close}")
        if number.certainty not in file.certainty:
            raise InputError(f"{where}: certainty: '{number.certainty}' is not explained on top")
        numbers[number.id] = number
    meanings = {str(code): meaning for code, meaning in file.certainty.items()}
    return Published(path=path, papers=file.papers, certainty=meanings, numbers=numbers)
