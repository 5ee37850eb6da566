"""Study file: a set of runs, their evaluations and tables.

The study file defines *what* is run, its recipes *how*. Nothing here computes anything.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_serializer,
    model_validator,
)

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.ranges import Positive
from folk.evidence.core.yaml_model import Document, Section, checked
from folk.evidence.study.grid import LARGEST_GRID, bad_grid_names, rows_of_grid, with_grids
from folk.evidence.study.inputs import CLASSIFIER, DATASETS, SPLIT
from folk.evidence.study.stage import Resources, Stages

MACROS = "numbers"  # no table's name: the report's file of LaTeX macros has it
LONGEST_NAME = 64  # characters; file systems allow 255 of a whole file name


def path_safe(name: str) -> str:
    """Validate a name and return it.

    Raises:
        ValueError: the name is not safe in a path, a wildcard or a shell.
    """
    # Names become folder names, wildcards and shell words: none may need quotes.
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError("a name may have only a-z, 0-9 and '-', and starts with a letter or digit")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"a name may have at most {LONGEST_NAME} characters, got {len(name)}")
    return name


def _dotted(key: str) -> str:
    # It becomes KEY=VALUE on a command line.
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", key):
        raise ValueError("a key of 'set' is words of a-z, A-Z, 0-9, '_' and '-' with dots between")
    return key


def plain_path(path: str) -> str:
    """The path as it is.

    Raises:
        ValueError: a shell could take it for something else.
    """
    # It appears in command lines, as do the paths of the recipes below it.
    if not re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./+@-]*", path):
        raise ValueError("expected a path of letters, digits and _ . / + @ -")
    return path


Name = Annotated[str, AfterValidator(path_safe)]
Reason = Annotated[str, Field(min_length=1)]
Scale = Literal["demo", "smoke", "paper"]
Dotted = Annotated[str, AfterValidator(_dotted)]
Overrides = dict[Dotted, Any]
Seed = Annotated[int, Field(ge=0, lt=2**53)]  # exact in any reader's JSON


def _or_one(schema: dict[str, Any]) -> None:
    """Let one name stand for a list of one."""
    several = {key: schema.pop(key) for key in ("type", "items", "minItems")}
    schema["anyOf"] = [{"type": "string"}, several]


def _evaluation_or_several(schema: dict[str, Any]) -> None:
    """Let `evaluation: NAME` stand for `evaluations: [NAME]`."""
    schema["properties"]["evaluation"] = {
        "type": "string",
        "description": "Name of the one evaluation, in place of `evaluations`.",
    }
    schema["required"].remove("evaluations")
    schema["oneOf"] = [{"required": ["evaluation"]}, {"required": ["evaluations"]}]


class DataEntry(Section):
    """A data set to prepare."""

    recipe: Name
    """Name in `recipes/prepare/`."""
    source: str | None = None
    """Folder of images, for recipes that read one, or of official archives under their names."""
    archives: dict[Name, str] = Field(default_factory=dict)
    """Path of each official archive, by its name in the recipe."""
    overrides: Overrides = Field(default_factory=dict, alias="set")
    """Dotted keys that override the recipe, such as `{scenes.size: 64}`."""


class SplitEntry(Section):
    """A subset of the labeled training images of a data set."""

    data: Name
    """Name of a data set."""
    recipe: Name
    """Name in `recipes/split/`."""
    list_file: str | None = Field(default=None, alias="list")
    """File with one image per line, for recipes that read one."""
    overrides: Overrides = Field(default_factory=dict, alias="set")
    """Dotted keys that override the recipe."""


class EncoderRow(Section):
    """A row of the tables: one recipe, pre-trained once per seed."""

    label: str
    """Heading of the row."""
    recipe: Name
    """Name in `recipes/pretrain/`."""
    data: Name
    """Name of a data set."""
    seeds: list[Seed] = Field(min_length=1)
    """A run each."""
    overrides: Overrides = Field(default_factory=dict, alias="set")
    """Dotted keys that override the recipe, such as `{optim.epochs: 3}`."""
    grid: dict[Dotted, Annotated[dict[Name, Any], Field(min_length=1)]] = Field(
        default_factory=dict,
        exclude=True,  # rows of a loaded study have none
    )
    """Dotted keys with named values, such as `{optim.lr: {low: 5.0e-4, high: 2.0e-3}}`. The row
    becomes one for each value, or for each combination where several keys have values: `mfm-low`
    and `mfm-high` in place of `mfm`, which then names them all in `rows` and `encoders`.
    """

    @model_validator(mode="after")
    def _grid_is_bounded(self) -> "EncoderRow":
        count = math.prod(map(len, self.grid.values()))
        if count > LARGEST_GRID:
            raise ValueError(f"'grid' makes {count} rows; expected at most {LARGEST_GRID}")
        for key in self.grid:
            if key in self.overrides:
                raise ValueError(f"'{key}' is in 'set' and in 'grid'; remove one")
        return self


class Evaluation(Section):
    """One way to measure a row; without `encoders`, every row.

    The stage decides which further keys there are. `classifier` names the evaluation that makes
    it; with several data sets the validation images of the first are the clean ones.

    `seeds` of a fine-tuning: each run is fine-tuned once per seed. A loaded study has a separate
    evaluation for each of them, and for what reads its classifier.
    """

    stage: Name
    """Stage that measures."""
    recipe: Name
    """Name in the stage's folder of `recipes/`."""
    data: list[Name] = Field(min_length=1, json_schema_extra=_or_one)
    """Name of a data set. For robustness also several, the first with the clean images."""
    split: Name | None = None
    """Name of a split; null takes all labels."""
    classifier: Name | None = None
    """For robustness: the fine-tuning evaluation whose classifier is measured."""
    seeds: list[Seed] = Field(default_factory=list, min_length=1)
    """For finetune: each run is fine-tuned once for each of these."""
    encoders: list[Name] = Field(default_factory=list)
    """Names of rows, or of grids; left out: all."""
    overrides: Overrides = Field(default_factory=dict, alias="set")
    """Dotted keys that override the recipe."""

    @model_validator(mode="before")
    @classmethod
    def _one_or_many_sets(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("data"), str):
            return {**values, "data": [values["data"]]}
        return values

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Evaluation":
        if len(set(self.data)) < len(self.data):
            raise ValueError("duplicate set in 'data'")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("duplicate seed in 'seeds'")
        return self

    @property
    def finetune_seed(self) -> int | None:
        """The one fine-tuning seed in a loaded study; None if only the run's seed is used."""
        return self.seeds[0] if self.seeds else None


