"""A cell of the whole tiny study, run again on another kind of machine, and attested."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(20 * 60)]  # a busy machine
TINY, CELL = Path("results/tiny"), "main/folk/full"


@pytest.mark.skipif(
    shutil.which("ssh-keygen") is None,
    reason="needs ssh-keygen: install openssh-client, as CI does",
)
def test_other_vector_instructions_and_threads_attest_a_cell_and_move_nothing(finished_copy):
    folder, shards = finished_copy.folder, TINY / "prepare/scenes/shards"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"]
    subprocess.run(command, check=True)
    options = ["--from", "pretrain", "--threads", "2", "--attest", "--key", "key"]
    (folder / shards).rename(folder / "kept")  # as in a clone: the data set is made again

    done = folk(finished_copy, "rerun", CELL, *options, ATEN_CPU_CAPABILITY="default")
    (folder / "kept").rename(folder / shards)

    # One seed has no interval, so another value ends with 1.
    assert done.returncode in (0, 1), done.stderr
    (path,) = (folder / TINY / "attestations").glob("main.folk.full-*.json")
    statement = json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))
    told = statement["predicate"]
    assert [job["record"].split("/")[2] for job in told["jobs"]] == [
        "prepare", "pretrain", "finetune"
    ]  # fmt: skip
    data, *trained = told["jobs"]
    assert data["same"] == "bitwise"
    assert told["cpu_capability"] == "DEFAULT"
    assert {job["threads"] for job in trained} == {2}
    assert all("threads: 1 -> 2" in " ".join(job["why"]) for job in trained)

    assert folk(finished_copy, "seal", "--check").returncode == 0
    assert not finished_copy.planned()
    found = folk(finished_copy, "verify", "--json")
    assert found.returncode == 0, found.stdout
    says = {f["place"]: f["says"] for f in json.loads(found.stdout)["findings"]}
    assert "from pretrain: " in says[path.relative_to(folder).as_posix()]

    assert folk(finished_copy, "report").returncode == 0
    assert folk(finished_copy, "seal").returncode == 0
    assert "re-run by 1 party on 1 kind of CPU" in (folder / TINY / "report.html").read_text()
    assert folk(finished_copy, "verify").returncode == 0
    assert not finished_copy.planned()


def folk(copy, command, *options, **environment):
    return copy.run("-m", "folk", command, "config/tiny.yaml", *options, **environment)
