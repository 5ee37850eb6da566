"""Command `smoke`, which writes a study with the papers' shapes and two updates per stage."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from ruamel.yaml import YAML

from folk.cli.read import Results, StudyFile
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write
from folk.evidence.core.shipped import SHIPPED
from folk.evidence.study.study import Study, load_study, written_study
from folk.stages.prepare import PrepareRecipe
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.cover import Cover, cover_of
from folk.stages.recipes.named import recipes_of
from folk.stages.recipes.smoke import archive_values, smoke_study, split_values
from folk.stages.split import SplitRecipe
from folk.stages.table import STAGES


def smoke(
    study: StudyFile,
    rows: Annotated[
        str,
        typer.Option(help="encoder rows, such as mfm,folk; by default one per recipe and encoder"),
    ] = "",
    results: Results = Path("results"),
) -> None:
    """Write a study that tries every recipe for two updates.

    It is <study>-smoke.yaml, on miniature archives. Encoders, image sizes, heads, windows and
    losses stay; lengths and batches are cut. Its results are marked `scale: smoke` and enter no
    table of another study.
    """
    whole = written_study(study, STAGES)
    if whole.scale == "smoke":
        raise InputError(f"{study}: scale is 'smoke'; name the study that it was written from")
    path = path_for(study, "smoke")
    recipes = recipes_of(whole, study)
    cover = cover_of(whole, recipes, [row for row in rows.split(",") if row])
    folder = results / path.stem / "archives"
    values = smoke_study(
        whole,
        recipes,
        cover,
        name=path.stem,
        sources={name: _source(recipes["prepare", name], folder / name) for name in cover.data},
        lists={name: _list(recipes["split", name], folder / "lists") for name in cover.splits},
    )
    if whole.recipes is not None:
        values["recipes"] = whole.recipes
    write_study(path, values, f"smoke {study}")
    _say(whole, cover, path)


def path_for(study: Path, suffix: str) -> Path:
    """Return the path of a study that is written from another: `<study>-<suffix>.yaml`."""
    path = study.with_name(f"{study.stem}-{suffix}.yaml")
    # Nothing is written into an installation.
    return Path(path.name) if study.is_relative_to(SHIPPED / "config") else path


def write_study(path: Path, values: Mapping[str, Any], command: str) -> None:
    """Write a study file, and check it.

    Args:
        path: of the file.
        values: of the study.
        command: what has made it, without `python -m folk`.
    """
    plain = YAML()
    plain.default_flow_style, plain.width = None, 120
    with atomic_write(path) as temp, temp.open("w", encoding="utf-8") as file:
        file.write(f"# Written by `python -m folk {command}`; write it again, do not edit it.\n")
        plain.dump(values, file)
    load_study(path, STAGES)  # a bug shows here, not in a job


def _source(recipe: Recipe, folder: Path) -> dict[str, Any]:
    from folk.data.datasets.miniature import write_stand_in

    assert isinstance(recipe, PrepareRecipe)
    files = {} if recipe.archive is None else recipe.archive.files
    made = write_stand_in(recipe.kind, {name: f.file for name, f in files.items()}, folder)
    if made.source is not None:
        return {"source": made.source.as_posix(), "set": {}}
    return {
        "archives": {name: path.as_posix() for name, path in made.archives.items()},
        "set": archive_values(recipe, made),
    }


def _list(recipe: Recipe, folder: Path) -> dict[str, Any]:
    from folk.data.datasets.miniature import few_label_list

    assert isinstance(recipe, SplitRecipe)
    if recipe.list_sha256 is None:
        return {"set": split_values(recipe, "")}
    path = few_label_list(folder / "few.txt")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"list": path.as_posix(), "set": split_values(recipe, sha256)}


def _say(study: Study, cover: Cover, path: Path) -> None:
    jobs = sum(len(rows) for rows in cover.evaluations.values())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(
        f"{path}: {len(cover.rows)} of {len(study.encoders)} rows, {jobs} evaluations, "
        f"{len(cover.data)} data sets; run it:",
        markup=False,
    )
    print(f"snakemake --configfile {path} --resources mem_mb={memory}")
