"""SLURM executor for Snakemake with reliable job ends and a memory across drivers.

Plugin 2.8.0 waits forever for jobs that were cancelled (`CANCELLED by 0` in sacct), preempted
without requeue, revoked, or forgotten, and loses its jobs when squeue or sacct fail five times in a
row. `Watch` keeps its submission and replaces its polling. Snakemake finds it as `folk-slurm`,
through the package in `plugin/`.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm import Executor
from snakemake_executor_plugin_slurm.utils import get_job_wildcards
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.utils import format_cli_arg

from folk.slurm.ending import Verdict, Watched
from folk.slurm.ledger import LEDGER, Ledger, Submission, now, progress_of
from folk.slurm.states import COMPLETED, ENDED_BADLY, NoAnswerError, Seen, in_accounts, in_queue
from folk.slurm.takeover import Takeover, Wanted, not_noted, take_over

# Messages of sbatch when the controller, not the job, is at fault.
CONTROLLER_AWAY = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "standby mode",
    "temporarily unable to accept job",
)
PATIENCE = 10  # queries of squeue before a driver gives up its start


class Watch(Executor):  # type: ignore[misc]  # the plugin has no types
    """Executor with the plugin's submission and our own polling; see the module."""

    def __post_init__(self, test_mode: bool = False) -> None:
        if self.workflow.executor_settings.array_jobs:
            raise WorkflowError("--folk-slurm-array-jobs: not supported; remove it")
        super().__post_init__(test_mode)
        self._ledger = Ledger(LEDGER)
        self._begun: dict[Any, Submission] = {}  # by Snakemake's job, until sbatch gives an id
        self._watched: dict[Any, Watched] = {}
        self._silent_since: float | None = None
        self._leaving = False
        self._earlier = self._take_over()

    # Submission

    def run_job(self, job: Any) -> None:
        """Submit a job, or wait for the one that an earlier driver submitted for it."""
        try:
            self._submit(job)
        except Exception as error:  # noqa: BLE001 - otherwise lost in this thread
            self._refuse(job, f"{type(error).__name__}: {error}")

    def _submit(self, job: Any) -> None:
        members = _members(job)
        outputs = {str(f) for member in members for f in member.output}
        for earlier, is_made in ((self._earlier.attach, False), (self._earlier.made, True)):
            held = [earlier.pop(output) for output in sorted(outputs) if output in earlier]
            if held and outputs <= set(held[0].outputs):
                what = "has finished" if is_made else "is waited for"
                self.logger.info(f"{held[0].shown} of an earlier driver {what}.")
                self._watched[job] = Watched(held[0], is_made)
                info = _info(job, held[0].job, Path(held[0].log))
                super()._report_job_submission_threadsafe(info)
                return
            if held and not is_made:
                self._refuse(job, f"{held[0].shown} is in the queue and makes a part of this group")
                return
        if any(job.resources.get(name) for name in ("cluster", "clusters", "slurm_cluster")):
            self._refuse(job, "resources that name a cluster: only one cluster is supported")
            return
        work = _work_folder(members)
        self._begun[job] = Submission(
            job="",
            name=self.run_uuid,
            rule=job.name,
            wildcards=get_job_wildcards(job),
            outputs={
                str(f): digest for m in members for digest in [digest_of(m)] for f in m.output
            },
            log="",
            work=work,
            step=progress_of(work).step,
            submitted=now(),
        )
        super().run_job(job)

    def format_job_exec(self, job: Any) -> str:
        """Add the resources to the command of a job: on its node it sees what SLURM was asked for.

        The Snakefile is read again there, by then perhaps with another site file or study.
        """
        asked = [text for member in _members(job) for text in asked_of(member)]
        given = format_cli_arg("--set-resources", asked, base64_encode=True)
        return f"{super().format_job_exec(job)} {given}"

    def _report_job_submission_threadsafe(self, job_info: Any) -> None:
        """Note the job before anything else happens, so that it is not submitted again."""
        submission = replace(
            self._begun.pop(job_info.job),
            job=job_info.external_jobid,
            log=str(job_info.aux["slurm_logfile"]),
        )
        try:
            self._ledger.open(submission)
        except OSError:
            super().cancel_jobs([job_info])
            raise
        self._watched[job_info.job] = Watched(submission)
        super()._report_job_submission_threadsafe(job_info)

    def report_job_submission(self, job_info: Any, register_job: bool = True) -> None:
        """Report to the scheduler; a complete result is not marked as started again."""
        is_made = self._watched[job_info.job].is_made
        super().report_job_submission(job_info, register_job=register_job and not is_made)

    def _report_job_error_threadsafe(self, job_info: Any, msg: str) -> None:
        """Retry later if sbatch could not reach the controller."""
        message = next((message for message in CONTROLLER_AWAY if message in msg), None)
        if message is None:
            self._begun.pop(job_info.job, None)
            super()._report_job_error_threadsafe(job_info, msg)
            return
        job = job_info.job
        self.logger.warning(
            f"{job.name} could not be submitted ({message}); trying again until SLURM answers."
        )
        while not self._leaving:
            time.sleep(self._interval)
            try:
                queue = in_queue()
            except NoAnswerError:
                continue
            # A call that timed out may have been received.
            heard = [
                number
                for number, seen in queue.items()
                if (seen.name, seen.comment) == (self.run_uuid, _comment(job))
                and not self._ledger.knows(number)
            ]
            if heard:
                self._report_job_submission_threadsafe(
                    _info(job, heard[0], self._log(job, heard[0]))
                )
            else:
                self.run_job(job)
            return

    def _refuse(self, job: Any, reason: str) -> None:
        super()._report_job_error_threadsafe(SubmittedJobInfo(job), f"not submitted: {reason}. ")

    def _log(self, job: Any, number: str) -> Path:
        kind = "group" if job.is_group() else "rule"
        return Path(
            self.slurm_logdir, f"{kind}_{job.name}", get_job_wildcards(job), f"{number}.log"
        )

    # Watching

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Poll all jobs with one query; yield those that have not ended."""
        due = []
        for info in active_jobs:
            if self._watched[info.job].submission.age < self._grace:
                yield info
            else:
                due.append(info)
        if not due:
            return
        try:
            known, sacct_answers = self._look([info.external_jobid for info in due])
        except NoAnswerError as error:
            if self._silent_since is None:
                self.logger.warning(f"{error}. Jobs are waited for until SLURM answers again.")
                self._silent_since = time.monotonic()
            for info in due:
                yield info
            return
        if self._silent_since is not None:
            seconds = time.monotonic() - self._silent_since
            self.logger.warning(f"SLURM answers again, after {seconds:.0f} s.")
            self._silent_since = None
        for info in due:
            if not await self._conclude(info, known.get(info.external_jobid), sacct_answers):
                yield info

    def _look(self, jobs: list[str]) -> tuple[dict[str, Seen], bool]:
        known = in_queue()
        try:
            return known | in_accounts([job for job in jobs if job not in known]), True
        except NoAnswerError as error:
            self.logger.debug(f"{error}")
            return known, False

    async def _conclude(self, info: Any, seen: Seen | None, sacct_answers: bool) -> bool:
        """Act on one job's state; return True if it ended or continues under another id."""
        watched, job = self._watched[info.job], info.job
        may_be_over = seen is None or seen.word in ENDED_BADLY
        is_made = may_be_over and await self._is_made(job)
        verdict = watched.judge(seen, sacct_answers, is_made)
        if verdict is Verdict.WAIT:
            return False
        if verdict is Verdict.FINISHED:
            self._remove_log(watched.submission)
            self.report_job_success(info)
            return True
        reached = progress_of(watched.submission.work)
        if watched.goes_on(reached):
            self.logger.info(
                f"{watched.submission.shown} ended: {watched.word}, at update {reached.step} "
                f"(from {watched.submission.step}); it continues in another job."
            )
            self._close(job)
            if not self._leaving:
                self._job_submission_executor.submit(self.run_job, job)
            return True
        if watched.word == "CANCELLED":
            job.attempt = max(job.attempt, job.restart_times + 1)  # not an immediate retry
        self.report_job_error(info, msg=watched.complaint(), aux_logs=[watched.submission.log])
        return True

    def handle_job_success(self, job: Any) -> None:
        """Note a job's end once Snakemake has written its metadata, not before."""
        super().handle_job_success(job)
        self._close(job)

    def handle_job_error(self, job: Any) -> None:
        """Note a failed job's end once Snakemake has removed its outputs."""
        super().handle_job_error(job)
        self._close(job)

    def _close(self, job: Any) -> None:
        watched = self._watched.pop(job, None)
        if watched is not None:
            self._ledger.close(watched.submission, watched.word)

    def _remove_log(self, submission: Submission) -> None:
        if not self.workflow.executor_settings.keep_successful_logs:
            Path(submission.log).unlink(missing_ok=True)

    async def _is_made(self, job: Any) -> bool:
        """Return True if the outputs exist and the job, on its node, has marked them complete."""
        persistence = self.workflow.persistence
        persistence.deactivate_cache()
        for member in _members(job):
            if not all(Path(str(f)).exists() for f in member.output):
                return False
            if await persistence.incomplete(member):
                return False
        return True

    # Polling

    @property
    def _interval(self) -> float:
        """Seconds between two polls, from the user's option, constant for long jobs."""
        return float(self.workflow.remote_execution_settings.seconds_between_status_checks)

    @property
    def _grace(self) -> float:
        """Seconds after a submission before the job is polled."""
        return float(self.workflow.executor_settings.init_seconds_before_status_checks or 0)

    async def sleep(self) -> None:
        """Sleep between two polls, and wake up when the driver ends."""
        until = time.monotonic() + self._interval
        while self.wait and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1.0))

    # Shutdown

    def cancel_jobs(self, active_jobs: list[Any]) -> None:
        """Cancel every watched job; those being polled are not among the active."""
        self._leaving = True
        held = [(job, w.submission) for job, w in list(self._watched.items()) if w.is_live]
        super().cancel_jobs([_info(job, submission.job, Path()) for job, submission in held])

    def shutdown(self) -> None:
        """Shut down, and stop trying to submit."""
        self._leaving = True
        super().shutdown()

    # Jobs of an earlier driver

    def _take_over(self) -> Takeover:
        """Settle an earlier driver's jobs, and find those to attach to.

        Raises:
            WorkflowError: a live job conflicts, or squeue does not answer.
        """
        queue = self._queue_at_start()
        owed = self._ledger.owed()
        wanted, jobs = [], {}
        for job in self.dag.jobs:
            outputs = tuple(str(f) for f in job.output)
            submissions = [s for s in owed if set(outputs) & set(s.outputs)]
            if submissions:
                jobs[outputs] = job
                wanted.append((self._wanted(job, outputs), submissions))
        gone = {s.job for _, submissions in wanted for s in submissions} - set(queue)
        try:
            known = queue | in_accounts(gone)
        except NoAnswerError as error:
            self.logger.warning(f"{error}. {len(gone)} jobs are not looked up in it.")
            known = queue
        found = take_over(wanted, known)
        comments = {_comment(job) for job in self.dag.needrun_jobs() if not job.is_local}
        noted = {number for number in queue if self._ledger.knows(number)}
        found.refusals += not_noted(queue, str(self.workflow.workdir_init), comments, noted)
        if found.refusals:
            raise WorkflowError("\n".join(dict.fromkeys(found.refusals)))
        self._settle(found, jobs)
        return found

    def _settle(self, found: Takeover, jobs: dict[tuple[str, ...], Any]) -> None:
        """Note the jobs that have ended."""
        persistence = self.workflow.persistence
        for submission, word in found.over:
            self._ledger.close(submission, word)
        for wanted, submission in found.done:
            self.workflow.async_run(persistence.finished(jobs[wanted.outputs]))
            self.logger.info(f"{submission.shown} of an earlier driver has finished.")
            self._ledger.close(submission, COMPLETED)
        again = [(w, s) for w, s in found.outdated if not w.is_needed]
        for wanted, submission in found.outdated:
            persistence.started(jobs[wanted.outputs], submission.job)
            self._ledger.close(submission, COMPLETED)
        if again:
            lines = [f"{s.shown} has finished, from other values, code or inputs" for _, s in again]
            raise WorkflowError(
                "\n".join([*lines, "these results now count as unfinished; start again"])
            )

    def _wanted(self, job: Any, outputs: tuple[str, ...]) -> Wanted:
        return Wanted(
            outputs=outputs,
            digest=digest_of(job),
            is_needed=self.dag.needrun(job),
            reads_new=any(self.dag.needrun(other) for other in self.dag.dependencies[job]),
            is_made=self.workflow.async_run(self._is_made(job)),
        )

    def _queue_at_start(self) -> dict[str, Seen]:
        for attempt in range(PATIENCE):
            try:
                return in_queue()
            except NoAnswerError as error:
                message = str(error)
                if attempt == 0:
                    self.logger.warning(f"{message}. The start waits for it.")
                time.sleep(self._interval)
        raise WorkflowError(
            f"{message}; an earlier driver's jobs are not known without it, so nothing is "
            "submitted; start again when squeue answers"
        )


