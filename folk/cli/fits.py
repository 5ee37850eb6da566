"""Recipes that are valid alone and do not fit the encoder of a row, found before the first job."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Place
from folk.evidence.record.environment import environment
from folk.evidence.record.fingerprint import SOURCE, code_fingerprint
from folk.evidence.study.study import Study
from folk.stages.pretrain import PretrainRecipe
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.load import where_in
from folk.stages.recipes.named import recipe_file

FOUND = Path(".snakemake/fits")  # an empty file for each study that fits
CHECK = "folk.stages.fit"


@dataclass(frozen=True)
class Fits:
    """The check of a study's recipes with its encoders.

    Attributes:
        study: the study.
        place: its file, for the lines of an error.
        folder: its recipes.
        recipes: by stage and name of the entry.
    """

    study: Study
    place: Place
    folder: Path
    recipes: Mapping[tuple[str, str], Recipe]

    def check(self, jobs: Iterable[tuple[str, str, str]]) -> None:
        """Check each recipe once with each different encoder; one process imports torch.

        Args:
            jobs: stage, name of the entry and row of the jobs to run.

        Raises:
            InputError: a line for each recipe that does not fit, with file, line and key.
        """
        of_pair: dict[str, list[tuple[str, str, str]]] = {}
        for stage, entry, row in dict.fromkeys(jobs):
            values = self.recipes[stage, entry].fit_values()
            key = json.dumps([stage, values, self._encoder(row)], sort_keys=True)
            of_pair.setdefault(key, []).append((stage, entry, row))
        packages = environment(SOURCE)["packages"]
        parts = [sorted(of_pair), packages, code_fingerprint(CHECK, SOURCE)]
        stamp = FOUND / sha256_of_json(parts)
        # A driver may lack torch, if jobs run in an environment of their own; they check alone.
        if not of_pair or stamp.exists() or find_spec("torch") is None:
            return
        asked = [self._question(*places[0]) for places in of_pair.values()]
        answers = _answers(asked)
        if answers is None:
            return
        found = zip(of_pair.values(), answers, strict=True)
        lines = [self._line(places, problem) for places, problem in found if problem]
        if lines:
            raise InputError("\n".join(lines))
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()

    def _encoder(self, row: str) -> dict[str, Any]:
        recipe = self.recipes["pretrain", row]
        assert isinstance(recipe, PretrainRecipe)
        return recipe.encoder.model_dump(mode="json") | {"checkpoint": None}

    def _question(self, stage: str, entry: str, row: str) -> dict[str, Any]:
        recipe = self.recipes[stage, entry].model_dump(mode="json")
        return {"stage": stage, "recipe": recipe, "encoder": self._encoder(row)}

    def _line(self, places: list[tuple[str, str, str]], problem: str) -> str:
        """Put file and line of the key before a problem, and the entry and its rows after it."""
        stage, entry, row = places[0]
        key = problem.partition(":")[0]
        own = key.partition(".")[0] in type(self.recipes[stage, entry]).model_fields
        where = self._where(stage, entry, key) if own else self._where("pretrain", row, key)
        rows = ", ".join(f"'{each}'" for _, _, each in places)
        evaluation = f"'{entry}' of " if self.study.stages[stage].is_evaluation else ""
        return f"{where}: {problem} ({evaluation}row {rows})"

    def _where(self, stage: str, entry: str, key: str) -> str:
        """Return `file:line` of a recipe's key: in the study if it sets the key, or the recipe."""
        values = self.study.entry(stage, entry)
        section = self.study.stages[stage].section
        assert section is not None
        for dotted in values.overrides:
            if f"{key}.".startswith(f"{dotted}.") or f"{dotted}.".startswith(f"{key}."):
                return self.place.where((section, self._written(stage, entry), "set", dotted))
        return where_in(recipe_file(self.folder, stage, values), key)

    def _written(self, stage: str, entry: str) -> str:
        return self.study.written_name(entry) if self.study.stages[stage].is_evaluation else entry


def _answers(asked: list[dict[str, Any]]) -> list[str | None] | None:
    """Ask a process that imports torch; None if it fails, which must not stop a study."""
    path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", CHECK],
        input=json.dumps(asked),
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        print(f"recipes were not checked with their encoders: {reason}", file=sys.stderr)
        return None
    answers: list[str | None] = json.loads(done.stdout)
    return answers
