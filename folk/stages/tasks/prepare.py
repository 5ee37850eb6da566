"""Preparation of embedded images, a folder or official archives as shards."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folk.data.datasets.kinds import EMBEDDED, KINDS, read_archives
from folk.data.datasets.members import read_unpacked
from folk.data.datasets.source import chosen
from folk.data.prepare import prepare_image_folder, prepare_scenes
from folk.data.store import store_images
from folk.evidence.core.digest import FileDigest, digest_input
from folk.evidence.core.errors import InputError, nearest
from folk.stages.prepare import Archives, PrepareRecipe
from folk.stages.task import Task


def run_prepare(task: Task[PrepareRecipe]) -> dict[str, float]:
    """Make a prepared data set: shards, manifest.parquet and dataset.json.

    Returns:
        number of images by split.

    Raises:
        InputError: a missing or unused source or archive; archives with other digests than the
            recipe has; invalid images.
    """
    recipe, source, given = task.recipe, task.file_or_none("source"), task.by_name("archive")
    # Before anything is published, `live` raises if another start of the job has taken over.
    job: dict[str, Any] = {
        "name": task.name,
        "identity": task.identity,
        "confirm": lambda: task.live(0, {}),
    }
    if recipe.kind != "folder" and source is not None:
        raise InputError(f"{source}: a recipe of kind '{recipe.kind}' takes no source; remove it")
    embedded = recipe.kind in KINDS and KINDS[recipe.kind].embedded
    if (recipe.kind not in KINDS or embedded) and given:
        raise InputError(
            f"--archive {next(iter(given))}: a recipe of kind '{recipe.kind}' takes no archive; "
            "remove it"
        )
    if recipe.kind == "scenes":
        assert recipe.scenes is not None
        values = recipe.scenes.model_dump()
        for key in ("digit_scale", "digit_brightness"):
            low, high = values[key]
            values[key] = (low, high)
        counts = prepare_scenes(task.work, **job, **values)
    elif recipe.kind == "folder":
        assert recipe.folder is not None
        if source is None:
            raise InputError(
                "--source: missing for a recipe of kind 'folder'; give the folder of images"
            )
        counts = prepare_image_folder(source, task.work, **job, **recipe.folder.model_dump())
    else:
        assert recipe.archive is not None
        if embedded:
            files = recipe.archive.files.items()
            given = {key: EMBEDDED / recipe.kind / file.file for key, file in files}
        digests = _checked_digests(recipe.archive, given)
        # In the recipe's order, whatever the order of the options.
        paths = {key: given[key] for key in recipe.archive.files}
        images = read_archives(recipe.kind, paths, recipe.archive.classes)
        expected, num_splits = recipe.archive.images or {}, recipe.archive.splits
        if recipe.subset is not None and (part := recipe.subset.model_dump(exclude_none=True)):
            images = chosen(images, expected=expected, num_splits=num_splits, **part)
            expected, num_splits = {}, None
        counts = store_images(
            images,
            task.work,
            sources=[
                {"name": key, "sha256": digests[key].sha256, "bytes": digests[key].size}
                for key in paths
            ],
            expected=expected,
            num_splits=num_splits,
            **job,
        )
    return {f"num_{split}": float(count) for split, count in counts.items()}


def _checked_digests(wanted: Archives, given: Mapping[str, Path]) -> dict[str, FileDigest]:
    """Digest all archives; raise one InputError with every problem."""
    problems = [
        f"--archive {key}: unknown archive name{nearest(key, wanted.files)}"
        for key in given
        if key not in wanted.files
    ]
    problems += [
        f"archive '{key}': missing; give --archive {key}=PATH of {file.file}"
        for key, file in wanted.files.items()
        if key not in given
    ]
    if problems:
        raise InputError("\n".join(problems))
    digests = {key: digest_input(path) for key, path in given.items()}
    for key, file in wanted.files.items():
        if file.md5 not in (None, digests[key].md5):
            problems.append(
                f"{given[key]}: expected md5 {file.md5} ({file.file}), got {digests[key].md5}; "
                "get it again"
            )
        if file.unpacked_sha256 is not None:
            found = hashlib.sha256(read_unpacked(given[key])).hexdigest()
            if found != file.unpacked_sha256:
                problems.append(
                    f"{given[key]}: expected sha256 {file.unpacked_sha256} of what is in "
                    f"{file.file}, got {found}; get it again"
                )
    if problems:
        raise InputError("\n".join(problems))
    return digests
