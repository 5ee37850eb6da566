"""What a record says about its surroundings is true, holds no secret, and never fails."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from folk.evidence.audit.kept_diff import kept_diff
from folk.evidence.core.files import write_text
from folk.evidence.record.environment import (
    code_moved_since,
    code_state,
    ended_as,
    environment,
    geometry,
    hardware,
    scheduler,
)
from tests.faults.table import fault
from tests.toy import git


@pytest.fixture
def repository(tmp_path):
    git("init", "-q", folder=tmp_path)
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("/work/\n")
    git("add", ".", folder=tmp_path)
    git("commit", "-qm", "first", folder=tmp_path)
    return tmp_path


def test_a_clean_tree_is_named_by_its_commit_alone(repository):
    state, diff = code_state(repository)

    head = git("rev-parse", "HEAD", folder=repository)
    assert state == {"commit": head.strip(), "dirty": False, "dirty_diff_sha256": None}
    assert diff is None


def test_an_edit_is_kept_as_its_difference_and_digest(repository):
    (repository / "code.py").write_text("x = 2\n")

    state, diff = code_state(repository)

    assert state["dirty"] is True
    assert "-x = 1\n+x = 2" in diff
    assert state["dirty_diff_sha256"] == hashlib.sha256(diff.encode()).hexdigest()


def test_an_edit_is_seen_from_a_folder_inside_the_tree(repository):
    (repository / "code.py").write_text("x = 2\n")
    (repository / "new.py").write_text("y = 1\n")
    (repository / "below").mkdir()

    state, diff = code_state(repository / "below")

    assert (state, diff) == code_state(repository)
    assert "new file new.py 6 bytes" in diff


def test_a_new_file_counts_with_its_content(repository):
    (repository / "new.py").write_text("y = 1\n")
    first, diff = code_state(repository)
    (repository / "new.py").write_text("y = 2\n")
    second, _ = code_state(repository)

    assert "new file new.py 6 bytes" in diff
    assert first["dirty_diff_sha256"] != second["dirty_diff_sha256"]


@pytest.mark.parametrize("name", ["work/state.bin", "results/mine/table.md", "dvc.lock"])
def test_what_the_workflow_writes_does_not_make_the_tree_dirty(repository, name):
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("made")

    assert code_state(repository)[0]["dirty"] is False


def test_a_long_difference_is_cut_and_its_digest_is_of_the_whole(repository, monkeypatch):
    monkeypatch.setattr("folk.evidence.record.environment.DIFF_CAP_BYTES", 100)
    (repository / "code.py").write_text("x = 2\n" * 100)

    state, diff = code_state(repository)

    assert len(diff) < 300
    assert state["dirty_diff_sha256"] in diff


def test_a_difference_that_is_not_utf8_is_kept_with_its_bytes(repository):
    (repository / "code.py").write_bytes(b"x = 'sch\xf6n'\n")

    state, diff = code_state(repository)
    write_text(repository / "kept.diff", diff)

    assert b"sch\xf6n" in (repository / "kept.diff").read_bytes()
    assert kept_diff(repository / "kept.diff", state["dirty_diff_sha256"]) == "kept"


def test_before_the_first_commit_the_tree_is_dirty_and_has_no_commit(tmp_path):
    git("init", "-q", folder=tmp_path)
    (tmp_path / "code.py").write_text("x = 1\n")

    state, diff = code_state(tmp_path)

    assert (state["commit"], state["dirty"]) == (None, True)
    assert "new file code.py" in diff


@fault("Services", "a folder that is no git repository", "the record has no commit, and says so")
def test_without_a_repository_everything_is_unknown(tmp_path):
    nothing = {"commit": None, "dirty": None, "dirty_diff_sha256": None}

    assert code_state(tmp_path) == (nothing, None)


NOTHING = {"commit": None, "dirty": None, "dirty_diff_sha256": None}


@fault("Services", "no git", "the record has no commit; one line in the job's log says why")
def test_without_git_everything_is_unknown(repository, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")

    assert code_state(repository) == (NOTHING, None)
    line = f"{repository}: git cannot be called; no commit is recorded\n"
    assert capsys.readouterr().err == line


@fault("Services", "a git repository of another user, which git refuses to read",
       "the record has no commit; one line in the job's log says why")  # fmt: skip
def test_a_repository_of_somebody_else_is_unknown_and_git_says_why(repository, monkeypatch, capsys):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    (repository / "below").mkdir()

    assert code_state(repository / "below") == (NOTHING, None)
    assert "dubious ownership" in capsys.readouterr().err


@fault("Services", "a git index that is broken",
       "the record has the commit, and does not say that nothing was changed")  # fmt: skip
def test_what_git_cannot_compare_is_not_called_clean(repository):
    (repository / ".git/index").write_bytes(b"DIRC")

    state, diff = code_state(repository)

    assert state["commit"] is not None
    assert (state["dirty"], diff) == (None, None)


@fault("Services", "a detached head, a dirty tree, a shallow clone",
       "the record has commit and differences; `verify` names a commit it lacks")  # fmt: skip
def test_a_detached_head_and_a_shallow_clone_have_a_commit(repository, tmp_path_factory):
    first = code_state(repository)[0]["commit"]
    git("checkout", "-q", "--detach", folder=repository)
    (repository / "code.py").write_text("x = 2\n")
    git("commit", "-qam", "second", folder=repository)
    detached = code_state(repository)[0]
    shallow = tmp_path_factory.mktemp("shallow") / "clone"
    git("clone", "-q", "--depth", "1", f"file://{repository}", shallow, folder=repository)

    assert detached == {"commit": detached["commit"], "dirty": False, "dirty_diff_sha256": None}
    assert code_state(shallow)[0] == detached
    assert code_moved_since(repository, first) == ["code.py"]
    assert code_moved_since(shallow, first) is None


def test_the_lock_is_named_by_its_digest(tmp_path):
    assert environment(tmp_path)["lock_sha256"] is None
    (tmp_path / "requirements.lock").write_text("torch==2")

    found = environment(tmp_path)

    assert found["lock_sha256"] == hashlib.sha256(b"torch==2").hexdigest()
    assert found["python"] == sys.version.split()[0]
    assert found["packages"]["torch"]


def test_only_allowed_variables_enter(tmp_path, monkeypatch):
    variables = {"OMP_NUM_THREADS": "17", "AWS_SECRET_ACCESS_KEY": "s3cret", "HOME": "/home/me"}

    monkeypatch.setattr("os.environ", variables)

    assert environment(tmp_path)["variables"] == {"OMP_NUM_THREADS": "17"}


def test_the_machine_is_described():
    found = hardware()

    assert found["host"]
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28


def test_the_vector_instructions_are_those_that_torch_takes():
    import torch

    assert hardware()["cpu_capability"] == torch.backends.cpu.get_cpu_capability()


@pytest.mark.parametrize(("value", "name"), [("avx2", "AVX2"), ("default", "DEFAULT")])
def test_vector_instructions_may_be_chosen_by_variable(monkeypatch, value, name):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", value)

    assert hardware()["cpu_capability"] == name
    assert environment(Path())["variables"]["ATEN_CPU_CAPABILITY"] == value


def test_a_value_that_torch_ignores_chooses_nothing(monkeypatch):
    before = hardware()["cpu_capability"]

    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "AVX512VNNI")

    assert hardware()["cpu_capability"] == before


def test_graphics_cards_are_named_by_their_own_tool(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'NVIDIA H100\\n\\n  NVIDIA \\377 H100 \\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert hardware()["gpus"] == ["NVIDIA H100", "NVIDIA \ufffd H100"]


def test_a_slurm_job_is_named_and_its_absence_is_none(monkeypatch):
    monkeypatch.setenv("PATH", "")  # no cluster answers
    assert scheduler() is None
    variables = {"SLURM_JOB_ID": "77", "SLURMD_NODENAME": "n1", "SLURM_RESTART_COUNT": "2"}
    monkeypatch.setattr("os.environ", os.environ | variables)

    found = scheduler()

    assert (found["kind"], found["job_id"], found["node"]) == ("slurm", "77", "n1")
    assert (found["restart_count"], found["partition"]) == ("2", None)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A controller that knows three jobs, and accounting that knows a fourth."""
    words = "JobName=abc JobState={} Partition=low NodeList=node[1-2] Restarts=1 TimeLimit=00:10:00"
    cases = {"7": "RUNNING", "8": "PREEMPTED", "9": "NODE_FAIL", "3": "COMPLETING", "4": "PENDING"}
    known = "".join(
        f'  "show job {job}") echo "JobId={job} {words.format(state)}" ;;\n'
        for job, state in cases.items()
    )
    tools = {
        "scontrol": f'case "$1 $2 $3" in\n{known}'
        '  "show hostnames node[1-2]") printf "node1\\nnode2\\n" ;;\n  *) exit 1 ;;\nesac\n',
        "sacct": '[ "$*" = "-X -n -P -o State -j 5" ] && echo "CANCELLED by 1000"\n',
    }
    for name, script in tools.items():
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{script}")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_what_is_missing_in_the_environment_slurm_is_asked(slurm, monkeypatch):
    variables = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "python", "SLURMD_NODENAME": "node1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    found = scheduler()

    assert found | {"array_job_id": None} == found
    asked = ("job_name", "partition", "node_list", "restart_count", "time_limit", "node")
    assert [found[key] for key in asked] == ["abc", "low", "node[1-2]", "1", "00:10:00", "node1"]


