"""Chains of `explain` for the page, with jobs shared between cells."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from folk.evidence.audit.chain import Chain
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.explanation import Explanation, FileFacts, JobFacts
from folk.evidence.audit.file_states import LARGE_BYTES, Reading
from folk.evidence.audit.narrate import (
    SHORT,
    changes_line,
    failure_line,
    file_line,
    part_line,
    start_line,
)
from folk.evidence.audit.today import Today
from folk.evidence.report.chains import CellStory, JobStory, Said, Stories, Tell
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.published import Published
from folk.evidence.study.study import Study

_SHOWN_FILES = 12  # a full-size data set has hundreds of shards; its record lists all
_VALUES = {"same": "same values", "other": "other values", "unknown": "not known here"}
_DIGEST = {"same": "the same", "other": "another one", "unknown": "not known here"}


def teller(
    chain: Chain,
    study: Study,
    published: Published,
    today: Today,
    reading: Reading = "small",
    hashed: Mapping[Path, str | None] | None = None,
) -> Tell:
    """Make the function that explains every cell for the page, as `explain --shallow` does.

    Args:
        chain: the study's records; its root must be the current folder.
        study: the study.
        published: the published numbers.
        today: today's code, lock and recipes.
        reading: which files are hashed; see `FileStates`.
        hashed: sha256 of files that the caller has hashed.

    Returns:
        a function of the recomputed cells and the results behind them.
    """

    def tell(cells: Sequence[Cell], evidence: Evidence) -> Stories:
        derived, jobs = {cell.id: cell for cell in cells}, dict[str, JobStory]()
        explainer = Explainer(
            chain,
            study,
            cells,
            published,
            today,
            reading,
            evidence=evidence,
            derived=derived,
            hashed=hashed,
        )
        return {cell: _cell(explainer.explain(cell), jobs) for cell in derived}

    return tell


def _cell(found: Explanation, jobs: dict[str, JobStory]) -> CellStory:
    for job in found.chain:
        if job.record not in jobs:
            jobs[job.record] = _job(job)
    return CellStory(
        parts=[f"{p.name}: {part_line(p)}" for run in found.runs for p in run.parts],
        claims=[f"{claim.name} ({claim.kind}): {claim.says}" for claim in found.claims],
        failures=[failure_line(failure) for failure in found.failures],
        jobs=[jobs[job.record] for job in found.chain],
        contradicted=found.contradicted,
        established=found.established,
        not_established=found.not_established,
    )


def _job(job: JobFacts) -> JobStory:
    return JobStory(
        name=job.name,
        record=job.record,
        id=job.id,
        starts=len(job.starts),
        recorded=[(label, lines) for label, lines in _recorded(job) if lines],
        checked=[(label, lines) for label, lines in _checked(job) if lines],
    )


def _recorded(job: JobFacts) -> Iterator[tuple[str, list[str]]]:
    yield "record", [f"{job.id[:SHORT]} {job.record}"]
    yield "ran", [start_line(start) for start in job.starts]
    assumed = len(job.recipe.assumed)
    values = f", with {assumed} values that no source gives" if assumed else ""
    yield "recipe", [f"digest {job.recipe.digest[:SHORT]}{values}"]
    code = job.code
    commit = f"commit {code.commit[:SHORT]}" if code.commit else "no commit"
    kept = f" with uncommitted changes, kept in {code.diff}" if code.diff else ""
    yield "code", [f"fingerprint {code.fingerprint[:SHORT]}, {commit}{kept}"]
    installed = job.environment
    lock = f"lock {installed.lock_sha256[:SHORT]}" if installed.lock_sha256 else "no lock"
    yield "environment", [f"{lock}, Python {installed.python}, torch {installed.torch}"]
    yield "read", _files(job.inputs, was_read=True)
    yield "made", _files(job.outputs, was_read=False)


def _checked(job: JobFacts) -> Said:
    recipe, code, installed = job.recipe, job.code, job.environment
    based = f", based on {recipe.base}" if recipe.base else ""
    told = [f"{recipe.file or 'no file'}{based}: {_VALUES[recipe.today]}"]
    told += [
        f"{title}: {changes_line(found)}"
        for title, found in (
            ("edited since", recipe.edited),
            ("set by the study", recipe.by_study),
            ("over the base", recipe.over_base),
        )
        if found
    ]
    kept = [f"uncommitted changes: {code.diff_state}"] if code.diff_state else []
    return [
        ("recipe", told),
        ("code", [f"fingerprint: {_DIGEST[code.today]}", *kept]),
        ("environment", [f"lock: {_DIGEST[installed.lock_today]}"]),
        ("bytes", _states([*job.inputs, *job.outputs])),
        ("problems", job.problems),
    ]


def _files(files: list[FileFacts], *, was_read: bool) -> list[str]:
    lines = [file_line(file, was_read) for file in files[:_SHOWN_FILES]]
    more = len(files) - _SHOWN_FILES
    return [*lines, f"and {more} more, listed in the record"] if more > 0 else lines


def _states(files: list[FileFacts]) -> list[str]:
    words = {
        "same": "hashed again, as recorded",
        "other": "OTHER BYTES than recorded",
        "missing": "missing",
        "not read": f"above {LARGE_BYTES // 10**6} MB, only the size compared",
        "no digest": "recorded without a digest",
    }
    found = {state: [f.name for f in files if f.state == state] for state in words}
    return [
        f"{words[state]}: {names[0] if len(names) == 1 else f'{len(names)} files'}"
        for state, names in found.items()
        if names
    ]
