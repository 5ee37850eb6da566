"""Choice of the few labeled images of a run."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from folk.data.shards import PreparedData
from folk.data.splits import draw_split, read_list, rows_of_fold
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import atomic_write
from folk.stages.split import SplitRecipe
from folk.stages.task import Task


def run_split(task: Task[SplitRecipe]) -> dict[str, float]:
    """Choose training images and write their keys and labels to keys.parquet.

    Returns:
        number of images and of classes among them.

    Raises:
        InputError: the list is missing or has another digest than the recipe; see also
            `folk.data.splits`.
    """
    recipe, list_file = task.recipe, task.file_or_none("list")
    prepared = PreparedData.open(task.folder("dataset"))
    table = prepared.split("train")
    keys, labels = table.keys(), table.labels()
    if recipe.list_sha256 is None and list_file is not None:
        raise InputError(f"{list_file}: the recipe has no list_sha256; remove the list")
    if recipe.fold is not None:
        rows = rows_of_fold(prepared, recipe.fold)
    elif recipe.list_sha256 is None:
        rows = draw_split(
            labels,
            keys,
            per_class=recipe.per_class,
            fraction=recipe.fraction,
            seed=recipe.seed,
            num_classes=len(prepared.classes),
        )
    else:
        if list_file is None:
            raise InputError("--list: missing, the recipe has a list_sha256; give the list's path")
        rows = read_list(list_file, keys)
        digest = hashlib.sha256(list_file.read_bytes()).hexdigest()
        if digest != recipe.list_sha256:
            raise InputError(
                f"{list_file}: expected sha256 {recipe.list_sha256} (list_sha256 of the recipe), "
                f"got {digest}; get the list of the recipe"
            )
    chosen = labels[rows]
    columns = {"key": [keys[row] for row in rows], "label": pa.array(chosen, pa.int32())}
    with atomic_write(task.work / "keys.parquet") as temp:
        pq.write_table(pa.table(columns), temp)
    return {"images": float(len(rows)), "classes": float(len(set(chosen.tolist())))}
