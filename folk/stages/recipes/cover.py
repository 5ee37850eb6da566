"""Small subset of a study that uses each of its recipes."""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.study.study import Study
from folk.stages.pretrain import PretrainRecipe
from folk.stages.recipes.base import Recipe

Recipes = Mapping[tuple[str, str], Recipe]


@dataclass(frozen=True)
class Cover:
    """Names of the kept entries, in the order of the study; evaluations with their rows."""

    rows: list[str]
    evaluations: dict[str, list[str]]
    splits: list[str]
    data: list[str]


def cover_of(study: Study, recipes: Recipes, rows: Collection[str] = ()) -> Cover:
    """Choose the first row of each pre-training recipe and encoder, and evaluations of these rows.

    An evaluation is kept for one row, if its recipe, its split's recipe, or a data set of its
    stage is not used yet.

    Args:
        study: of the papers' size.
        recipes: by stage and name of the entry, the study's own values laid over.
        rows: keep only these; empty chooses from all.

    Raises:
        InputError: an unknown row.
    """
    for row in rows:
        if row not in study.encoders:
            raise InputError(f"--rows {row}: unknown encoder row{nearest(row, study.encoders)}")
    first: dict[Hashable, str] = {}
    for row, entry in study.encoders.items():
        recipe = recipes["pretrain", row]
        assert isinstance(recipe, PretrainRecipe)
        first.setdefault((entry.recipe, recipe.encoder.timm_name), row)
    kept = set(rows or first.values())
    measured: dict[str, set[str]] = {}
    used: set[Hashable] = set()
    for name, evaluation in study.evaluations.items():
        if _uses(study, name) <= used:
            continue
        choice = [row for row in study.rows_of(name) if row in kept]
        if not rows:
            choice = choice or study.rows_of(name)[:1]
        if choice:
            # Take turns, so that every encoder is read by some stage.
            row = min(choice, key=lambda row: sum(row in others for others in measured.values()))
            kept.add(row)
            for needed in filter(None, (evaluation.classifier, name)):
                measured.setdefault(needed, set()).add(row)
                used |= _uses(study, needed)
    evaluations = {
        name: [row for row in study.encoders if row in measured[name]]
        for name in study.evaluations
        if name in measured
    }
    named = {study.evaluations[name].split for name in evaluations} - {None}
    splits = _one_of_each(study.splits, named, everything=not rows)
    read = {study.encoders[row].data for row in kept}
    read |= {data for name in evaluations for data in study.evaluations[name].data}
    read |= {study.splits[name].data for name in splits}
    data = _one_of_each(study.data, read, everything=not rows)
    return Cover([row for row in study.encoders if row in kept], evaluations, splits, data)


def _uses(study: Study, name: str) -> set[Hashable]:
    evaluation = study.evaluations[name]
    uses: set[Hashable] = {(evaluation.stage, evaluation.recipe)}
    uses |= {(evaluation.stage, "reads", data) for data in evaluation.data}
    if evaluation.split is not None:
        uses.add(("split", study.splits[evaluation.split].recipe))
    return uses


def _one_of_each(
    entries: Mapping[str, Any], needed: Collection[str | None], *, everything: bool
) -> list[str]:
    """Keep what is needed and, for `everything`, one entry of each recipe without a reader."""
    known = {entries[name].recipe for name in needed if name}
    kept = []
    for name, entry in entries.items():
        if name in needed or (everything and entry.recipe not in known):
            known.add(entry.recipe)
            kept.append(name)
    return kept