Entry = DataEntry | SplitEntry | EncoderRow | Evaluation  # entries with a recipe


class Column(Section):
    """A column of a table: a metric of one evaluation, or of several combined seed by seed."""

    model_config = ConfigDict(json_schema_extra=_evaluation_or_several)

    label: str
    """Heading of the column."""
    evaluations: list[Name] = Field(min_length=1)
    """Names of evaluations."""
    metric: str
    """Key of `metrics.json`, such as `top1_last`."""
    combine: Literal["mean", "max"] = "mean"
    """Over several evaluations, seed by seed."""
    percent: bool = True
    """Multiply by 100."""
    better: Literal["higher", "lower"] = "higher"
    """A note of the table lists the columns where lower is better."""

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, values: Any) -> Any:
        if isinstance(values, dict) and "evaluation" in values:
            if "evaluations" in values:
                raise ValueError("expected either 'evaluation' or 'evaluations'")
            values = {**values, "evaluations": [values["evaluation"]]}
            del values["evaluation"]
        return values


class QuotedRow(Section):
    """A row of published numbers: `cells` maps columns to ids of published numbers."""

    label: str
    """Heading of the row."""
    cells: dict[Name, str] = Field(min_length=1)
    """Column to the id of a published number."""


class Table(Section):
    """A table of the report; `published` maps `row/column` to the id of a published number.

    The rows of `context` are quoted, not run: they are printed below ours without a verdict.
    """

    title: str
    """Heading of the table."""
    caption: str = ""
    """Text above the table."""
    reproduces: str = ""
    """Table of a paper."""
    rows: list[Name] = Field(min_length=1)
    """Names of rows of `encoders`, or of grids."""
    columns: dict[Name, Column] = Field(min_length=1)
    published: dict[str, str] = Field(default_factory=dict)
    """`row/column` to the id of a published number."""
    context: dict[Name, QuotedRow] = Field(default_factory=dict)
    """Rows quoted from a source, not run; they get no verdict."""


