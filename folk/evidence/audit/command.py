"""Command of a record, compared with what else the record has of its job."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from folk.evidence.audit.chain import Job
from folk.evidence.core.errors import InputError
from folk.evidence.core.secrets import HIDDEN
from folk.evidence.study.stage import Stage

Options = list[tuple[str, str]]


def options_of(job: Job, stage: Stage) -> Options:
    """Parse the options of a record's command; the files that it reads get the record's paths.

    Raises:
        InputError: another command than that of the record's job: another stage, name, evaluation,
            seed or input.
    """
    record = job.record
    words = iter(record["argv"])
    if [*islice(words, 1, 4)] != ["-m", "folk", stage.name]:
        raise InputError(f"its command is not `python -m folk {stage.name} ...`")
    options = list(_parsed(words))
    given = dict(options)  # of two, the last one counts
    if stage.is_evaluation:
        given.setdefault("--evaluation", stage.name)
    fields = {
        "--name": record["run"],
        "--evaluation": record["evaluation"],
        "--seed": record["seed"],
        "--finetune-seed": record.get("finetune_seed"),
    }
    for option, value in fields.items():
        found, wanted = given.get(option, "none"), "none" if value is None else str(value)
        if found != wanted:
            raise InputError(f"its command has {option} {found}, its record {wanted}")
    return _as_recorded(options, job, stage)


def _parsed(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each option; all options of a stage have one."""
    for word in words:
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            raise InputError(f"its command has '{word}', which is no option")
        yield name, value if equals else next(words, "")


def _as_recorded(options: Options, job: Job, stage: Stage) -> Options:
    """Compare the command's inputs with the record's, and replace their paths by the record's."""
    kinds = {f"--{kind.name}": kind for kind in stage.inputs}
    read = _inputs(job)
    same: Options = []
    named: set[str] = set()
    for option, value in options:
        kind = kinds.get(option)
        if kind is None:
            same.append((option, value))
            continue
        files = kind.recorded(value)
        own = next(iter(files))
        for name, path in files.items():
            if name == own or name in read:
                _check_same(f"{option} {value}", path, name, read.get(name))
        key = f"{value.partition('=')[0]}=" if kind.named else ""
        same.append((option, f"{key}{read[own]}"))
        named |= files.keys()
    asked = {name for kind in stage.inputs for name in (kind.name, *kind.siblings)}
    for name, path in read.items():
        if name not in named and re.split("[ /]", name)[0] in asked:
            raise InputError(f"its record has the input '{name}', {path}, its command has not")
    return same


def _inputs(job: Job) -> dict[str, Path]:
    """Map name to path of each input as the job got them: a folder is recorded by its files."""
    found: dict[str, Path] = {}
    for entry in job.inputs:
        name, path = entry["name"], Path(entry["path"])
        if name.endswith(f"/{path.name}"):
            name, path = name.removesuffix(f"/{path.name}"), path.parent
        if found.setdefault(name, path) != path:
            raise InputError(f"its record has two inputs '{name}', {found[name]} and {path}")
    return found


def _check_same(words: str, given: Path, name: str, recorded: Path | None) -> None:
    if recorded is None:
        raise InputError(f"its command has {words}, its record has no input '{name}'")
    path = Path(os.path.normpath(given))
    # Records have paths below the repository relative to it, wherever that was.
    inside = path.is_absolute() and path.parts[-len(recorded.parts) :] == recorded.parts
    if path != recorded and not inside and HIDDEN not in words:
        raise InputError(f"its command has {words}, its record has {recorded} as '{name}'")
