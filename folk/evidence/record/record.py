"""Record of one job, opened before the work starts and closed however it ends.

    with open_record(work, study="demo", stage="pretrain", ...) as record:
        ...                                   # the work; everything it writes goes to `work`
        record.finish(outputs, metrics, path, moves)

`<work>/record.open.json` exists from the start, so that even a killed job leaves a trace; the next
start of the same job lists it under `restarts`. The record of a failure does not stay in `work`,
which may be deleted; see `folk.evidence.record.failures`.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import rfc8785

from folk import __version__
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import remove_stale_temp_files, write_json, write_text
from folk.evidence.core.secrets import without_secrets
from folk.evidence.record.environment import (
    code_state,
    ended_as,
    environment,
    geometry,
    hardware,
    scheduler,
)
from folk.evidence.record.failures import failed_folder
from folk.evidence.record.lineage import describe_inputs, describe_outputs, mark_replaced, stamps_of
from folk.evidence.record.publish import publish
from folk.evidence.record.schema import FORMATS, record_id, write_record

OPEN_NAME = "record.open.json"
DIFF_NAME = "uncommitted.diff"
MADE_NAME = "finished.id"  # in the work folder, which is never shared: this copy did the job
# The checkpoint, which is needed until the record exists, and the note of a non-finite loss, which
# a finished training no longer needs.
GROWING = ("checkpoint.pt", "progress.json", "diverged.json")
STOPPED = (75, 128 + signal.SIGTERM)  # exit codes: a planned stop that wants a restart; SIGTERM


class SupersededError(SystemExit):
    """Another start of the same job has taken over, as when a cluster loses a node.

    The process on the lost node may still run, with the same files.
    """

    def __init__(self, work: Path) -> None:
        super().__init__(STOPPED[0])
        self.work = work

    def __str__(self) -> str:
        return f"{self.work}: another start of this job has taken over; this one ends"


class Record:
    """Record of a running job."""

    def __init__(
        self, work: Path, fields: dict[str, Any], diff: str | None, inputs: Mapping[str, Path]
    ) -> None:
        self.work = work
        self.fields = fields
        self.finished = False
        self._diff = diff
        self._inputs = inputs
        self._stamps = stamps_of(inputs)
        fields["inputs"] = describe_inputs(inputs)
        fields["parents"] = sorted({e["record"] for e in fields["inputs"] if e["record"]})

    def finish(
        self,
        outputs: Mapping[str, Path],
        metrics: Mapping[str, float],
        path: Path,
        moves: Mapping[Path, Path] | None = None,
    ) -> str:
        """Publish the results and then their record; then delete the growing state.

        Args:
            outputs: name -> declared path of each result; a folder is listed file by file.
            metrics: final numbers, flat and finite.
            path: path of the record, `<results>/record.json`.
            moves: current paths of finished files -> declared paths.

        Returns:
            the record's id.

        Raises:
            InputError: an output is missing, or an input was removed or changed since the start.
            SupersededError: another start of the job has taken over; nothing was published.
        """
        assert not self.finished, "a record is finished once"
        self.check_is_latest()
        mark_replaced(self.fields["inputs"], self._stamps, stamps_of(self._inputs))
        moves = moves or {}
        self.fields["outputs"] = describe_outputs(outputs, moves)
        self.fields["metrics"] = dict(metrics)
        record = self._closed("finished", None)
        publish(moves)
        remove_stale_temp_files(path.parent)
        if self._diff is None:
            path.with_name(DIFF_NAME).unlink(missing_ok=True)
        else:
            write_text(path.with_name(DIFF_NAME), self._diff)
        write_record(path, record)
        write_text(self.work / MADE_NAME, f"{record['id']}\n")
        for name in (OPEN_NAME, *GROWING):
            (self.work / name).unlink(missing_ok=True)
        self.finished = True
        return str(record["id"])

    def check_is_latest(self) -> None:
        """Check that no other start of the job has opened its record in the work folder since.

        Raises:
            SupersededError: one has.
        """
        if not self._is_latest():
            raise SupersededError(self.work)

    def fail(self, outcome: Literal["failed", "interrupted"], error: BaseException) -> Path:
        """Store the record of an unfinished job; the open record stays for a restart."""
        message = without_secrets(str(error))[:2000]
        self.fields |= {"outputs": [], "metrics": {}}
        record = self._closed(outcome, {"type": type(error).__name__, "message": message})
        path = _failed_path(self.work, record)
        if self._diff is not None:
            write_text(path.with_suffix(".diff"), self._diff)
        write_record(path, record)
        ended = {"outcome": outcome, "ended": record["ended"], "why": _first_line(error)}
        if self._is_latest():
            write_json(self.work / OPEN_NAME, self.fields | ended)
        return path

    def _is_latest(self) -> bool:
        try:
            left = json.loads((self.work / OPEN_NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return False  # the other start has finished
        return all(left.get(key) == self.fields[key] for key in ("started", "pid", "hardware"))

    def _closed(self, outcome: str, error: dict[str, str] | None) -> dict[str, Any]:
        started = datetime.fromisoformat(self.fields["started"])
        now = max(datetime.now(UTC), started)  # clocks are set back sometimes
        record = {key: value for key, value in self.fields.items() if key not in _OPEN_ONLY}
        record |= {"outcome": outcome, "error": error, "ended": _spelt_time(now)}
        record |= {"seconds": round((now - started).total_seconds(), 3)}
        return _sealed(record)


_OPEN_ONLY = ("pid", "identity")


@contextmanager
def open_record(
    work: Path,
    *,
    study: str,
    stage: str,
    run: str | None,
    evaluation: str | None,
    argv: Sequence[str],
    recipe: Mapping[str, Any],
    recipe_digest: str,
    seed: int | None,
    inputs: Mapping[str, Path],
    code: str,
    scale: str,
    finetune_seed: int | None = None,
    identity: str | None = None,
    threads: int = 1,
    root: Path | None = None,
) -> Iterator[Record]:
    """Open the record of a job, and close it as failed or interrupted when the block raises.

    Args:
        stage: the verb, such as "pretrain".
        run: run, data set or split, as in the result's path.
        argv: the command line, to repeat it.
        recipe: the resolved recipe as plain JSON values.
        recipe_digest: digest of the recipe's values that may change the result.
        inputs: name -> file or prepared folder; hashed before the work starts.
        code: fingerprint of the stage's code.
        scale: "demo", "smoke" (a short run of the papers' shapes) or "paper".
        finetune_seed: seed of one of a run's several fine-tunings; with a single one the record
            has no such key.
        identity: what a checkpoint in `work` must match to be continued; an earlier start with
            another one is no restart of this job. None takes recipe digest and seed.
        threads: CPU threads of each process.
        root: folder of the repository; None takes the current folder.

    Yields:
        the open record; the block must call its `finish`.

    Raises:
        InputError: an input is missing, or the recipe has a number without an exact JSON.
    """
    root = Path() if root is None else root
    try:
        rfc8785.dumps(dict(recipe))
    except rfc8785.CanonicalizationError as error:
        raise InputError(f"recipe: {error}; give numbers that JSON holds exactly") from error
    state, diff = code_state(root)
    fields: dict[str, Any] = {
        "study": study,
        "stage": stage,
        "run": run,
        "evaluation": evaluation,
        "scale": scale,
        "smoke": scale == "smoke",
        "seed": seed,
        "started": _spelt_time(datetime.now(UTC)),
        "argv": [without_secrets(str(argument)) for argument in argv],
        "recipe": dict(recipe),
        "recipe_digest": recipe_digest,
        "code": {"fingerprint": code, "version": __version__, **state},
        "environment": environment(root),
        "hardware": hardware(),
        "scheduler": scheduler(),
        "geometry": geometry(threads),
        "pid": os.getpid(),
        "identity": identity or f"{recipe_digest} {seed}",
    }
    if finetune_seed is not None:
        fields["finetune_seed"] = finetune_seed
    record = Record(work, fields, diff, inputs)
    fields["restarts"] = _earlier_starts(work, fields["identity"])
    remove_stale_temp_files(work)
    write_json(work / OPEN_NAME, fields)
    with _terminate_as_exit():
        try:
            yield record
            assert record.finished, "the block of a record must call finish"
        except BaseException as error:
            if record.finished:
                raise
            cause = _cause_of(record, error)
            _keep_failure(record, cause)
            if cause is not error:
                raise cause from error
            raise


def _cause_of(record: Record, error: BaseException) -> BaseException:
    """Replace an error by its cause if another start has removed this one's files."""
    if not isinstance(error, Exception):
        return error
    try:
        record.check_is_latest()
    except SupersededError as superseded:
        return superseded
    except (OSError, ValueError):
        return error  # a real problem of the disk or its files
    return error


def _keep_failure(record: Record, error: BaseException) -> None:
    stopped = isinstance(error, SystemExit) and error.code in STOPPED
    interrupted = stopped or isinstance(error, KeyboardInterrupt)
    with _ignore_sigterm():
        try:
            record.fail("interrupted" if interrupted else "failed", error)
        except Exception as second:  # noqa: BLE001 - the first error must be shown
            print(f"{record.work}: the failure could not be recorded: {second}", file=sys.stderr)


def _earlier_starts(work: Path, identity: str) -> list[dict[str, Any]]:
    """Read the unfinished starts of the same job from their open record."""
    try:
        left = json.loads((work / OPEN_NAME).read_text(encoding="utf-8"))
        if left["identity"] != identity:
            # Another job used this folder; it is not continued, but must be recorded.
            _keep_abandoned(work, left)
            return []
        slurm = left["scheduler"] or {}
        last = {
            "started": left["started"],
            "ended": left.get("ended"),
            "reason": left.get("outcome", "unknown"),
            "last_step": _last_step(work / "progress.json"),
            "host": left["hardware"]["host"],
            "node": slurm.get("node"),
            "job_id": slurm.get("job_id"),
            "cpu": left["hardware"]["cpu"],
            "cpu_capability": left["hardware"].get("cpu_capability"),
            "gpus": left["hardware"]["gpus"],
            "fingerprint": left["code"]["fingerprint"],
            "commit": left["code"]["commit"],
            "lock_sha256": left["environment"]["lock_sha256"],
            "torch": left["environment"]["packages"].get("torch"),
            "why": left.get("why"),
            "slurm_state": ended_as(slurm.get("job_id")),
            "geometry": left.get("geometry"),
        }
        return [*left["restarts"], last]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []  # no open record, or an unreadable one


def _keep_abandoned(work: Path, left: dict[str, Any]) -> None:
    if "outcome" in left:
        return  # its end was written already
    record = {key: value for key, value in left.items() if key not in _OPEN_ONLY}
    message = "no end was recorded; the folder was then given to a job with another recipe or code"
    record |= {"outcome": "interrupted", "error": {"type": "Unknown", "message": message}}
    record |= {"ended": None, "seconds": None, "outputs": [], "metrics": {}}
    write_record(_failed_path(work, left), _sealed(record))


def _first_line(error: BaseException) -> str:
    """Shorten an error to one line; an exit status above 128 becomes its signal."""
    code = error.code if isinstance(error, SystemExit) else None
    if str(error) == str(code) and isinstance(code, int) and code > 128:
        return signal.Signals(code - 128).name
    message = without_secrets(str(error)).strip().partition("\n")[0][:300]
    if isinstance(error, SystemExit):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _failed_path(work: Path, fields: dict[str, Any]) -> Path:
    started = fields["started"].replace("-", "").replace(":", "")
    return failed_folder(work, fields) / f"record-{started}.failed.json"


def _sealed(record: dict[str, Any]) -> dict[str, Any]:
    record = {"format": FORMATS[-1]} | record
    return {"format": FORMATS[-1], "id": record_id(record)} | record


def _last_step(progress: Path) -> int | None:
    try:
        step = json.loads(progress.read_text(encoding="utf-8"))["step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if isinstance(step, int) else None


@contextmanager
def _terminate_as_exit() -> Iterator[None]:
    """Let SIGTERM, which schedulers send, end the block as an exception does."""
    free = threading.current_thread() is threading.main_thread()
    if not free or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield  # it has a handler already
        return
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _ignore_sigterm() -> Iterator[None]:
    """Ignore further SIGTERMs (SLURM, srun and torchrun may each send one) while recording."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit_on_signal(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _spelt_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