class Difference(Section):
    """Difference of one cell, `of`, over another, `over`; of several cells, their mean counts."""

    of: list[str] = Field(min_length=1, json_schema_extra=_or_one)
    """A cell, `table/row/column`, or several."""
    over: list[str] = Field(min_length=1, json_schema_extra=_or_one)
    """Another cell, or several."""

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {key: [each] if isinstance(each, str) else each for key, each in values.items()}

    @field_serializer("of", "over")
    def _as_written(self, cells: list[str]) -> str | list[str]:
        return cells[0] if len(cells) == 1 else cells


class Equivalence(Section):
    """Equivalence: two cells differ by less than `margin`, in the unit of both."""

    of: str
    """A cell, `table/row/column`."""
    to: str
    """Another cell."""
    margin: Positive
    """In points, where cells are in percent."""


class Claim(Section):
    """A paper's statement about several numbers; cells are named `table/row/column`.

    One of three: `order` lists cells in ascending order, `difference` two cells and perhaps in
    `published` the printed number for it, `equal` two cells and a margin.
    """

    says: str
    """The statement, in words."""
    order: list[str] | None = Field(default=None, min_length=2)
    """Cells in ascending order."""
    difference: Difference | None = None
    equal: Equivalence | None = None
    published: str | None = None
    """For `difference`: id of the printed difference, with its margin; null states the sign alone,
    that the first cell is above the other.
    """
    source: str | None = None
    """For `order` and `equal`: id of a statement in `published/papers.yaml`."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Claim":
        kinds = ("order", "difference", "equal")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected one of 'order', 'difference' and 'equal', got {found}")
        if self.published is not None and self.difference is None:
            raise ValueError("'published', the id of the printed difference, is for 'difference'")
        if self.published is not None and len(self.places()) != 2:
            raise ValueError("'published' is the difference of one cell over one other")
        return self

    @property
    def kind(self) -> Literal["order", "difference", "sign", "equal"]:
        """The kind of claim; a difference without a printed number is a sign."""
        if self.order is not None:
            return "order"
        if self.equal is not None:
            return "equal"
        return "difference" if self.published is not None else "sign"

    def sides(self) -> list[list[str]]:
        """Groups of cells whose means are compared, each with the next; one cell in most."""
        if self.difference is not None:
            return [self.difference.over, self.difference.of]
        return [[cell] for _, cell in self.places()]

    def places(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Key path and name of each cell in this claim; the subtracted one first."""
        if self.order is not None:
            return [(("order", index), cell) for index, cell in enumerate(self.order)]
        if self.difference is not None:
            return [
                (("difference", key, *([index] if len(cells) > 1 else [])), cell)
                for key, cells in zip(("over", "of"), self.sides(), strict=True)
                for index, cell in enumerate(cells)
            ]
        assert self.equal is not None
        return [(("equal", "to"), self.equal.to), (("equal", "of"), self.equal.of)]


class MainComparison(Section):
    """The comparison at the top of the report: rows of a table by some of its columns."""

    table: Name
    """Name of a table."""
    columns: list[Name] = Field(default_factory=list)
    """Columns of the table; left out: its first two."""


