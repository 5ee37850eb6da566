"""Commit of a finished study's files to DVC, compared with the records.

Only the driver calls this, after the last job: DVC locks its repository, and parallel calls of jobs
would fail. DVC hashes the files itself; its md5 must equal that of the records.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_json
from folk.evidence.core.secrets import without_secrets
from folk.evidence.record.failures import FAILED, reader_paths, record_paths
from folk.evidence.record.schema import read_record
from folk.evidence.results.summaries import FOLDER, measured_files, summary_of
from folk.evidence.study.stage import Stages

STAGE = "reproduce"
SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class VersioningReport:
    """Outcome of versioning: `status` is committed, skipped, or left to `dvc repro`."""

    status: str
    line: str
    compared: int = 0  # recorded files that DVC has an md5 of
    problems: list[str] = field(default_factory=list)


def commit_to_dvc(
    root: Path, study: str, stages: Stages, unused_stages: Iterable[str] = ()
) -> VersioningReport:
    """Add the study's files to DVC's cache, write dvc.lock and report in one line.

    Mtimes do not change, so that the workflow stays up to date. Without DVC, or without a stage for
    the study, only the line is printed.

    Args:
        root: folder of the repository, which holds dvc.yaml and results/.
        study: name of the study.
        stages: the declared stages.
        unused_stages: stages without results in the study. DVC rejects a missing declared output,
            so each gets an empty folder; a missing result of a used stage is still an error.

    Raises:
        InputError: DVC failed, or its digests differ from the records.
    """
    results = root / "results" / study
    write_metrics_summary(results, stages)
    # Nor need anything have failed.
    for stage in (FAILED, *unused_stages):
        (results / stage).mkdir(parents=True, exist_ok=True)
    report = _refused(root, study) or _committed(root, results, study)
    print(report.line, file=sys.stderr)
    if report.problems:
        shown = "\n".join(report.problems[:SHOWN_PROBLEMS])
        more = len(report.problems) - SHOWN_PROBLEMS
        raise InputError(shown + (f"\n... and {more} more" if more > 0 else ""))
    return report


def write_metrics_summary(results: Path, stages: Stages) -> list[Path]:
    """Collect each run's final numbers in `<results>/metrics/<run>.json` for `dvc metrics show`.

    A view, rebuilt from the metrics.json files at every call; no table reads it.

    Returns:
        the files written.
    """
    runs = {run: summary_of(files) for run, files in measured_files(results, stages).items()}
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        if old.stem not in runs:
            old.unlink()
    for run, numbers in runs.items():
        write_json(folder / f"{run}.json", numbers)
    return [folder / f"{run}.json" for run in runs]


def md5_problems(root: Path, study: str) -> tuple[int, list[str]]:
    """Compare the md5 of dvc.lock with those of the study's records.

    Returns:
        how many recorded files were compared, and a line for each that differs or that no output
        of dvc.yaml covers.
    """
    known = dict(_locked_files(root, study))
    compared, problems = 0, []
    results = root / "results" / study
    for record_path in [*record_paths(results), *reader_paths(results)]:
        for output in read_record(record_path)["outputs"]:
            path, md5 = output["path"], output["md5"]
            if path not in known:
                problems.append(f"{path}: recorded, but in no output of dvc.yaml; add it there")
            elif known[path] != md5:
                problems.append(
                    f"{path}: expected md5 {md5} ({record_path}), DVC has {known[path]}; the file "
                    "changed after its job ended; run that job again"
                )
            else:
                compared += 1
    return compared, problems


def _refused(root: Path, study: str) -> VersioningReport | None:
    if not (root / ".dvc").is_dir():
        return VersioningReport("skipped", f"DVC: {root}/.dvc is missing, so no files were kept")
    if not (root / ".git").exists():
        return VersioningReport(
            "skipped", f"DVC: {root} is no git repository, so no files were kept"
        )
    if importlib.util.find_spec("dvc") is None:
        return VersioningReport("skipped", "DVC: not installed here, so no files were kept")
    if study not in _studies_of(root / "dvc.yaml"):
        line = f"DVC: no stage for '{study}'; add it to stages.{STAGE}.matrix.study in dvc.yaml"
        return VersioningReport("skipped", line)
    if (away := _outside(root, root / "results" / study)) is not None:
        # DVC keeps no file that a link leads out of the repository to, such as scratch space.
        line = f"DVC: {away} lies outside of the repository, so no bytes were kept"
        return VersioningReport("skipped", line)
    if os.environ.get("DVC_STAGE"):
        # `dvc repro` called the workflow, holds the lock, and commits when it returns.
        return VersioningReport(
            "left to dvc repro", "DVC: `dvc repro` is running and keeps the files"
        )
    return None


def _outside(root: Path, results: Path) -> str | None:
    """The first folder of the results that is a link out of the repository, seen from there."""
    below = sorted(path for path in results.iterdir() if path.is_symlink())
    for path in (results.parent, results, *below):
        if not path.resolve().is_relative_to(root.resolve()):
            return path.relative_to(root).as_posix()
    return None


def _committed(root: Path, results: Path, study: str) -> VersioningReport:
    done = _dvc(root, "commit", "--force", "--no-relink", f"{STAGE}@{study}")
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next(
            (s for s in lines if s.startswith("ERROR")), lines[-1] if lines else "no reason"
        )
        raise InputError(f"DVC: `dvc commit` of {results} failed: {without_secrets(reason)}")
    compared, problems = md5_problems(root, study)
    line = f"DVC: {compared} recorded files kept in dvc.lock, same md5 as the records"
    if problems:
        line = f"DVC: {len(problems)} of {compared + len(problems)} recorded files differ"
    return VersioningReport("committed", line, compared, problems)


def _studies_of(dvc_yaml: Path) -> list[str]:
    try:
        stages = yaml.safe_load(dvc_yaml.read_text(encoding="utf-8"))["stages"]
        return [str(study) for study in stages[STAGE]["matrix"]["study"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return []


def _locked_files(root: Path, study: str) -> Iterator[tuple[str, str]]:
    """Yield path and md5 of every file in dvc.lock, those inside folders included."""
    lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))
    cache: Path | None = None
    for out in lock["stages"][f"{STAGE}@{study}"]["outs"]:
        path, md5 = str(out["path"]), str(out["md5"])
        if not md5.endswith(".dir"):
            yield path, md5
            continue
        cache = cache or Path(_dvc(root, "cache", "dir").stdout.strip())
        listing = root / cache / "files" / "md5" / md5[:2] / md5[2:]
        for entry in json.loads(listing.read_text(encoding="utf-8")):
            yield f"{path}/{entry['relpath']}", str(entry["md5"])


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    quiet = os.environ | {"DVC_NO_ANALYTICS": "true"}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, env=quiet, capture_output=True, text=True, check=False)
