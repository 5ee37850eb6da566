"""Smoke study: two updates of every stage, with the original shapes."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from folk.data.datasets.members import read_unpacked
from folk.evidence.core.digest import digest_file
from folk.evidence.study.study import Evaluation, Overrides, Study, Table
from folk.stages.prepare import PrepareRecipe
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.cover import Cover, Recipes
from folk.stages.split import SplitRecipe

if TYPE_CHECKING:
    from folk.data.datasets.miniature import StandIn


def smoke_study(
    study: Study,
    recipes: Recipes,
    cover: Cover,
    *,
    name: str,
    sources: Mapping[str, Mapping[str, Any]],
    lists: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Make the values of a study file that runs what `cover` keeps, with the same recipes.

    Args:
        sources: for each data set its `archives` or `source`, and their content in `set`.
        lists: for each split its `list`, if any, and `set`.
    """

    def cut(stage: str, entry: str, overrides: Overrides) -> dict[str, Any]:
        return laid_over(overrides, recipes[stage, entry].cuts())

    return {
        "study": name,
        "title": f"Smoke run of: {study.title}",
        "scale": "smoke",
        "resources": {
            name: {"threads": 1, "mem_mb": stage.smoke_mb, "runtime": 60}
            for name, stage in study.stages.items()
            if stage.section is not None
        },
        "data": {
            key: {
                "recipe": study.data[key].recipe,
                **sources[key],
                "set": laid_over(study.data[key].overrides, sources[key]["set"]),
            }
            for key in cover.data
        },
        "splits": {
            key: {
                "data": study.splits[key].data,
                "recipe": study.splits[key].recipe,
                **lists[key],
                "set": laid_over(study.splits[key].overrides, lists[key]["set"]),
            }
            for key in cover.splits
        },
        "encoders": {
            key: {
                **written(study.encoders[key]),
                "seeds": study.encoders[key].seeds[:1],
                "set": cut("pretrain", key, study.encoders[key].overrides),
            }
            for key in cover.rows
        },
        "evaluations": {
            key: {
                **written(study.evaluations[key]),
                **_first_seed(study.evaluations[key]),
                "encoders": rows,
                "set": cut(study.evaluations[key].stage, key, study.evaluations[key].overrides),
            }
            for key, rows in cover.evaluations.items()
        },
        "tables": dict(_tables(study, recipes, cover)),
    }


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge dotted keys and values; those of `above` come last and win."""
    return {key: value for key, value in below.items() if key not in above} | dict(above)


def archive_values(recipe: PrepareRecipe, made: "StandIn") -> dict[str, Any]:
    """Make the `set` of a data set with miniature archives, or with a few embedded images."""
    assert recipe.archive is not None
    values: dict[str, Any] = {}
    for name, path in made.archives.items():
        # Without a published digest, the miniature's is not checked either.
        if recipe.archive.files[name].md5 is not None:
            values[f"archive.files.{name}.md5"] = digest_file(path).md5
        if recipe.archive.files[name].unpacked_sha256 is not None:
            found = hashlib.sha256(read_unpacked(path)).hexdigest()
            values[f"archive.files.{name}.unpacked_sha256"] = found
    if made.archives:
        for key in ("classes", "splits", "images"):
            values[f"archive.{key}"] = getattr(made, key)
    if recipe.subset is not None:
        for key in type(recipe.subset).model_fields:
            values[f"subset.{key}"] = made.subset.get(key)
    return values


def split_values(recipe: SplitRecipe, list_sha256: str) -> dict[str, Any]:
    """Make the `set` of a split on the few images of a miniature."""
    if recipe.list_sha256 is not None:
        return {"list_sha256": list_sha256}
    if recipe.fold is not None:
        return {"fold": 0}
    return {"per_class": 1} if recipe.per_class is not None else {"fraction": 1.0}


def written(entry: Any) -> dict[str, Any]:
    """Convert an entry to the form of a study file."""
    values: dict[str, Any] = entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return values


def _first_seed(evaluation: Evaluation) -> dict[str, Any]:
    return {"seeds": evaluation.seeds[:1]} if evaluation.seeds else {}


def _tables(study: Study, recipes: Recipes, cover: Cover) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, table in study.tables.items():
        rows = [row for row in table.rows if row in cover.rows]
        columns = _columns(table, study, recipes, cover)
        if rows and columns:
            yield (
                name,
                {
                    "title": table.title,
                    "caption": table.caption,
                    "reproduces": "nothing: two updates on miniature archives",
                    "rows": rows,
                    "columns": columns,
                },
            )


def _columns(
    table: Table, study: Study, recipes: Recipes, cover: Cover
) -> dict[str, dict[str, Any]]:
    found = {}
    for name, column in table.columns.items():
        if set(column.evaluations) <= set(cover.evaluations):
            used = [recipes[study.evaluations[key].stage, key] for key in column.evaluations]
            found[name] = {**written(column), "metric": metric_left(column.metric, used)}
    return found


def metric_left(metric: str, recipes: list[Recipe]) -> str:
    """Return the metric, or its substitute after the recipes have been cut."""
    for recipe in recipes:
        metric = recipe.metric_after_cuts(metric)
    return metric