class Study(Section):
    """A study file, and the stages that it can name."""

    name: Name = Field(alias="study")
    """Name, the same as the file's; used in paths."""
    title: str
    """Heading of the report."""
    scale: Scale
    """Below the papers' scale numbers are "not comparable (scale)", and claims are tested by the
    study's own cells; `smoke` is written by `python -m folk smoke`.
    """
    recipes: Annotated[str, AfterValidator(plain_path)] | None = None
    """Folder of the recipes, with a folder for each stage; null is `recipes/` next to the file. A
    recipe that is not there is the one of this name that comes with the package.
    """
    code_change: dict[Name, Literal["rerun", "report"]] = Field(default_factory=dict)
    """When code of a stage is edited: `rerun` it, or `report` its results as stale."""
    resources: dict[Name, Resources] = Field(default_factory=dict)
    data: dict[Name, DataEntry] = Field(min_length=1)
    splits: dict[Name, SplitEntry] = Field(default_factory=dict)
    encoders: dict[Name, EncoderRow] = Field(min_length=1)
    evaluations: dict[Name, Evaluation] = Field(default_factory=dict)
    exclude: dict[Name, Reason] = Field(default_factory=dict)
    """Runs whose numbers are left out of all tables, each with the reason, such as `{folk-s1:
    "diverged in epoch 40; see issue 12"}`. The run stays among the results and in the chain, and
    tables list it.
    """
    tables: dict[Name, Table] = Field(default_factory=dict)
    claims: dict[Name, Claim] = Field(default_factory=dict)
    summary: MainComparison | None = None
    """Main figure of the report; null takes the first table."""
    _stages: Stages = PrivateAttr(default_factory=dict)
    _written_rows: dict[str, EncoderRow] = PrivateAttr(default_factory=dict)

    @property
    def stages(self) -> Stages:
        """The declared stages by name, in the order of the workflow."""
        return self._stages

    @property
    def grids(self) -> dict[str, list[str]]:
        """Names of the rows that each grid has made, by its name."""
        written = self._written_rows.items()
        return {name: [n for n, _ in rows_of_grid(name, row)] for name, row in written if row.grid}

    def recipe_folder(self, path: Path) -> Path:
        """The folder of the recipes of a study that was read from `path`: named, or next to it."""
        return path.parent / "recipes" if self.recipes is None else Path(self.recipes)

    def entries(self) -> Iterator[tuple[str, str, Entry]]:
        """Yield all entries with a recipe, as `(stage, name, entry)`, in order of the stages."""
        for stage in self.stages.values():
            if stage.section is not None and not stage.is_evaluation:
                for name, entry in self._section(stage.section).items():
                    yield stage.name, name, entry
        yield from ((entry.stage, name, entry) for name, entry in self.evaluations.items())

    def entry(self, stage: str, name: str) -> Entry:
        """Find the entry of a job of this stage.

        Raises:
            InputError: unknown entry.
        """
        section = self.stages[stage].section
        known = {} if section is None else self._section(section)
        if name not in known:
            raise InputError(f"{self.name}: unknown {stage} '{name}'{nearest(name, known)}")
        return known[name]

    def entry_name(self, stage: str, run: str | None, evaluation: str | None) -> str:
        """Return the name of the entry of a job, from its run, data set or split, or evaluation."""
        section = self.stages[stage].section
        if section == "evaluations":
            return evaluation or ""
        return (run or "").rpartition("-s")[0] if section == "encoders" else run or ""

    def _section(self, name: str) -> Mapping[str, Entry]:
        entries: Mapping[str, Entry] = getattr(self, name)
        return entries

    def reads(self, stage: str, name: str) -> list[str]:
        """List the data sets that an entry reads; none if it makes one.

        Raises:
            InputError: unknown entry.
        """
        entry = self.entry(stage, name)
        if isinstance(entry, DataEntry):
            return []
        return [entry.data] if isinstance(entry.data, str) else entry.data

    def runs(self) -> Iterator[tuple[str, str, int]]:
        """Yield every pre-training run as `(run, row, seed)`; `run` is its name in paths."""
        for row, encoder in self.encoders.items():
            for seed in encoder.seeds:
                yield run_name(row, seed), row, seed

    def rows_of(self, evaluation: str) -> list[str]:
        """List the rows that an evaluation measures."""
        return self.evaluations[evaluation].encoders or list(self.encoders)

    def rounds(self, column: Column) -> dict[int | None, list[str]]:
        """Group the evaluations of a column by fine-tuning seed; one group, None, without any."""
        found: dict[int | None, list[str]] = {}
        for name in column.evaluations:
            found.setdefault(self.evaluations[name].finetune_seed, []).append(name)
        return found

    def written_name(self, evaluation: str) -> str:
        """Return an evaluation's name in the study file, without its fine-tuning seed."""
        seed = self.evaluations[evaluation].finetune_seed
        return evaluation if seed is None else evaluation.removesuffix(finetune_name("", seed))

    def excluded(self, row: str) -> dict[str, str]:
        """Map excluded runs of a row to their reasons."""
        runs = {run for run, of_row, _ in self.runs() if of_row == row}
        return {run: reason for run, reason in self.exclude.items() if run in runs}

    def cells(self) -> dict[str, Column]:
        """Map our cells, by name `table/row/column`, to their columns."""
        return {
            f"{name}/{row}/{column_name}": column
            for name, table in self.tables.items()
            for row in table.rows
            for column_name, column in table.columns.items()
        }

    def unused_stages(self) -> list[str]:
        """List the stages without results in this study."""
        used = {stage for stage, _, _ in self.entries()}
        return [name for name, of in self.stages.items() if of.section and name not in used]

    def resources_of(self, stage: str) -> Resources:
        """Return the resources of a job of this stage; its own defaults if the study has none."""
        return self.resources.get(stage) or self.stages[stage].resources

    def reruns_on_code_change(self, stage: str) -> bool:
        """True if edited code reruns a stage; False if the audit only reports it."""
        default = self.code_change.get("default", "rerun")
        return self.code_change.get(stage, default) == "rerun"