def digest_of(job: Any) -> str:
    """Hash all that determines the outputs of one job for Snakemake: rule, params, inputs.

    Inputs count with size and time, but `ancient` ones by name only, as for Snakemake.
    Threads, memory and time limit do not count.
    """
    parts = {
        "rule": job.rule.name,
        "command": job.rule.shellcmd,
        "params": [str(value) for value in job.params],
        "inputs": [_input(f) for f in job.input],
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _input(file: Any) -> list[str | int]:
    try:
        status = Path(str(file)).stat()
    except OSError:
        return [str(file)]
    return [str(file)] if file.is_ancient else [str(file), status.st_mtime_ns, status.st_size]


def _members(job: Any) -> list[Any]:
    return list(job.jobs) if job.is_group() else [job]


def asked_of(job: Any) -> list[str]:
    """List a job's resources as for `--set-resources`.

    A resource that the node decides, such as `tmpdir`, has no value yet and stays an expression.
    """
    texts = {
        name: repr(value) if (value := job.resources.get(name)) else resource.raw
        for name, resource in job.rule.resources.items()
        if not name.startswith("_")
    }
    return [f"{job.rule.name}:{name}={text}" for name, text in texts.items() if text is not None]


def _work_folder(members: Iterable[Any]) -> str | None:
    """Return the folder of growing state, a rule's `params.work`."""
    found = [str(work) for member in members if (work := getattr(member.params, "work", None))]
    return found[0] if len(found) == 1 else None


def _comment(job: Any) -> str:
    """Return the plugin's comment of a job."""
    wildcards = get_job_wildcards(job)
    return f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}"


def _info(job: Any, number: str, log: Path) -> Any:
    return SubmittedJobInfo(job, external_jobid=number, aux={"slurm_logfile": log})
