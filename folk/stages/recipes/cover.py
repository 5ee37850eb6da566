"""Smallest subset of a study that uses each of its recipes once."""

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


def smallest_cover(study: Study, recipes: Recipes, rows: Collection[str] = ()) -> Cover:
    """Choose rows and evaluations, greedily, until nothing new is left to choose.

    To be covered: every pre-training recipe with every encoder it makes; every recipe of the
    other stages; every data set, by each stage that reads it. An evaluation is kept for one row.

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
    kept = [row for row in study.encoders if row in rows] if rows else _rows(study, recipes)
    evaluations: dict[str, list[str]] = {}
    used: set[Hashable] = set()
    for name in study.evaluations:
        measured = [row for row in kept if row in study.rows_of(name)]
        if measured and not _uses(study, name) <= used:
            # Take turns, so that every encoder is read by some stage.
            row = min(
                measured, key=lambda row: sum(row in others for others in evaluations.values())
            )
            for needed in _with_classifier(study, name):
                evaluations[needed] = sorted({*evaluations.get(needed, []), row}, key=kept.index)
                used |= _uses(study, needed)
    evaluations = {name: evaluations[name] for name in study.evaluations if name in evaluations}
    return _with_data(study, kept, evaluations, everything=not rows)


def _rows(study: Study, recipes: Recipes) -> list[str]:
    offers: dict[str, set[Hashable]] = {}
    for row, entry in study.encoders.items():
        recipe = recipes["pretrain", row]
        assert isinstance(recipe, PretrainRecipe)
        offers[row] = {("pretrain", entry.recipe, recipe.encoder.timm_name)}
        for name in study.evaluations:
            if row in study.rows_of(name):
                offers[row] |= _uses(study, name)
    kept: set[str] = set()
    missing = set[Hashable]().union(*offers.values())
    while missing:
        best = max(offers, key=lambda row: len(offers[row] & missing))
        kept.add(best)
        missing -= offers[best]
    return [row for row in study.encoders if row in kept]


def _uses(study: Study, name: str) -> set[Hashable]:
    evaluation = study.evaluations[name]
    uses: set[Hashable] = {(evaluation.stage, evaluation.recipe)}
    uses |= {(evaluation.stage, "reads", data) for data in evaluation.data}
    if evaluation.split is not None:
        uses.add(("split", study.splits[evaluation.split].recipe))
    return uses


def _with_classifier(study: Study, name: str) -> list[str]:
    classifier = study.evaluations[name].classifier
    return [name] if classifier is None else [classifier, name]


def _with_data(
    study: Study, rows: list[str], evaluations: dict[str, list[str]], *, everything: bool
) -> Cover:
    """Add the inputs of rows and evaluations and, for `everything`, recipes without a reader."""
    named = {study.evaluations[name].split for name in evaluations}
    splits = _one_of_each(study.splits, {name for name in named if name}, everything)
    read = {study.encoders[row].data for row in rows}
    read |= {data for name in evaluations for data in study.evaluations[name].data}
    read |= {study.splits[name].data for name in splits}
    return Cover(rows, evaluations, splits, _one_of_each(study.data, read, everything))


def _one_of_each(entries: Mapping[str, Any], needed: set[str], everything: bool) -> list[str]:
    recipes = {entries[name].recipe for name in needed}
    kept = set(needed)
    for name, entry in entries.items():
        if everything and entry.recipe not in recipes:
            recipes.add(entry.recipe)
            kept.add(name)
    return [name for name in entries if name in kept]
