"""`prepare`: pictures, embedded or in a folder, into shards."""

from pathlib import Path

from folk.data.prepare import prepare_image_folder, prepare_scenes
from folk.errors import InputError
from folk.recipes.prepare import PrepareRecipe


def run_prepare(
    recipe: PrepareRecipe, source: Path | None, out: Path, name: str
) -> dict[str, float]:
    """Make a prepared data set in `out`.

    Args:
        recipe: which pictures.
        source: the folder of pictures, for kind "folder".
        out: where shards, manifest.parquet and dataset.json shall stand.
        name: of the data set.

    Returns:
        number of pictures by split.

    Raises:
        InputError: no source where one is needed, or one where none is used; wrong pictures.
    """
    if recipe.kind == "scenes":
        assert recipe.scenes is not None
        if source is not None:
            raise InputError(f"{source}: a recipe of kind 'scenes' reads no source; leave it out")
        values = recipe.scenes.model_dump()
        for key in ("digit_scale", "digit_brightness"):
            low, high = values[key]
            values[key] = (low, high)
        counts = prepare_scenes(out, name=name, **values)
    else:
        assert recipe.folder is not None
        if source is None:
            raise InputError("a recipe of kind 'folder' needs a source, the folder of pictures")
        counts = prepare_image_folder(source, out, name=name, **recipe.folder.model_dump())
    return {f"num_{split}": float(count) for split, count in counts.items()}
