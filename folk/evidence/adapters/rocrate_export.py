"""Export of a finished study as a Provenance Run Crate.

    results/<study>/...  ->  a folder with the same paths and ro-crate-metadata.json

Small files are in the folder. A large file is referenced by its digest, as `ni:///sha-256;...`, to
identify it elsewhere.
"""

import json
import mimetypes
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from rocrate.model.computationalworkflow import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from folk.evidence.audit.chain import Chain, Job
from folk.evidence.audit.kept_diff import kept_diff
from folk.evidence.audit.seal import seal_path, signature_path
from folk.evidence.audit.today import LOCK
from folk.evidence.core.digest import digest_file, digest_url
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import flattened
from folk.evidence.study.study import Study

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
# From https://w3id.org/ro/terms/workflow-run, in full, so that reading needs no network.
TERMS = {
    name: f"https://w3id.org/ro/terms/workflow-run#{name}"
    for name in ("sha256", "environment", "resourceUsage")
} | {"buildInstructions": "https://codemeta.github.io/terms/buildInstructions"}
LICENSE = "https://spdx.org/licenses/Apache-2.0"
PROSE = ("about", "source", "assume")  # of a recipe; the record has it
LARGEST = 10_000_000  # bytes of a file that still goes into the folder
ENCODINGS = {  # that Python does not know
    ".arrow": "application/vnd.apache.arrow.file",
    ".jsonl": "application/jsonl",
    ".lock": "text/plain",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".smk": "text/plain",
    ".yaml": "application/yaml",
    "Snakefile": "text/plain",
}
RESOURCES = {  # that a job took or had, and their units
    "seconds": "https://qudt.org/vocab/unit/SEC",
    "nodes": None,
    "processes": None,
    "threads": None,
    "cpu": None,
    "cores": None,
    "memory_bytes": "https://qudt.org/vocab/unit/BYTE",
    "gpus": None,
}
OUTCOMES = {
    "finished": "http://schema.org/CompletedActionStatus",
    "failed": "http://schema.org/FailedActionStatus",
    "interrupted": "http://schema.org/FailedActionStatus",
}


