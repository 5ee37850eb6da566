"""One call of one stage: what its `run` is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from folk.stages.recipes.base import Recipe

if TYPE_CHECKING:
    from folk.training.distributed import World

RecipeType = TypeVar("RecipeType", bound=Recipe)
Live = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Task(Generic[RecipeType]):
    """Work of a stage in one job.

    Attributes:
        name: of the run, data set or split.
        recipe: the hyper-parameters, checked.
        given: values of the options of the stage's inputs, by option.
        work: folder of the growing state and of the outputs.
        seed: of every random number; 0 for a stage without.
        identity: digest of everything that determines the result.
        live: called with every line of the history; raises if another start has taken over.
        process: this process among those of the job; None for a stage without torch.
    """

    name: str
    recipe: RecipeType
    given: Mapping[str, list[str]]
    work: Path
    seed: int
    identity: str
    live: Live
    process: "World | None" = None

    @property
    def world(self) -> "World":
        """This process among those of the job."""
        assert self.process is not None
        return self.process

    def file(self, option: str) -> Path:
        """Return the file of an option that must be given."""
        (path,) = self.given[option]
        return Path(path)

    def file_or_none(self, option: str) -> Path | None:
        """Return the file of an option that may be left out."""
        return self.file(option) if self.given[option] else None

    def folder(self, option: str) -> Path:
        """Return the folder of the file of an option."""
        return self.file(option).parent

    def folders(self, option: str) -> list[Path]:
        """Return the folders of the files of an option that may be repeated."""
        return [Path(path).parent for path in self.given[option]]

    def by_name(self, option: str) -> dict[str, Path]:
        """Return the files of an option with values NAME=PATH."""
        pairs = (value.partition("=") for value in self.given[option])
        return {name: Path(path) for name, _, path in pairs}