def run_name(row: str, seed: int) -> str:
    """Return the name of a run in paths, such as `folk-s0`."""
    return f"{row}-s{seed}"


def finetune_name(evaluation: str, seed: int) -> str:
    """Return the name in paths of an evaluation with a fine-tuning seed: `full-f0`."""
    return f"{evaluation}-f{seed}"


def load_study(path: Path, stages: Stages) -> Study:
    """Read and check a study file; grids become rows, each fine-tuning seed an evaluation.

    Args:
        stages: the declared stages, `folk.stages.table.STAGES`.

    Raises:
        InputError: one line for each problem: unknown key, invalid type, unknown name, or a name
            used by another study.
    """
    return unfolded(written_study(path, stages))


def written_study(path: Path, stages: Stages) -> Study:
    """Read and check a study file; grids become rows, and evaluations stay as written."""
    return checked_study(Document(path), stages)


def checked_study(document: Document, stages: Stages) -> Study:
    """Check the values of a study, whose results are those of `document.path` alone."""
    study = checked(Study, document.values, document)
    study._stages, study._written_rows = stages, study.encoders
    problems = [*_of_another(study, document), *bad_grid_names(study, document, LONGEST_NAME)]
    study = with_grids(study)
    problems += list(_unlike_their_stages(study, document)) or list(_dangling(study, document))
    if problems:
        raise InputError("\n".join(problems))
    return study


def unfolded(study: Study) -> Study:
    """Expand the study to an evaluation per fine-tuning seed, and columns that list them all."""
    evaluations = {}
    for name, evaluation in study.evaluations.items():
        seeds = _finetune_seeds(study, name)
        classifier = evaluation.classifier
        for seed in seeds:
            of_seed = None if classifier is None else finetune_name(classifier, seed)
            changes = {"seeds": [seed], "classifier": of_seed}
            evaluations[finetune_name(name, seed)] = evaluation.model_copy(update=changes)
        if not seeds:
            evaluations[name] = evaluation
    tables = {}
    for name, table in study.tables.items():
        columns = {key: _unfolded_column(study, column) for key, column in table.columns.items()}
        tables[name] = table.model_copy(update={"columns": columns})
    return study.model_copy(update={"evaluations": evaluations, "tables": tables})


def _unfolded_column(study: Study, column: Column) -> Column:
    seeds = _finetune_seeds(study, column.evaluations[0])
    names = [finetune_name(name, seed) for seed in seeds for name in column.evaluations]
    return column.model_copy(update={"evaluations": names}) if seeds else column


def _finetune_seeds(study: Study, name: str) -> list[int]:
    """Return the fine-tuning seeds of an evaluation as written: its own or its classifier's."""
    evaluation = study.evaluations[name]
    source = study.evaluations.get(evaluation.classifier or "", evaluation)
    return sorted(source.seeds)


def _of_another(study: Study, document: Document) -> Iterator[str]:
    """Check that no other study file has the same name and results folder."""
    path, says_so = document.path, re.compile(rf"^study:\s*['\"]?{study.name}['\"]?\s*(#|$)", re.M)
    if path.stem == study.name or not path.is_file():
        return
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        if not other.is_file() or other.samefile(path):
            continue
        if says_so.search(other.read_text(encoding="utf-8", errors="replace")):
            yield (
                f"{document.at('study')}: duplicate name '{study.name}', also in "
                f"{other}; choose another"
            )


