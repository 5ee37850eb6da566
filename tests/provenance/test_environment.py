"""What a record says about its surroundings is true, holds no secret, and never fails."""

import hashlib
import subprocess
import sys

import pytest

from folk.provenance.environment import code_state, environment, hardware, scheduler


def git(folder, *arguments):
    command = ["git", "-C", folder, "-c", "user.name=n", "-c", "user.email=e@x", *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("/work/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_tree_is_named_by_its_commit_alone(repository):
    state, diff = code_state(repository)

    head = subprocess.check_output(["git", "-C", repository, "rev-parse", "HEAD"], text=True)
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
    (repository / "below").mkdir()

    assert code_state(repository / "below")[0] == code_state(repository)[0]


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
    monkeypatch.setattr("folk.provenance.environment.DIFF_CAP_BYTES", 100)
    (repository / "code.py").write_text("x = 2\n" * 100)

    state, diff = code_state(repository)

    assert len(diff) < 300
    assert state["dirty_diff_sha256"] in diff


def test_before_the_first_commit_the_tree_is_dirty_and_has_no_commit(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("x = 1\n")

    state, diff = code_state(tmp_path)

    assert (state["commit"], state["dirty"]) == (None, True)
    assert "new file code.py" in diff


def test_without_a_repository_everything_is_unknown(tmp_path):
    nothing = {"commit": None, "dirty": None, "dirty_diff_sha256": None}

    assert code_state(tmp_path) == (nothing, None)


def test_without_git_everything_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")

    assert code_state(repository)[0]["commit"] is None


def test_the_lock_is_named_by_its_digest(tmp_path):
    assert environment(tmp_path)["lock_sha256"] is None
    (tmp_path / "requirements.lock").write_text("torch==2")

    found = environment(tmp_path)

    assert found["lock_sha256"] == hashlib.sha256(b"torch==2").hexdigest()
    assert found["python"] == sys.version.split()[0]
    assert found["packages"]["torch"]


def test_only_allowed_variables_enter(tmp_path):
    variables = {"OMP_NUM_THREADS": "1", "AWS_SECRET_ACCESS_KEY": "s3cret", "HOME": "/root"}

    assert environment(tmp_path, variables)["variables"] == {"OMP_NUM_THREADS": "1"}


def test_the_machine_is_described():
    found = hardware()

    assert found["host"]
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28


def test_graphics_cards_are_named_by_their_own_tool(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100'\necho 'NVIDIA H100'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert hardware()["gpus"] == ["NVIDIA H100", "NVIDIA H100"]


def test_a_slurm_job_is_named_and_its_absence_is_none():
    variables = {"SLURM_JOB_ID": "77", "SLURMD_NODENAME": "n1", "SLURM_RESTART_COUNT": "2"}

    found = scheduler(variables)

    assert scheduler({}) is None
    assert (found["kind"], found["job_id"], found["node"]) == ("slurm", "77", "n1")
    assert (found["restart_count"], found["partition"]) == ("2", None)


def test_torch_is_not_imported():
    code = (
        "import sys\n"
        "import folk.provenance.record\n"
        "from folk.provenance.environment import environment\n"
        "from pathlib import Path\n"
        "assert environment(Path('.'))['packages']['torch']\n"
        "assert not {'torch', 'mlflow', 'jsonschema'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
