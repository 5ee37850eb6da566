"""Check of data sets and predictions against the manifests, which list every image."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from folk.evidence.audit.chain import Job
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject

LEARNED = ("train", "unlabeled")  # splits that are trained on
# With one row for each image, and the labels of the data set.
PREDICTIONS = ("predictions.parquet", "predictions-linear.parquet")


def check_manifests(subject: Subject, accused: Collection[str]) -> Iterator[Finding]:
    """Compare keys and labels of predictions with the manifest, and its splits with each other.

    Args:
        subject: the study.
        accused: files that are not as recorded, of which findings would be consequences.
    """
    manifests: dict[Path, Any] = {}
    for path, job in subject.planned.items():
        if job.record["stage"] == "prepare":
            manifests[path.parent] = _read(subject, path.with_name("manifest.parquet"), accused)
            yield from _shared(subject, job, manifests[path.parent])
    for job in subject.planned.values():
        folder = next((Path(e["path"]).parent for e in job.inputs if e["name"] == "dataset"), None)
        manifest = manifests.get(folder) if folder else None
        for output in job.outputs if manifest is not None else ():
            path = Path(output["path"])
            if path.name not in PREDICTIONS or path.as_posix() in accused:
                continue
            if (says := _differs(path, manifest)) is not None:
                yield Finding("tampered", path.as_posix(), says, subject.plan.cells(path))


def _read(subject: Subject, path: Path, accused: Collection[str]) -> Any:
    if path.as_posix() in accused:
        return None
    try:
        columns = ["key", "label", "split", "sha256"]
        return pq.ParquetFile(path).read(columns).select(columns).combine_chunks()
    except (OSError, ValueError, KeyError, pa.ArrowException):
        subject.not_checked.append(f"{path}: not a manifest, so no predictions were compared to it")
        return None


def _shared(subject: Subject, job: Job, manifest: Any) -> Iterator[Finding]:
    """Remark on evaluation images that are training images too; a user may have reasons."""
    if manifest is None:
        return
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


def _differs(path: Path, manifest: Any) -> str | None:
    """Return how predictions differ from the images of their data set; None if they do not."""
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, ValueError, pa.ArrowException):
        return None  # reported for the cells that are derived from them
    if not {"key", "label"} <= set(table.column_names):
        return None  # of pixels
    keys = manifest["key"].combine_chunks()
    places = pc.index_in(table["key"].combine_chunks(), value_set=keys)
    if unknown := places.null_count:
        return f"{unknown} of {len(places)} predictions are of no image of the data set"
    found = manifest.take(places)
    if wrong := pc.sum(pc.not_equal(found["label"], table["label"])).as_py():
        return f"{wrong} of {len(places)} labels are not those of the data set's manifest"
    asked = pc.sum(pc.is_in(manifest["split"], value_set=pc.unique(found["split"]))).as_py()
    if not asked == len(places) == pc.count_distinct(found["key"]).as_py():
        return f"{len(places)} predictions of {asked} images: some are left out, or there twice"
    return None
