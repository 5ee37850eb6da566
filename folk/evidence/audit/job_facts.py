"""Facts of one job, from its record, its files and today's repository."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import Chain, Job
from folk.evidence.audit.explanation import (
    CodeFacts,
    DiffState,
    EnvironmentFacts,
    FileFacts,
    JobFacts,
    RecipeFacts,
    Start,
)
from folk.evidence.audit.file_states import FileStates
from folk.evidence.audit.kept_diff import kept_diff
from folk.evidence.audit.today import Today, agreement, changes

# Recipes are compared by value: a comment changes the file but no result.
RECIPE_INPUT = "pretrain-recipe"


def job_facts(chain: Chain, job: Job, today: Today, read: FileStates) -> JobFacts:
    """Collect all facts of a job for an explanation."""
    record = job.record
    return JobFacts(
        name=job.name,
        stage=record["stage"],
        run=record["run"],
        evaluation=record["evaluation"],
        seed=record["seed"],
        finetune_seed=record.get("finetune_seed"),
        record=job.path.as_posix(),
        id=job.id,
        id_holds=job.id_holds,
        parents=list(record["parents"]),
        command=shlex.join(record["argv"]),
        metrics=dict(record["metrics"]),
        seconds=record["seconds"],
        starts=_starts(record),
        recipe=_recipe(record, today),
        code=_code(chain, job, today),
        environment=_environment(record, today),
        inputs=[_input(entry, record, read) for entry in job.inputs],
        outputs=[_file(entry, read) for entry in job.outputs],
        problems=[sentence for _, sentence in chain.broken([job])],
    )


def entry_of(stage: str, run: str | None, evaluation: str | None) -> str:
    """Return the name of the study's entry of a job."""
    if stage == "pretrain":
        return (run or "").rpartition("-s")[0]
    return (run if stage in ("prepare", "split") else evaluation) or ""


def _starts(record: Mapping[str, Any]) -> list[Start]:
    code, lock = record["code"]["fingerprint"], record["environment"]["lock_sha256"]
    slurm, hardware = record["scheduler"] or {}, record["hardware"]
    earlier = [
        Start(
            **{key: start[key] for key in ("started", "ended", "reason", "host", "node", "job_id")},
            **{key: start[key] for key in ("cpu", "gpus", "last_step")},
            same_code=start["fingerprint"] == code,
            **{key: start.get(key) for key in ("why", "slurm_state", "geometry")},
            same_lock=start["lock_sha256"] == lock,
            same_geometry=_shape(start) in (None, _shape(record)),
        )
        for start in record["restarts"]
    ]
    last = Start(
        started=record["started"],
        ended=record["ended"],
        reason=record["outcome"],
        host=hardware["host"],
        node=slurm.get("node"),
        job_id=slurm.get("job_id"),
        cpu=hardware["cpu"],
        gpus=list(hardware["gpus"]),
        last_step=None,
        why=None,
        slurm_state=None,
        geometry=record.get("geometry"),
        same_code=True,
        same_lock=True,
        same_geometry=True,
    )
    return [*earlier, last]


def _shape(start: Mapping[str, Any]) -> dict[str, int] | None:
    """Extract the parts of a geometry that may change the last bits of a result."""
    found = start.get("geometry")
    return found and {key: value for key, value in found.items() if key != "node_list"}


def _recipe(record: Mapping[str, Any], today: Today) -> RecipeFacts:
    entry = entry_of(record["stage"], record["run"], record["evaluation"])
    now = today.recipes.get((record["stage"], entry))
    told, assumed = record["recipe"], dict(record["recipe"].get("assume", {}))
    if now is None:
        return RecipeFacts(
            digest=record["recipe_digest"],
            file=None,
            today="unknown",
            edited=[],
            by_study=[],
            base=None,
            over_base=[],
            assumed=assumed,
        )
    # Prose and runtime may differ without effect.
    told = {key: value for key, value in told.items() if key in now.values}
    edited = changes(told, now.values)
    return RecipeFacts(
        digest=record["recipe_digest"],
        file=now.file,
        today="other" if edited else "same",
        edited=edited,
        by_study=changes(now.of_file, told),
        base=now.base,
        over_base=[] if now.of_base is None else changes(now.of_base, told),
        assumed=assumed,
    )


def _code(chain: Chain, job: Job, today: Today) -> CodeFacts:
    said, now = job.record["code"], today.fingerprint(job.record["stage"])
    diff = job.diff
    return CodeFacts(
        fingerprint=said["fingerprint"],
        today=agreement(said["fingerprint"], now),
        today_fingerprint=now,
        commit=said["commit"],
        dirty=said["dirty"],
        diff=None if diff is None else diff.as_posix(),
        diff_state=None
        if diff is None
        else _diff_state(chain.root / diff, said["dirty_diff_sha256"]),
    )


def _diff_state(path: Path, digest: str) -> DiffState:
    kept = kept_diff(path, digest)
    return "cut" if kept == "not UTF-8" else kept  # both are incomplete


def _environment(record: Mapping[str, Any], today: Today) -> EnvironmentFacts:
    said = record["environment"]
    return EnvironmentFacts(
        python=said["python"],
        torch=said["packages"].get("torch"),
        platform=said["platform"],
        lock_sha256=said["lock_sha256"],
        lock_today=agreement(said["lock_sha256"], today.lock_sha256),
    )


def _input(entry: dict[str, Any], record: Mapping[str, Any], read: FileStates) -> FileFacts:
    if entry["name"] == RECIPE_INPUT:
        entry = entry | {"sha256": None, "md5": None}
    archives = (record["recipe"].get("archive") or {}).get("files", {})
    known = archives.get(entry["name"].removeprefix("archive "), {})
    return _file(entry, read, made_by=entry["record"], official_md5=known.get("md5"))


def _file(
    entry: Mapping[str, Any],
    read: FileStates,
    made_by: str | None = None,
    official_md5: str | None = None,
) -> FileFacts:
    said = {key: entry[key] for key in ("name", "path", "size", "sha256", "md5")}
    return FileFacts(**said, state=read.state(entry), made_by=made_by, official_md5=official_md5)
