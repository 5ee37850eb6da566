"""Source images and archives of a study's data sets, as they are here today."""

from pathlib import Path

from folk.evidence.core.errors import InputError
from folk.evidence.study.study import DataEntry, Study
from folk.stages.prepare import PrepareRecipe
from folk.stages.recipes.named import recipe_of
from folk.stages.recipes.provide import archive_paths, folder_of_images


def sources_today(study: Study, recipes: Path) -> dict[str, dict[str, Path]]:
    """List what each data set would be made from: images by key, archives by name.

    A data set whose sources are not here, or whose recipe cannot be read, is left out.

    Args:
        study: the study.
        recipes: its folder of recipes.
    """
    found = {}
    for name, entry in study.data.items():
        try:
            recipe = recipe_of(recipes, "prepare", entry)
        except InputError:
            continue
        assert isinstance(recipe, PrepareRecipe)
        sources = _sources(entry, recipe)
        if sources is not None:
            found[name] = sources
    return found


def _sources(entry: DataEntry, recipe: PrepareRecipe) -> dict[str, Path] | None:
    source = folder_of_images(entry, recipe)
    if source is None:
        archives = {name: Path(path) for name, path in archive_paths(entry, recipe).items()}
        return {name: path for name, path in archives.items() if path.is_file()} or None
    folder = Path(source)
    assert recipe.folder is not None
    if not folder.is_dir():
        return None
    from folk.data.prepare import image_keys  # a second, which few studies need

    try:
        return {key: folder / key for key in image_keys(folder, recipe.folder.limit)}
    except InputError:
        return {}  # its preparation says what is wrong