def _unlike_their_stages(study: Study, document: Document) -> Iterator[str]:
    """Yield unknown stages, and keys that a stage does not have."""
    stages = study.stages

    def unknown(keys: tuple[str, ...], name: str, known: Iterable[str]) -> Iterator[str]:
        if name not in known:
            yield f"{document.at(*keys)}: unknown stage '{name}'{nearest(name, known)}"

    for name in study.code_change:
        yield from unknown(("code_change", name), name, [*stages, "default"])
    for name, asked in study.resources.items():
        yield from unknown(("resources", name), name, stages)
        alone = name in stages and not stages[name].several_processes
        if alone and (asked.nodes > 1 or (asked.processes or 1) > 1):
            key = "nodes" if asked.nodes > 1 else "processes"
            where = document.at("resources", name, key)
            yield f"{where}: '{name}' runs in one process; remove the key"
    measuring = [stage.name for stage in stages.values() if stage.is_evaluation]
    for name, evaluation in study.evaluations.items():
        yield from unknown(("evaluations", name, "stage"), evaluation.stage, measuring)
        if evaluation.stage in measuring:
            for problem in _keys_of_another(evaluation, stages):
                yield f"{document.at('evaluations', name)}: {problem}"


def _keys_of_another(evaluation: Evaluation, stages: Stages) -> Iterator[str]:
    stage = stages[evaluation.stage]

    def supported(by: Iterable[str], key: str) -> str:
        return f"'{key}' is not supported by {stage.name}, only by {', '.join(by)}"

    if CLASSIFIER in stage.inputs and evaluation.classifier is None:
        makers = ", ".join(s.name for s in stages.values() if s.makes_classifiers)
        yield f"{stage.name} needs 'classifier', the name of an evaluation with stage {makers}"
    if CLASSIFIER not in stage.inputs and evaluation.classifier is not None:
        yield supported((s.name for s in stages.values() if CLASSIFIER in s.inputs), "classifier")
    if DATASETS not in stage.inputs and len(evaluation.data) > 1:
        yield f"expected one set in 'data' for {stage.name}, got several"
    if SPLIT not in stage.inputs and evaluation.split is not None:
        yield supported((s.name for s in stages.values() if SPLIT in s.inputs), "split")
    if evaluation.seeds and not stage.finetune_seeds:
        yield supported((s.name for s in stages.values() if s.finetune_seeds), "seeds")


def _dangling(study: Study, document: Document) -> Iterator[str]:
    def lost(keys: tuple[str | int, ...], name: str, known: Any, noun: str) -> Iterator[str]:
        if name not in known:
            yield f"{document.at(*keys)}: unknown {noun} '{name}'{nearest(name, known)}"

    for name, split in study.splits.items():
        yield from lost(("splits", name, "data"), split.data, study.data, "data set")
    for name, row in study._written_rows.items():
        yield from lost(("encoders", name, "data"), row.data, study.data, "data set")
        if len(set(row.seeds)) < len(row.seeds):
            yield f"{document.where(('encoders', name, 'seeds'))}: duplicate seed"
    for name, evaluation in study.evaluations.items():
        here = ("evaluations", name)
        for index, data in enumerate(evaluation.data):
            yield from lost((*here, "data", index), data, study.data, "data set")
        if evaluation.split is not None:
            yield from lost((*here, "split"), evaluation.split, study.splits, "split")
            split_data = study.splits.get(evaluation.split)
            if split_data is not None and [split_data.data] != evaluation.data:
                yield (
                    f"{document.where((*here, 'split'))}: split '{evaluation.split}': expected "
                    f"data set '{evaluation.data[0]}' of the evaluation, got '{split_data.data}'"
                )
        for index, row_name in enumerate(evaluation.encoders):
            yield from lost((*here, "encoders", index), row_name, study.encoders, "encoder row")
        if evaluation.classifier is not None:
            yield from _without_classifier(study, document, name, evaluation.classifier)
        yield from _bad_finetune_names(study, document, name)
    runs = [run for run, _, _ in study.runs()]
    for run in study.exclude:
        yield from lost(("exclude", run), run, runs, "run")
    if MACROS in study.tables:
        where = document.at("tables", MACROS)
        yield f"{where}: tables/{MACROS}.tex has the macros of all; rename it"
    for name, table in study.tables.items():
        yield from _dangling_in_table(study, document, name, table, lost)
    for name, claim in study.claims.items():
        yield from _dangling_in_claim(study, document, name, claim, lost)
    if study.summary is not None:
        yield from lost(("summary", "table"), study.summary.table, study.tables, "table")
        if (shown := study.tables.get(study.summary.table)) is not None:
            for index, column in enumerate(study.summary.columns):
                yield from lost(("summary", "columns", index), column, shown.columns, "column")


