"""Assumptions of the recipes where the sources are silent, with the affected results."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folk.evidence.audit.today import Recipes
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document
from folk.evidence.report.escape import markdown_templates
from folk.evidence.results.evidence import Evidence
from folk.evidence.study.study import Evaluation, Study, run_name


@dataclass(frozen=True)
class Assumption:
    """One value without a source, with our reason for it."""

    stage: str
    key: str  # dotted, as in the recipe
    value: str
    basis: str
    recipes: list[str]
    others: list[str]  # alternatives, if the key's type lists them
    users: list[str]  # data sets, splits, rows or evaluations made by the stage
    tables: list[str]  # tables with a number that depends on it


@dataclass(frozen=True)
class _Choice:
    stage: str
    key: str
    value: str
    basis: str
    others: tuple[str, ...]


def assumptions_in_force(evidence: Evidence, recipes: Recipes) -> list[Assumption]:
    """Collect every assumption of every resolved recipe, once, in order of stage and key.

    Args:
        recipes: today's recipes, which list the values of a key.

    Raises:
        InputError: a resolved recipe is invalid YAML.
    """
    study = evidence.study
    users: dict[_Choice, set[str]] = {}
    parsed: dict[bytes, dict[str, Any]] = {}  # many runs share one recipe
    for stage, folder in evidence.folders():
        path, user = folder / "recipe.yaml", _user(study, stage, folder)
        if user is None or not path.is_file():
            continue
        text = path.read_bytes()
        if text not in parsed:
            parsed[text] = Document(path).values
        values = parsed[text]
        assumed = values.get("assume") or {}
        if not isinstance(assumed, dict):
            raise InputError(f"{path}: assume: expected keys with values; run that job again")
        for key, basis in assumed.items():
            value = _shown(_at(values, str(key)))
            now = recipes.get((stage, user))
            choices = map(_shown, now.choices.get(str(key), ()) if now is not None else ())
            others = tuple(other for other in choices if other != value)
            choice = _Choice(stage, str(key), value, str(basis), others)
            users.setdefault(choice, set()).add(user)
    stages = list(study.stages)
    in_order = sorted(users.items(), key=lambda item: (stages.index(item[0].stage), str(item[0])))
    return [
        Assumption(
            stage=choice.stage,
            key=choice.key,
            value=choice.value,
            basis=choice.basis,
            recipes=sorted({study.entry(choice.stage, user).recipe for user in found}),
            others=list(choice.others),
            users=sorted({_written(study, choice.stage, user) for user in found}),
            tables=_tables(study, choice.stage, found),
        )
        for choice, found in in_order
    ]


def render_assumptions(study: Study, assumptions: list[Assumption]) -> str:
    """Render all assumptions as Markdown."""
    by_stage = [(stage, [a for a in assumptions if a.stage == stage]) for stage in study.stages]
    template = markdown_templates().get_template("assumptions.md.jinja")
    return template.render(title=study.title, stages=[pair for pair in by_stage if pair[1]])


def _user(study: Study, stage: str, folder: Path) -> str | None:
    """Return the study's entry of the results in `folder`; None if it has none."""
    if stage == "pretrain":
        rows = {run_name(row, seed): row for run, row, seed in study.runs()}
        return rows.get(folder.name)
    named = {"prepare": set(study.data), "split": set(study.splits)}
    known = named.get(stage, set(study.evaluations))
    return folder.name if folder.name in known else None


def _written(study: Study, stage: str, user: str) -> str:
    return study.written_name(user) if study.stages[stage].is_evaluation else user


def _tables(study: Study, stage: str, users: set[str]) -> list[str]:
    def used_by(evaluation: Evaluation) -> bool:
        if stage == "prepare":
            return not users.isdisjoint(evaluation.data)
        return evaluation.split in users

    def depends(name: str) -> bool:
        table = study.tables[name]
        columns = table.columns.values()
        evaluations = {evaluation for column in columns for evaluation in column.evaluations}
        if stage == "pretrain":
            return not users.isdisjoint(table.rows)
        if stage not in ("prepare", "split"):
            return not users.isdisjoint(evaluations)
        trained_on = stage == "prepare" and any(study.encoders[r].data in users for r in table.rows)
        return trained_on or any(used_by(study.evaluations[name]) for name in evaluations)

    return [name for name in study.tables if depends(name)]


def _at(values: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        if not isinstance(values, Mapping) or key not in values:
            return ""
        values = values[key]
    return values


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_shown(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
