"""
The study of this call, and what its jobs ask for; the logic is in folk/cli/workflow.py.

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

# Jobs run the Python that runs this, found by name: a path would tie results to one machine.
prefix = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; "
if not IS_WHEEL and (SOURCE != Path.cwd() or sys.flags.safe_path):
    prefix += f"export PYTHONPATH={shlex.quote(str(SOURCE))}:$PYTHONPATH; "
shell.prefix(prefix)


@contextmanager
def refusing():
    """End before any job starts, with the lines of the error alone."""
    try:
        yield
    except InputError as error:
        raise WorkflowError(f"the study cannot run:\n{error}") from None


def get_study_config():
    """The study's values: given by a workflow that uses this one as a module, or by files."""
    if workflow.modifier.skip_configfile:
        return Layers([], config, origin="config of the module", named_by="study")
    files = [Path(default_study)] if default_study else []
    return get_config(
        [*files, *workflow.overwrite_configfiles], workflow.config_settings.config_args
    )


def make_again(file):
    """Plan the job of a file, where the job is part of the call; jobs themselves plan nothing."""
    if workflow.is_main_process:
        workflow.dag.forcefiles.add(file)


def report_to_user():
    """Which results are stale, and who holds a lock that is left."""
    for line in [*jobs.find_stale(), *describe_lock()]:
        print(line, file=sys.stderr)


with refusing():
    jobs = Jobs(get_study_config(), ancient, make_again)
    if workflow.is_main_process:
        jobs.check_published()
study = jobs.study
