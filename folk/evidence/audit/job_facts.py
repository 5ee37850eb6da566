"""Facts of one job, from its record, its files and today's repository."""

from collections.abc import Mapping
from typing import Any

from folk.evidence.audit.chain import Chain, Job
from folk.evidence.audit.explanation import DiffState, JobFacts, RecipeFacts
from folk.evidence.audit.file_states import FileStates
from folk.evidence.audit.kept_diff import kept_diff
from folk.evidence.audit.today import Today, agreement, changes
from folk.evidence.record.lineage import is_by_value

# What the record of the last start has elsewhere, and older records have not.
_OF_A_START: dict[str, Any] = dict.fromkeys(("last_step", "why", "slurm_state", "geometry"))


def job_facts(chain: Chain, job: Job, today: Today, read: FileStates) -> JobFacts:
    """Collect all facts of a job for an explanation."""
    record = job.record
    archives = (record["recipe"].get("archive") or {}).get("files", {})
    return JobFacts(
        job=job,
        starts=_starts(record),
        recipe=_recipe(record, today),
        code=agreement(record["code"]["fingerprint"], today.fingerprint(record["stage"])),
        lock=agreement(record["environment"]["lock_sha256"], today.lock_sha256),
        uncommitted=_uncommitted(chain, job),
        inputs=[_input(entry, archives, read) for entry in job.inputs],
        outputs=[entry | {"state": read.state(entry)} for entry in job.outputs],
        problems=[sentence for _, sentence in chain.broken([job])],
    )


def entry_of(stage: str, run: str | None, evaluation: str | None) -> str:
    """Return the name of the study's entry of a job."""
    if stage == "pretrain":
        return (run or "").rpartition("-s")[0]
    return (run if stage in ("prepare", "split") else evaluation) or ""


def _starts(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    slurm, hardware = record["scheduler"] or {}, record["hardware"]
    last = {
        "started": record["started"],
        "ended": record["ended"],
        "reason": record["outcome"],
        "node": slurm.get("node"),
        "job_id": slurm.get("job_id"),
        **{key: hardware[key] for key in ("host", "cpu", "gpus")},
        "fingerprint": record["code"]["fingerprint"],
        "lock_sha256": record["environment"]["lock_sha256"],
        "geometry": record.get("geometry"),
    }
    return [
        _OF_A_START
        | start
        | {
            "same_code": start["fingerprint"] == last["fingerprint"],
            "same_lock": start["lock_sha256"] == last["lock_sha256"],
            "same_geometry": _shape(start) in (None, _shape(last)),
        }
        for start in (*record["restarts"], last)
    ]


def _shape(start: Mapping[str, Any]) -> dict[str, int] | None:
    """Extract the parts of a geometry that may change the last bits of a result."""
    found = start.get("geometry")
    return found and {key: value for key, value in found.items() if key != "node_list"}


def _recipe(record: Mapping[str, Any], today: Today) -> RecipeFacts:
    entry = entry_of(record["stage"], record["run"], record["evaluation"])
    now = today.recipes.get((record["stage"], entry))
    if now is None:
        return RecipeFacts()
    # Prose and runtime may differ without effect.
    stated = {key: value for key, value in record["recipe"].items() if key in now.values}
    edited = changes(stated, now.values)
    return RecipeFacts(
        file=now.file,
        today="other" if edited else "same",
        edited=edited,
        by_study=changes(now.of_file, stated),
        base=now.base,
        over_base=[] if now.of_base is None else changes(now.of_base, stated),
    )


def _uncommitted(chain: Chain, job: Job) -> DiffState | None:
    if job.diff is None:
        return None
    kept = kept_diff(chain.root / job.diff, job.record["code"]["dirty_diff_sha256"])
    return "cut" if kept == "not UTF-8" else kept  # both are incomplete


def _input(entry: dict[str, Any], archives: Mapping[str, Any], read: FileStates) -> dict[str, Any]:
    if is_by_value(entry["name"]):
        entry = entry | {"sha256": None, "md5": None}
    known = archives.get(entry["name"].removeprefix("archive "), {})
    return entry | {"state": read.state(entry), "official_md5": known.get("md5")}
