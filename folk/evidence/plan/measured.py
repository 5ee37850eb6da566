"""Costs of finished jobs, looked up by the work they share with a new job."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.json_file import read_keys
from folk.evidence.core.replay_log import STATES
from folk.evidence.record.failures import READERS, WORK
from folk.evidence.record.schema import read_record
from folk.evidence.record.times import gpus_of, hours_of, threads_of

Place = tuple[str, str | None, str | None]


@dataclass(frozen=True)
class Device:
    """Device of a job: a number of GPUs, one process each, or of CPU threads."""

    gpus: int
    threads: int

    @classmethod
    def asked(cls, gpus: int, threads: int) -> "Device":
        """Make the device of a request; with a GPU, threads do not determine the time."""
        return cls(gpus, 0 if gpus else threads)


@dataclass
class Ledger:
    """Hours and bytes of finished jobs."""

    # by work and device, a number for each job
    hours: dict[tuple[str, Device], list[float]] = field(default_factory=dict)
    # by work, bytes of all outputs of each job without states kept for a replay
    sizes: dict[str, list[float]] = field(default_factory=dict)
    # by study, then stage, run and evaluation: hours (None if a start was killed) and bytes
    own: dict[tuple[str, Place], tuple[float | None, float]] = field(default_factory=dict)
    # by pre-training and one GPU or some threads: hours of its whole length, as `cost` measured
    steps: dict[tuple[str, Device], list[float]] = field(default_factory=dict)

    def hours_of(self, work: str, device: Device) -> float | None:
        """Return the median hours of the same work on the same kind of device."""
        found = self.hours.get((work, device))
        return statistics.median(found) if found else None

    def hours_by_steps(self, work: str, device: Device) -> float | None:
        """Return the hours of a pre-training from timed steps, with perfect scaling over GPUs."""
        found = self.steps.get((work, Device(min(device.gpus, 1), device.threads)))
        return statistics.median(found) / max(device.gpus, 1) if found else None

    def bytes_of(self, work: str) -> float | None:
        """Return the median size of the same work's results."""
        found = self.sizes.get(work)
        return statistics.median(found) if found else None


def work_of(stage: str, digest: str, **given: Any) -> str:
    """Hash all that determines the amount of work of a job, without its seed.

    Args:
        given: `source` of prepare; `data`, works of the data sets it reads; `split`, digest of its
            recipe; `encoder`, the architecture; `pretrain`, digest of the recipe that is measured.
    """
    return sha256_of_json([stage, digest, {k: v for k, v in given.items() if v is not None}])


def architecture(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Extract the architecture from a pre-training's recipe, as JSON."""
    return {key: recipe["encoder"][key] for key in ("timm_name", "timm_args")}


def read_ledger(results: Path) -> Ledger:
    """Read the records of all studies, without smoke runs.

    Raises:
        InputError: a record or its cost.json cannot be read.
    """
    found = sorted(results.glob("*/**/record.json"))
    # Growing state is in <study>/work; all else is finished. What reads all records is no work.
    left_out = {WORK, *READERS}
    paths = [path for path in found if path.relative_to(results).parts[1] not in left_out]
    records = [(path, read_record(path)) for path in paths]
    by_id = {str(record["id"]): record for _, record in records}
    ledger = Ledger()
    for path, record in records:
        if record["smoke"] or record["outcome"] != "finished":
            continue
        hours, device = hours_of(record), Device.asked(gpus_of(record), threads_of(record))
        size = float(sum(output["size"] for output in record["outputs"]))
        # How many states are kept for a replay is no part of the work.
        kept = [o["size"] for o in record["outputs"] if o["name"].startswith(f"{STATES}/")]
        place = (record["stage"], record["run"], record["evaluation"])
        ledger.own[record["study"], place] = (hours, size)
        pretrain = _measured_recipe(path)
        work = _work(record, by_id, pretrain)
        ledger.sizes.setdefault(work, []).append(size - sum(kept))
        if hours is not None:
            ledger.hours.setdefault((work, device), []).append(hours)
        if pretrain is not None and "hours_total" in record["metrics"]:
            on_one = Device(1, 0) if record["metrics"]["on_gpu"] else Device(0, threads_of(record))
            trained = work_of("pretrain", pretrain, data=_data(record, by_id))
            ledger.steps.setdefault((trained, on_one), []).append(record["metrics"]["hours_total"])
    return ledger


def _work(record: dict[str, Any], by_id: Mapping[str, Any], pretrain: str | None) -> str:
    stage, digest = record["stage"], record["recipe_digest"]
    if stage == "prepare":
        source = [i["path"] for i in record["inputs"] if i["name"] == "source"]
        return work_of(stage, digest, source=source[0] if source else None)
    return work_of(
        stage,
        digest,
        data=_data(record, by_id),
        split=next((p["recipe_digest"] for p in _makers(record, by_id, "split")), None),
        encoder=_encoder(record, by_id),
        pretrain=pretrain,
    )


def _makers(
    record: dict[str, Any], by_id: Mapping[str, Any], stage: str | None
) -> Iterator[dict[str, Any]]:
    """List the records of that stage, or of all, whose results a job read, each once."""
    for id_ in dict.fromkeys(entry["record"] for entry in record["inputs"]):
        maker = by_id.get(id_)
        if maker is not None and stage in (None, maker["stage"]):
            yield maker


def _data(record: dict[str, Any], by_id: Mapping[str, Any]) -> list[str]:
    return sorted(_work(maker, by_id, None) for maker in _makers(record, by_id, "prepare"))


def _encoder(record: dict[str, Any], by_id: Mapping[str, Any]) -> dict[str, Any] | None:
    for maker in _makers(record, by_id, "pretrain"):
        return architecture(maker["recipe"])
    # A classifier's encoder, for what reads no other file of a run.
    for maker in _makers(record, by_id, None):
        if (found := _encoder(maker, by_id)) is not None:
            return found
    return None


def _measured_recipe(record: Path) -> str | None:
    """Return the digest of the recipe that a job timed; None if it timed none."""
    path = record.with_name("cost.json")
    if not path.is_file():
        return None
    digest = read_keys(path, "measure the cost again").get("pretrain_recipe_digest")
    return None if digest is None else str(digest)
