"""
The study of this call. The logic of its jobs is in folk/cli/workflow.py.

INPUTS
    study    config/demo.yaml, the files given with --configfile, and --config
"""

import shlex
import sys
from contextlib import contextmanager
from pathlib import Path

from folk.cli.workflow import Jobs, get_config
from folk.evidence.core.errors import InputError
from folk.evidence.core.shipped import IS_WHEEL
from folk.evidence.core.yaml_model import Layers
from folk.evidence.record.fingerprint import SOURCE
from folk.slurm.study_lock import describe_lock, hold_study
from snakemake.exceptions import WorkflowError

# Jobs use this Python, found by name on PATH, because a full path would tie results to one machine.
prefix = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; "
if not IS_WHEEL and (SOURCE != Path.cwd() or sys.flags.safe_path):
    prefix += f"export PYTHONPATH={shlex.quote(str(SOURCE))}:$PYTHONPATH; "
shell.prefix(prefix)


@contextmanager
def refusing():
    """Stop before any job starts, and print only the lines of the error."""
    try:
        yield
    except InputError as error:
        raise WorkflowError(f"the study cannot run:\n{error}") from None


def get_study_config():
    """The study's values, from files or from a workflow that uses this one as a module."""
    if workflow.modifier.skip_configfile:
        return Layers([], config, origin="config of the module", named_by="study")
    files = [Path(default_study)] if default_study else []
    return get_config(
        [*files, *workflow.overwrite_configfiles], workflow.config_settings.config_args
    )


def make_again(file):
    """Plan the job of a file, in the driver only."""
    if workflow.is_main_process:
        workflow.dag.forcefiles.add(file)


def report_to_user():
    """Print the stale results and the owner of a remaining lock."""
    for line in [*jobs.find_stale(), *describe_lock()]:
        print(line, file=sys.stderr)


with refusing():
    jobs = Jobs(get_study_config(), ancient, make_again)
    if workflow.is_main_process:
        jobs.check_published()
study = jobs.study