@pytest.mark.parametrize(
    ("job", "state"),
    [
        ("8", "PREEMPTED"),
        ("9", "NODE_FAIL"),
        ("5", "CANCELLED"),
        ("6", None),
        (None, None),
        ("3", None),
        ("4", None),
        ("7", None),
    ],
)
def test_slurm_is_asked_how_an_earlier_job_ended(slurm, job, state):
    assert ended_as(job) == state


def test_a_job_that_runs_again_under_its_id_was_requeued(slurm, monkeypatch):
    assert ended_as("7") is None
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert ended_as("7") == "REQUEUED"


def test_a_geometry_is_what_torchrun_and_slurm_tell(slurm, monkeypatch):
    spread = {"WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3", "SLURM_STEP_NODELIST": "node[1-2]"}

    for name, value in spread.items():
        monkeypatch.setenv(name, value)

    assert geometry(4) == {
        "nodes": 2, "processes": 3, "world_size": 6, "threads": 4, "node_list": ["node1", "node2"],
    }  # fmt: skip


def test_a_process_alone_is_a_geometry_too(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "here")

    assert geometry(1)["node_list"] == ["here"]
    assert geometry(1)["world_size"] == 1


def test_new_files_are_all_listed_large_ones_unread_and_repositories_passed_over(
    repository, monkeypatch
):
    monkeypatch.setattr("folk.evidence.record.environment.LARGE_FILE_BYTES", 100_000)
    (repository / "between").mkdir()
    git("init", "-q", folder=repository / "between")
    (repository / "a.bin").write_bytes(b"x" * 100_000)
    (repository / "z.bin").write_bytes(b"x" * 100_001)

    _, diff = code_state(repository)

    digest = hashlib.sha256(b"x" * 100_000).hexdigest()
    assert diff == (
        f"new file a.bin 100000 bytes sha256 {digest}\n"
        "new file z.bin 100001 bytes sha256 not read\n"
    )
