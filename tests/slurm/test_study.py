"""A study on a cluster is the study that one machine makes, and each job tells where it ran."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from folk.evidence.core.digest import digest_file
from folk.evidence.record.schema import read_record
from tests.slurm.driver import MINUTES, run_driver
from tests.slurm.lab import Lab
from tests.slurm.lab_files import NODES
from tests.workflow.conftest import ROOT, Copy, copy_repository

pytestmark = pytest.mark.timeout(20 * MINUTES)

# What a GPU job asks for; on the cluster of the tests the GPU is a number in the environment.
RESOURCES = """
resources:
  pretrain: {gpu: 1, mem_mb: 1500, runtime: 10}
  report: {runtime: 10}
"""
# Ids of records hold times and hosts.
NOT_OF_THE_RESULT = "parent_ids"
# What is measured and not computed: of another machine, of another moment.
MEASURED = "cost"
LOCAL = ("split/", "report/", "track/")  # the driver makes them itself


@pytest.fixture(scope="module")
def both(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Copy, Copy, str]:
    """One study, made on the cluster and made here; and what the driver said."""
    there, here = (copy_repository(tmp_path_factory.mktemp(name)) for name in ("there", "here"))
    for copy in (there, here):
        with (copy.folder / "config/tiny.yaml").open("a", encoding="utf-8") as study:
            study.write(RESOURCES)
    done = run_driver(shared_lab, there.folder, "--configfile", "config/tiny.yaml")
    assert done.returncode == 0, done.stdout[-6000:] + logs(there)
    # As if this machine had a GPU; without one, torch takes the CPU here as on the node.
    call = ("-m", "snakemake", "--cores", "2", "--configfile", "config/tiny.yaml")
    done = here.run(*call, CUDA_VISIBLE_DEVICES="0")
    assert done.returncode == 0, done.stderr[-6000:] + logs(here)
    return there, here, done.stdout


def logs(copy: Copy) -> str:
    return "".join(path.read_text()[-2000:] for path in copy.folder.glob("results/**/*.log"))


def results(copy: Copy, pattern: str) -> dict[str, Path]:
    """The files of a study by their place in it, those that hold measurements left out."""
    top = copy.folder / "results/tiny"
    found = {str(path.relative_to(top)): path for path in sorted(top.glob(pattern))}
    return {name: path for name, path in found.items() if not name.startswith(MEASURED)}


def submitted(copy: Copy) -> dict[str, Path]:
    """The records of all jobs of the cluster; what takes seconds is made by the driver itself."""
    records = results(copy, "**/record.json")
    return {name: path for name, path in records.items() if not name.startswith(LOCAL)}


def are_equal(cells: pd.DataFrame, others: pd.DataFrame) -> None:
    """The cells are the same to the bit in all that follows from predictions."""
    drop = {"columns": NOT_OF_THE_RESULT}
    pd.testing.assert_frame_equal(cells.drop(**drop), others.drop(**drop), check_exact=True)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("**/predictions*.parquet", 14),
        ("pretrain/*/encoder.safetensors", 2),
        ("split/**/*.parquet", 1),
    ],
)
def test_predictions_and_encoders_are_the_same_to_the_bit(both, pattern, count):
    there, here = (results(copy, pattern) for copy in both[:2])

    assert len(there) == count
    assert {name: digest_file(path).sha256 for name, path in there.items()} == {
        name: digest_file(path).sha256 for name, path in here.items()
    }


def test_cells_are_the_same(both):
    there, here = (pd.read_parquet(copy.folder / "results/tiny/cells.parquet") for copy in both[:2])

    assert len(there) > 17
    there, here = (cells[cells["table"] != MEASURED] for cells in (there, here))
    are_equal(there, here)


def test_afterwards_there_is_nothing_to_do(both):
    assert both[0].planned() == Counter()


def test_each_record_tells_job_node_and_gpu(both):
    records = {name: read_record(path) for name, path in submitted(both[0]).items()}

    jobs = [record["scheduler"]["job_id"] for record in records.values()]
    assert len(set(jobs)) == len(jobs) == 13
    assert all(record["scheduler"]["node"] in NODES for record in records.values())
    given = {
        record["environment"]["variables"].get("CUDA_VISIBLE_DEVICES")
        for record in records.values()
        if record["stage"] == "pretrain"
    }
    assert given <= {"0", "1"}
    assert given


def test_the_log_of_each_job_is_kept(both):
    folder = both[0].folder
    for name, path in submitted(both[0]).items():
        record = read_record(path)
        (log,) = folder.glob(
            f".snakemake/slurm_logs/rule_{record['stage']}/**/{record['scheduler']['job_id']}.log"
        )
        assert "1 of 1 steps (100%) done" in log.read_text(), name


@pytest.mark.long
@pytest.mark.timeout(60 * MINUTES)
def test_the_demo_has_the_cells_of_one_machine(lab: Lab, tmp_path):
    """The whole of `make demo`; compared with results/demo of this clone where it is finished."""
    here = ROOT / "results/demo/cells.parquet"
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    if not here.exists():
        copy = copy_repository(tmp_path / "here")
        done = copy.run("-m", "snakemake", "--workflow-profile", "workflow/profiles/default")
        assert done.returncode == 0, done.stderr[-6000:]
        here = copy.folder / "results/demo/cells.parquet"
    there = copy_repository(tmp_path / "there")
    done = run_driver(lab, there.folder, seconds=50 * MINUTES)
    assert done.returncode == 0, done.stdout[-6000:] + logs(there)

    cells = pd.read_parquet(there.folder / "results/demo/cells.parquet")
    are_equal(cells, pd.read_parquet(here))