def export_crate(
    study: Study,
    study_path: Path,
    chain: Chain,
    out: Path,
    *,
    whole: bool = False,
) -> dict[str, int]:
    """Write the crate of a study.

    Args:
        study: the study.
        study_path: the file it was read from.
        chain: its records.
        out: the folder to make; it must not exist, or be empty.
        whole: put large files into the folder too.

    Returns:
        counts by name: jobs, files in the folder, files named by digest.

    Raises:
        InputError: `out` exists, is among the results, which would then have every record twice, or
            a file's digest differs from its record.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--crate {out}: exists already; give a new folder")
    if out.resolve().is_relative_to((chain.root / chain.results).resolve()):
        raise InputError(f"--crate {out}: inside {chain.results}; give a folder elsewhere")
    jobs = [chain.at(path) for path in chain.record_paths()]
    failed = [chain.at(path) for path in chain.failed_paths()]
    if not jobs:
        raise InputError(f"{chain.results}: no finished job; run the study first")
    readers = [chain.at(path) for path in chain.reader_paths()]
    jobs += readers
    maker = _CrateMaker(study, chain, [*jobs, *failed], whole)
    maker.add_workflow(study_path)
    for job in [*jobs, *failed]:
        maker.add_job(job)
    maker.add_run(readers)
    temp = out.with_name(f".{out.name}.incoming")
    shutil.rmtree(temp, ignore_errors=True)
    maker.crate.write(temp)
    if out.exists():
        out.rmdir()
    temp.rename(out)
    return {"jobs": len(jobs) + len(failed), **maker.counts}


class _CrateMaker:
    """Builder of the entities of one crate."""

    def __init__(self, study: Study, chain: Chain, jobs: list[Job], whole: bool) -> None:
        self._study, self._chain, self._whole = study, chain, whole
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_terms.update(TERMS)
        self.counts = {"files": 0, "named by digest": 0}
        self._files: dict[tuple[str, str], Entity] = {}
        self._jobs = jobs
        self._steps: dict[str, Entity] = {}
        self._tools: dict[tuple[str, ...], Entity] = {}
        self._actions: list[Entity] = []
        self._outside: dict[str, Entity] = {}
        self._snakemake = jobs[0].record["environment"]["packages"].get("snakemake")

    def add_workflow(self, study_path: Path) -> None:
        """Add the root, the workflow, a step and a tool for each stage, and their files."""
        crate = self.crate
        crate.name = f"{self._study.title} ({self._study.name})"
        crate.description = (
            f"Every job, input and result of the study '{self._study.name}', scale "
            f"{self._study.scale}, from the records that the jobs left."
        )
        crate.license = self._new(LICENSE, "CreativeWork", name="Apache License 2.0")
        crate.datePublished = datetime.now(UTC).replace(microsecond=0)
        source = self._root("Snakefile")
        crate.add_workflow(
            source, "Snakefile", main=True, lang="snakemake", cls=_Snakefile,
            properties={"name": "Snakefile"} | _described(source),
        )  # fmt: skip
        # After the workflow, which has a profile itself.
        profiles = [
            self._new(url, "CreativeWork", name=name, version=url.rpartition("/")[2])
            for url, name in PROFILES.items()
        ]
        crate.root_dataset["conformsTo"] = profiles
        for job in sorted(self._jobs, key=_code):
            # One tool per version of the code and lock: parts of a study may be older.
            if _code(job) not in self._tools:
                self._tools[_code(job)] = self._tool(job)
        for position, stage in enumerate(self._stages_in_order()):
            step = self._new(f"#step-{stage}", "HowToStep", name=stage, position=str(position))
            step["workExample"] = [tool for (of, *_), tool in self._tools.items() if of == stage]
            self._steps[stage] = step
        crate.mainEntity["step"] = list(self._steps.values())
        crate.mainEntity["hasPart"] = list(self._tools.values())
        for path in sorted(self._root("workflow").glob("rules/*.smk")):
            # The profile has only tools that ran as parts of a workflow.
            rules = self.add_small(path.relative_to(self._chain.root))
            rules["isPartOf"] = crate.mainEntity
        study_file = self.add_small(study_path)
        self._outside[study_file.id] = study_file

    def add_job(self, job: Job) -> None:
        """Add an action for each start of a job, and the engine's control action for the last."""
        record = job.record
        stage = record["stage"]
        for number, restart in enumerate(record["restarts"], start=1):
            self._earlier_start(job, number, restart)
        action = self._action(f"#{record['id'][:16]}", job, job.name)
        action["actionStatus"] = OUTCOMES[record["outcome"]]
        if record["error"] is not None:
            action["error"] = f"{record['error']['type']}: {record['error']['message']}"
        if record["ended"] is not None:
            action["endTime"] = record["ended"]
        action["startTime"] = record["started"]
        action["object"] = [*self._inputs(job), *self._parameters(job), *self._changes(job)]
        action["result"] = [self._recorded(job, entry) for entry in job.outputs]
        action["subjectOf"] = self.add_small(job.path)
        if record["environment"]["variables"]:
            action["environment"] = [
                self._new(f"{action.id}-{name}", "PropertyValue", name=name, value=value)
                for name, value in record["environment"]["variables"].items()
            ]
        action["resourceUsage"] = self._resources(action.id, record)
        control = self._new(f"{action.id}-control", "ControlAction", name=f"control of {job.name}")
        control["instrument"] = self._steps[stage]
        control["object"] = action
        self._actions.append(control)

    def add_run(self, readers: Iterable[Job]) -> None:
        """Add the run of the whole workflow, which made tables and page, its engine, the seal."""
        run = self._new("#run", "CreateAction", name=f"run of the study {self._study.name}")
        run["instrument"] = self.crate.mainEntity
        run["object"] = list(self._outside.values())
        run["result"] = [self._recorded(job, entry) for job in readers for entry in job.outputs]
        for path in (seal_path(self._chain.results), signature_path(self._chain.results)):
            if self._root(path).is_file():
                self.add_small(path)
        run["actionStatus"] = OUTCOMES["finished"]
        engine = self._new("#snakemake", "SoftwareApplication", name="Snakemake")
        if self._snakemake is not None:
            engine["softwareVersion"] = self._snakemake
        organized = self._new("#organization", "OrganizeAction", name="run of Snakemake")
        organized["instrument"] = engine
        organized["object"] = self._actions
        organized["result"] = run
        # A study may take several calls, so there is no time for the whole.
        self.crate.root_dataset["mentions"] = [run]

    def add_small(self, path: Path) -> Entity:
        """Add a file without a recorded digest, always in the folder.

        A file of outside of the repository, such as a study, is there by its name alone.

        Raises:
            InputError: the file is a link to outside of the repository and the study's results.
        """
        real = self._root(path).resolve()
        ours = (self._chain.root.resolve(), self._root(self._chain.results).resolve())
        if path.is_relative_to(self._chain.results) and not any(map(real.is_relative_to, ours)):
            raise InputError(
                f"{path}: link to {real}, outside of the study; a crate is shared, so "
                "replace the link by the file or remove it"
            )
        found = digest_file(self._root(path))
        return self._file(path.as_posix(), found.size, found.sha256, inside=True)

    def _tool(self, job: Job) -> Entity:
        """Add the command of a stage, with the code and the lock that it ran with."""
        stage, fingerprint, lock = _code(job)
        tool = self._new(
            "-".join(filter(None, ("#tool", stage, fingerprint[:12], lock[:12]))),
            "SoftwareApplication",
            name=f"python -m folk {stage}",
            softwareVersion=fingerprint,
        )
        if lock:
            entry = {"path": LOCK.as_posix(), "size": None, "sha256": lock}
            tool["buildInstructions"] = self._recorded(job, entry)
        return tool

    def _stages_in_order(self) -> Iterable[str]:
        """Return the stages, each after those whose files it reads."""
        stage_of = {job.id: job.record["stage"] for job in self._jobs}
        sorter = TopologicalSorter(dict.fromkeys(stage_of.values(), ()))
        for job in self._jobs:
            makers = {stage_of.get(parent) for parent in job.record["parents"]}
            sorter.add(stage_of[job.id], *(makers - {None, stage_of[job.id]}))
        return sorter.static_order()

    def _resources(self, action: str, record: dict[str, Any]) -> list[Entity]:
        """Add the seconds that a job took and the machine that it had."""
        values = {**record["geometry"], **record["hardware"], "seconds": record["seconds"]}
        values["gpus"] = len(values["gpus"])
        found = []
        for name, unit in RESOURCES.items():
            if values[name] is None:
                continue
            properties = {"name": name, "value": str(values[name])}
            properties["propertyID"] = f"urn:folk-repro:record#{name}"
            if unit is not None:
                properties["unitCode"] = unit
            found.append(self._new(f"{action}-{name}", "PropertyValue", **properties))
        return found

    def _inputs(self, job: Job) -> list[Entity]:
        found = []
        for link in self._chain.links(job):
            entity = self._recorded(job, link.entry)
            if link.entry["record"] is None:
                self._outside[entity.id] = entity
            found.append(entity)
        return found

    def _recorded(self, job: Job, entry: dict[str, Any]) -> Entity:
        """Add an input or output with its record's description, verified if copied.

        A file outside of the results, such as a recipe, may have changed since, and what an
        interrupted job read may have been made again. It is named by the digest of the bytes read.
        """
        path, size, sha256 = entry["path"], entry["size"], entry["sha256"]
        if sha256 is None:  # a folder of raw images; dataset.json describes them
            name = _name(path)
            return self._new(f"#folder-{quote(name)}", "CreativeWork", name=name)
        known = self._files.get((path, sha256))
        if known is not None:
            return known
        inside = _portable(path) and self._root(path).is_file()
        inside = inside and (self._whole or (size or 0) <= LARGEST)
        if inside:
            found = digest_file(self._root(path))
            inside = found.sha256 == sha256
            if inside:
                size = found.size
            elif job.finished and Path(path).is_relative_to(self._chain.results):
                raise InputError(
                    f"{path}: its digest differs from {job.path}; run `folk verify` for details"
                )
        return self._file(path, size, sha256, inside=inside)

    def _file(self, path: str, size: int | None, sha256: str, *, inside: bool) -> Entity:
        if (path, sha256) in self._files:
            return self._files[path, sha256]
        name = path if _portable(path) else _name(path)
        properties = {"name": name, "sha256": sha256, "encodingFormat": _encoding(path)}
        if size is not None:
            properties["contentSize"] = str(size)
        if inside:
            entity = self.crate.add_file(self._root(path), name, properties=properties)
        else:
            url = digest_url(sha256)
            entity = self.crate.get(url) or self.crate.add_file(url, properties=properties)
        self.counts["files" if inside else "named by digest"] += 1
        self._files[path, sha256] = entity
        return entity

    def _earlier_start(self, job: Job, number: int, restart: dict[str, Any]) -> None:
        action = self._action(
            f"#{job.id[:16]}-start-{number}", job, f"{job.name}, start {number}, not finished"
        )
        action["startTime"] = restart["started"]
        if restart["ended"] is not None:
            action["endTime"] = restart["ended"]
        action["actionStatus"] = OUTCOMES["interrupted"]
        reasons = (restart["reason"], restart.get("why"), restart.get("slurm_state"))
        action["error"] = "; ".join(filter(None, reasons))

    def _action(self, name: str, job: Job, title: str) -> Entity:
        action = self._new(name, "CreateAction", name=title)
        action["instrument"] = self._tools[_code(job)]
        return action

    def _parameters(self, job: Job) -> list[Entity]:
        """Add what decided the result and is no file: code, seeds, values of the recipe."""
        record = job.record
        code = record["code"]
        values = {
            "commit": code["commit"],
            "sha256 of the uncommitted changes": code["dirty_diff_sha256"],
            "seed": record["seed"],
            "fine-tuning seed": record.get("finetune_seed"),
        }
        values = {name: value for name, value in values.items() if value is not None}
        recipe = {key: value for key, value in record["recipe"].items() if key not in PROSE}
        values |= flattened({"recipe": recipe})
        found = []
        for name, value in values.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            identifier = f"#{quote(f'{name}={text}')}"
            found.append(self._new(identifier, "PropertyValue", name=name, value=text))
        return found

    def _changes(self, job: Job) -> list[Entity]:
        """Add the kept uncommitted changes that the job ran with."""
        if job.diff is None or not self._root(job.diff).is_file():
            return []
        if kept_diff(self._root(job.diff), job.record["code"]["dirty_diff_sha256"]) == "other":
            raise InputError(
                f"{job.diff}: its digest differs from {job.path}; run `folk verify` for details"
            )
        return [self.add_small(job.diff)]

    def _new(self, identifier: str, kind: str, **properties: str) -> Entity:
        found = self.crate.get(identifier)
        if found is not None:
            return found
        entity = ContextEntity(self.crate, identifier, properties={"@type": kind} | properties)
        self.crate.add(entity)
        return entity

    def _root(self, path: str | Path) -> Path:
        return self._chain.root / path


class _Snakefile(ComputationalWorkflow):  # type: ignore[misc]
    """Workflow entity with steps, which makes it a how-to."""

    TYPES = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]  # noqa: RUF012


def _code(job: Job) -> tuple[str, str, str]:
    """Return the stage, and the fingerprints of its code and of the lock, "" without one."""
    lock = job.record["environment"]["lock_sha256"] or ""
    return str(job.record["stage"]), str(job.record["code"]["fingerprint"]), lock


def _described(path: Path) -> dict[str, str]:
    found = digest_file(path)
    described = {"contentSize": str(found.size), "sha256": found.sha256}
    return described | {"encodingFormat": _encoding(path.name)}


def _encoding(path: str) -> str:
    # An instance has Python's own table, which is the same on every machine.
    known = mimetypes.MimeTypes().guess_type(path)[0] or "application/octet-stream"
    return ENCODINGS.get(PurePosixPath(path).suffix or PurePosixPath(path).name, known)


def _portable(path: str) -> bool:
    """Return True if a path is inside the repository, and so may be in the crate."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts


def _name(path: str) -> str:
    """Return the last part of a path, because paths of a machine are private."""
    return PurePosixPath(path).name