def _bad_finetune_names(study: Study, document: Document, name: str) -> Iterator[str]:
    """Yield the invalid names of an evaluation with a fine-tuning seed."""
    where = document.at("evaluations", name)
    for one in (finetune_name(name, seed) for seed in _finetune_seeds(study, name)):
        if one in study.evaluations:
            yield f"{where}: duplicate name '{one}' (its name with a seed); rename one"
        if len(one) > LONGEST_NAME:
            yield f"{where}: '{one}' (its name with a seed) has more than {LONGEST_NAME} characters"


def _without_classifier(
    study: Study, document: Document, name: str, classifier: str
) -> Iterator[str]:
    """Yield the problems of an evaluation's classifier."""
    makers = [stage.name for stage in study.stages.values() if stage.makes_classifiers]
    tuned = {n for n, other in study.evaluations.items() if other.stage in makers}
    where = document.at("evaluations", name, "classifier")
    if classifier not in tuned:
        hint = nearest(classifier, tuned)
        problem = f"unknown evaluation '{classifier}' with stage {', '.join(makers)}"
        yield f"{where}: {problem}{hint}"
        return
    for row in study.rows_of(name):
        if row not in study.rows_of(classifier):
            yield f"{where}: '{classifier}' does not fine-tune row '{row}'; list rows in 'encoders'"


def _dangling_in_table(
    study: Study, document: Document, name: str, table: Table, lost: Any
) -> Iterator[str]:
    here = ("tables", name)
    for index, row in enumerate(table.rows):
        yield from lost((*here, "rows", index), row, study.encoders, "encoder row")
    for column_name, column in table.columns.items():
        for index, evaluation in enumerate(column.evaluations):
            keys = (*here, "columns", column_name, "evaluations", index)
            yield from lost(keys, evaluation, study.evaluations, "evaluation")
        known = [one for one in column.evaluations if one in study.evaluations]
        seeds = {one: _finetune_seeds(study, one) for one in known}
        if len({tuple(of_one) for of_one in seeds.values()}) > 1:
            where = document.at(*here, "columns", column_name)
            listed = "; ".join(f"{one} has {of_one or 'none'}" for one, of_one in seeds.items())
            yield (
                f"{where}: evaluations of one column need the same fine-tuning 'seeds', got: "
                f"{listed}"
            )
    cells = [f"{row}/{column}" for row in table.rows for column in table.columns]
    for cell in table.published:
        yield from lost((*here, "published", cell), cell, cells, "cell")
    for quoted_name, quoted in table.context.items():
        for column_name in quoted.cells:
            place = (*here, "context", quoted_name, "cells", column_name)
            yield from lost(place, column_name, table.columns, "column")
        if quoted_name in table.rows:
            yield f"{document.at(*here, 'context', quoted_name)}: duplicate row; rename it"


def _dangling_in_claim(
    study: Study, document: Document, name: str, claim: Claim, lost: Any
) -> Iterator[str]:
    here, known = ("claims", name), study.cells()
    cells = [cell for _, cell in claim.places()]
    for keys, cell in claim.places():
        yield from lost((*here, *keys), cell, known, "cell")
    if len(set(cells)) < len(cells):
        yield f"{document.at(*here)}: duplicate cell"
    if len({known[cell].percent for cell in cells if cell in known}) > 1:
        yield f"{document.at(*here)}: cells have different units; use one unit"
