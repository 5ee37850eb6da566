"""Snakemake's logger plugin `folk`: `folk.cli.display` in place of Snakemake's messages.

Snakemake makes the handler before it reads a Snakefile. So nothing of `folk` is imported before the
first job: the workflow's own folder comes first by then.
"""

import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

__all__ = ["LogHandler"]

TARGETS = ("all", "workflow_all")  # they do nothing and are no jobs to a person
SHOWN = ("Nothing to be done", "Will exit after")
ENDS = ("Exiting because a job", "At least one job did not complete")  # the summary tells more
STOPPING = "Terminating processes on user request"
LOG = "Complete log(s): "


class LogHandler(LogHandlerBase):
    """Translator of Snakemake's events into calls of a display."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Begin without a display: there may be nothing to do."""
        self._display: Any = None
        self._planned = Counter[str]()
        self._log: Path | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record or leave it to the log file."""
        try:
            self._show(record, getattr(record, "event", None))
        except Exception:  # noqa: BLE001  # as every handler of `logging`: the jobs go on
            self.handleError(record)

    def close(self) -> None:
        """Print the summary."""
        if self._display is not None:
            self._display.close(self._log)
            self._display = None
        super().close()

    def _show(self, record: Any, event: LogEvent | None) -> None:
        if self.common_settings.dryrun:
            self._say(record)
        elif event == LogEvent.RUN_INFO:
            rules = {k: n for k, n in record.stats.items() if k not in (*TARGETS, "total")}
            self._planned = Counter(rules)
        elif event == LogEvent.JOB_INFO:
            if record.rule_name not in TARGETS:
                self._start(record)
        elif event == LogEvent.JOB_FINISHED:
            self._display.finish(record.job_id, record.created)
        elif event == LogEvent.JOB_ERROR:
            self._display.fail(record.jobid, record.rule_msg)
        elif event is None or event == LogEvent.ERROR:
            self._pass_on(record, record.getMessage())

    def _start(self, record: Any) -> None:
        from folk.cli.display import Display, Job

        if self._display is None:
            self._display = Display(
                self._planned,
                record.created,
                is_terminal=sys.stderr.isatty() and os.environ.get("TERM") != "dumb",
                colors=not self.common_settings.nocolor,
            )
        title = record.rule_msg or " ".join([record.rule_name, *record.wildcards.values()])
        log = Path(record.log[0]) if record.log else None
        self._display.start(record.jobid, Job(title, record.rule_name, log, record.created))

    def _pass_on(self, record: Any, text: str) -> None:
        if text.startswith(STOPPING) and self._display is not None:
            self._display.stop()
        elif text.startswith(LOG):
            self._log = Path(text.removeprefix(LOG))
        elif text.startswith(SHOWN):
            self._say(record)
        elif record.levelno >= logging.WARNING:
            # The command of a failed job; its own log says why.
            of_job = getattr(record, "exception", None) == "RuleException"
            if self._display is None or not (of_job or any(end in text for end in ENDS)):
                self._say(record)

    def _say(self, record: Any) -> None:
        text = self.format(record)
        if not text:
            return
        if self._display is None:
            print(text, file=sys.stdout if self.common_settings.stdout else sys.stderr)
        else:
            self._display.say(text, is_bad=record.levelno >= logging.WARNING)
