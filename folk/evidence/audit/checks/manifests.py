"""Check of data sets and predictions against the manifests, which list every image."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from folk.evidence.audit.chain import Job
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.columns import read_columns

LEARNED = ("train", "unlabeled")  # splits that are trained on
MEASURED = "val"  # the split that is measured, and that is the clean one of a robustness


def check_manifests(
    subject: Subject, accused: Collection[str], broken: Collection[str]
) -> Iterator[Finding]:
    """Compare keys and labels of predictions with the manifest, and its splits with each other.

    Args:
        subject: the study.
        accused: files that are not as recorded, of which findings would be consequences.
        broken: why cells could not be derived; a file that they name is not reported again.
    """
    measured: dict[Path, dict[str, Any]] = {}  # images of each split, by folder of the data set
    for path, job in subject.planned.items():
        if job.record["stage"] != "prepare":
            continue
        place = path.with_name("manifest.parquet")
        if place.as_posix() in accused:
            continue
        try:
            names = ["key", "label", "split", "sha256"]
            manifest = read_columns(place, names, what="manifest").combine_chunks()
        except InputError as error:
            subject.not_checked.append(f"{error}; no predictions were compared to it")
            continue
        yield from _shared(subject, job, manifest)
        splits = set(pc.unique(manifest["split"]).to_pylist()) - set(LEARNED) | {MEASURED}
        measured[path.parent] = {
            split: manifest.filter(pc.equal(manifest["split"], split)) for split in splits
        }
    for job in subject.planned.values():
        sets = [Path(e["path"]).parent for e in job.inputs if e["name"].split("/")[0] == "dataset"]
        if not sets or not measured.keys() >= {*sets}:
            continue
        images = _by_variant({folder.name: measured[folder] for folder in sets})
        for output in job.outputs:
            path = Path(output["path"])
            if not path.match("predictions*.parquet") or path.as_posix() in accused:
                continue
            try:
                says = _differs(path, images, measured[sets[0]][MEASURED])
            except InputError as error:
                named = any(path.as_posix() in line for line in broken)
                says = None if named else str(error)
            if says is not None:
                yield Finding("tampered", path.as_posix(), says, subject.plan.cells(path))


def _shared(subject: Subject, job: Job, manifest: Any) -> Iterator[Finding]:
    """Remark on evaluation images that are training images too; a user may have reasons."""
    is_learned = pc.is_in(manifest["split"], value_set=pa.array(LEARNED))
    known = manifest.filter(is_learned)["sha256"].combine_chunks()
    others = manifest.filter(pc.invert(is_learned))
    twins = others.filter(pc.is_in(others["sha256"], value_set=known))
    for split in pc.unique(twins["split"]).to_pylist():
        count, total = (pc.sum(pc.equal(t["split"], split)).as_py() for t in (twins, others))
        says = f"{count} of {total} images of split '{split}' are, byte for byte, training images "
        says += "too: results on this split are too good"
        place = job.path.with_name("manifest.parquet").as_posix()
        yield Finding("ok", place, says, subject.plan.cells(job.path), remark=True)


def _by_variant(sets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the images of the variants that name a data set, or a split of it.

    All other variants, such as `fgsm`, are of the clean images.
    """
    found: dict[str, Any] = {}
    for name, splits in sets.items():
        for split, images in splits.items():
            names = [name] if split == MEASURED else [f"{name}-{split}", f"{name}/{split}"]
            found |= dict.fromkeys(names, images)
    return found


def _differs(path: Path, images: dict[str, Any], clean: Any) -> str | None:
    """Return how predictions differ from the images that were to be measured; None if they do not.

    Raises:
        InputError: an invalid file.
    """
    # Those of pixels have no label, and those of one variant do not name it.
    # Without k-shot, its file has no rows.
    table = read_columns(path, ["key"], optional=["label", "variant"], may_be_empty=True)
    if "variant" not in table.column_names:
        return _differs_from(clean, table)
    for variant in pc.unique(table["variant"]).to_pylist():
        part = table.filter(pc.equal(table["variant"], variant))
        if (says := _differs_from(images.get(variant, clean), part)) is not None:
            return f"{variant}: {says}"
    return None


def _differs_from(images: Any, table: Any) -> str | None:
    places = pc.index_in(table["key"].combine_chunks(), value_set=images["key"].combine_chunks())
    if unknown := places.null_count:
        says = "predictions are of no image of the data set that is measured"
        return f"{unknown} of {len(places)} {says}"
    if "label" in table.column_names:
        labels = images["label"].take(places)
        if wrong := pc.sum(pc.not_equal(labels, table["label"])).as_py():
            return f"{wrong} of {len(places)} labels are not those of the data set's manifest"
    if not len(images) == len(places) == pc.count_distinct(places).as_py():
        return (
            f"{len(places)} predictions of {len(images)} images: some are left out, or there twice"
        )
    return None
