"""Files that the user provides for a study: archives, folders, lists, weights."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from folk.data.datasets.kinds import KINDS
from folk.evidence.core.errors import nearest
from folk.evidence.study.study import DataEntry, Study
from folk.stages.prepare import PrepareRecipe
from folk.stages.pretrain import PretrainRecipe
from folk.stages.recipes.base import Recipe
from folk.stages.split import SplitRecipe

UNPUBLISHED = "no published digest"


def folder_of_images(entry: DataEntry, recipe: PrepareRecipe) -> str | None:
    """Return the folder that a recipe reads images from; None for other kinds."""
    return entry.source if recipe.kind == "folder" else None


def archive_paths(entry: DataEntry, recipe: PrepareRecipe) -> dict[str, str]:
    """Return the path of each archive: as the study names it, or in the study's folder.

    In a folder archives have their official names; a gzipped file may be unpacked.
    """
    if entry.source is None or not takes_archives(recipe):
        return entry.archives
    paths = {}
    for name, file in recipe.archive.files.items() if recipe.archive else ():
        path = Path(entry.source, file.file)
        plain = path.with_suffix("")
        is_unpacked = path.suffix == ".gz" and plain.is_file() and not path.is_file()
        paths[name] = str(plain if is_unpacked else path)
    return paths


def takes_archives(recipe: PrepareRecipe) -> bool:
    """True if the user provides archives for a recipe."""
    return recipe.kind in KINDS and not KINDS[recipe.kind].embedded


def archive_problems(entry: DataEntry, recipe: PrepareRecipe) -> list[str]:
    """List the mismatches between a data set's entry and its recipe."""
    wanted = recipe.archive.files if takes_archives(recipe) and recipe.archive else {}
    problems = [
        f"archives: unknown archive '{name}' for a recipe of kind '{recipe.kind}'"
        + nearest(name, wanted)
        for name in entry.archives
        if name not in wanted
    ]
    problems += [
        f"archives: missing '{name}'; give the path of {file.file}"
        for name, file in wanted.items()
        if entry.source is None and name not in entry.archives
    ]
    if recipe.kind == "folder" and entry.source is None:
        problems.append("source: missing; give the folder of images")
    if recipe.kind != "folder" and not wanted and entry.source is not None:
        problems.append(f"source: a recipe of kind '{recipe.kind}' takes no folder; remove it")
    if wanted and entry.archives and entry.source is not None:
        problems.append("source: the archives are named one by one; remove it or them")
    return problems


def missing_files(
    study: Study,
    recipes: Mapping[tuple[str, str], Recipe],
    data: Collection[str],
    splits: Collection[str],
    rows: Collection[str] = (),
) -> list[str]:
    """List the missing files and folders of the user.

    Args:
        rows: the rows whose encoders are to be trained or loaded from a checkpoint.

    Returns:
        path, description and, if known, the expected digest.
    """
    lines: list[str] = []
    for name in study.data:
        if name in data:
            lines += _missing_of(study, recipes, name)
    for name, split in study.splits.items():
        recipe = recipes["split", name]
        assert isinstance(recipe, SplitRecipe)
        if name in splits and split.list_file and not Path(split.list_file).is_file():
            lines.append(f"{split.list_file}: list of split '{name}', sha256 {recipe.list_sha256}")
    return lines + list(_missing_checkpoints(recipes, [r for r in study.encoders if r in rows]))


def _missing_checkpoints(
    recipes: Mapping[tuple[str, str], Recipe], rows: Collection[str]
) -> Iterator[str]:
    """Yield a line for each missing file of weights, with all its rows."""
    of_file: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        recipe = recipes["pretrain", row]
        assert isinstance(recipe, PretrainRecipe)
        checkpoint = recipe.encoder.checkpoint
        if checkpoint is not None and not Path(checkpoint.path).is_file():
            of_file.setdefault((checkpoint.path, checkpoint.sha256), []).append(f"'{row}'")
    for (path, sha256), names in of_file.items():
        yield f"{path}: weights of row {', '.join(names)}, sha256 {sha256}"


def _missing_of(
    study: Study, recipes: Mapping[tuple[str, str], Recipe], name: str
) -> Iterator[str]:
    entry, recipe = study.data[name], recipes["prepare", name]
    assert isinstance(recipe, PrepareRecipe)
    folder = folder_of_images(entry, recipe)
    if folder is not None and not Path(folder).is_dir():
        yield f"{folder}: folder of images of '{name}', train/<class>/* and val/<class>/*"
    for key, path in archive_paths(entry, recipe).items():
        if not Path(path).is_file():
            assert recipe.archive is not None
            file = recipe.archive.files[key]
            digest = UNPUBLISHED if file.md5 is None else f"md5 {file.md5}"
            if file.unpacked_sha256 is not None:
                digest = f"unpacked sha256 {file.unpacked_sha256}"
            yield f"{path}: archive '{key}' of '{name}', officially {file.file}, {digest}"
