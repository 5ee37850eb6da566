"""Variables of the environment that change what git and SLURM print change no record, no check."""

import os
import subprocess

import pytest

from folk.evidence.record.environment import code_moved_since, code_state
from folk.slurm.queues import ask_slurm, without_filters
from folk.slurm.states import in_queue
from folk.training.time_limit import seconds_allowed
from tests.faults.table import fault
from tests.toy import git


@pytest.fixture
def repositories(tmp_path):
    """Two repositories with a commit each; the first is edited."""
    found = []
    for name in ("own", "other"):
        folder = tmp_path / name
        folder.mkdir()
        git("init", "-q", folder=folder)
        (folder / "code.py").write_text(f"name = '{name}'\n" * 9)
        git("add", ".", folder=folder)
        git("commit", "-qm", name, folder=folder)
        found.append(folder)
    (found[0] / "code.py").write_text("name = 'own'\n" * 8 + "edited\n")
    return found


@fault("Services", "variables of git, as in a hook of another repository (`GIT_DIR`)",
       "the record has commit and edits of our own")  # fmt: skip
@pytest.mark.parametrize(
    "variables",
    [
        {"GIT_DIR": "{other}/.git"},
        {"GIT_DIR": "{other}/.git", "GIT_WORK_TREE": "{other}"},
        {"GIT_INDEX_FILE": "{other}/.git/index"},
        {"GIT_DIFF_OPTS": "--unified=0"},
        {"GIT_LITERAL_PATHSPECS": "1"},
        {"GIT_OBJECT_DIRECTORY": "{other}/.git/objects"},
        {"GIT_CEILING_DIRECTORIES": "/"},
        {"LC_ALL": "C", "LANGUAGE": "de", "TZ": "Asia/Tokyo"},
    ],
    ids=lambda variables: "+".join(variables),
)
def test_git_is_asked_about_our_repository_alone(repositories, monkeypatch, variables):
    own, other = repositories
    expected = code_state(own)
    commit = expected[0]["commit"]
    assert expected[0]["dirty"] is True
    assert commit != code_state(other)[0]["commit"]

    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(other=other))

    assert code_state(own) == expected
    assert code_moved_since(own, commit) == []


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """SLURM's commands: `squeue` filters as SQUEUE_PARTITION says, and has a format of times."""
    scripts = {
        "squeue": """case "$*" in
            *%e*) [ "$SLURM_TIME_FORMAT" = standard ] && echo 1970-01-01T02:00:00 || echo soon;;
            *) [ -n "$SQUEUE_PARTITION$SQUEUE_STATES" ] || echo '7|RUNNING|name|/folder|comment';;
        esac""",
        "sinfo": """[ -n "$SINFO_PARTITION" ] ||
            echo 'gpu*|gpu|up|1:00:00|1-infinite|2|8|64000|(null)'""",
        "sacctmgr": "true",
        "scontrol": "true",
    }
    for name, script in scripts.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("TZ", "UTC")


@fault("Services", "variables of SLURM's commands, such as `SQUEUE_PARTITION` or `SINFO_FORMAT`",
       "without effect: a job that squeue hides would count as lost")  # fmt: skip
def test_slurm_hides_no_job_and_no_partition(programs, monkeypatch):
    monkeypatch.setenv("SQUEUE_PARTITION", "cpu")
    monkeypatch.setenv("SINFO_PARTITION", "cpu")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    hidden = subprocess.run(["squeue"], capture_output=True, text=True, check=False)
    assert hidden.stdout == ""

    assert in_queue()["7"].is_live
    assert list(ask_slurm().partitions) == ["gpu"]
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert seconds_allowed(1, {"SLURM_JOB_ID": "1"}) == 7200 - 1000 - 600


def test_what_a_site_sets_for_sbatch_stays():
    kept = {"SBATCH_ACCOUNT": "a", "SLURM_CLUSTERS": "c", "SLURM_CONF": "f"}

    assert without_filters(kept | {"SQUEUE_FORMAT": "%i", "SACCT_FEDERATION": "1"}) == kept
    assert "PATH" in without_filters(os.environ)
