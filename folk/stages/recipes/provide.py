"""Files that the user provides for a study: archives, folders, lists, weights."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from folk.evidence.core.errors import nearest
from folk.evidence.study.study import DataEntry, Study
from folk.stages.prepare import PrepareRecipe
from folk.stages.pretrain import PretrainRecipe
from folk.stages.recipes.base import Recipe
from folk.stages.split import SplitRecipe

UNPUBLISHED = "no published digest"


def archive_problems(entry: DataEntry, recipe: PrepareRecipe) -> list[str]:
    """List the mismatches between a data set's entry and its recipe."""
    wanted = {} if recipe.archive is None else recipe.archive.files
    problems = [
        f"archives: unknown archive '{name}' for a recipe of kind '{recipe.kind}'"
        + nearest(name, wanted)
        for name in entry.archives
        if name not in wanted
    ]
    problems += [
        f"archives: missing '{name}'; give the path of {file.file}"
        for name, file in wanted.items()
        if name not in entry.archives
    ]
    if recipe.kind == "folder" and entry.source is None:
        problems.append("source: missing; give the folder of images")
    if recipe.kind != "folder" and entry.source is not None:
        problems.append(f"source: a recipe of kind '{recipe.kind}' takes no folder; remove it")
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
        study: the study; its paths are relative to the current folder.
        recipes: by stage and name of the entry.
        data: the data sets to prepare.
        splits: the splits to make.
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
    if entry.source is not None and not Path(entry.source).is_dir():
        yield f"{entry.source}: folder of images of '{name}', train/<class>/* and val/<class>/*"
    for key, path in entry.archives.items():
        if not Path(path).is_file():
            assert recipe.archive is not None
            file = recipe.archive.files[key]
            digest = UNPUBLISHED if file.md5 is None else f"md5 {file.md5}"
            yield f"{path}: archive '{key}' of '{name}', officially {file.file}, {digest}"
