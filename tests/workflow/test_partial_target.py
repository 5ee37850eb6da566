"""A call for a part of a study ends well; what closes a study waits until all of it is there."""

from pathlib import Path

import pytest

from folk.cli.workflow import Jobs
from folk.evidence.core.yaml_model import Document
from tests.faults.table import fault

RESULTS = Path("results/mine")


def closing_problem():
    return Jobs(
        Document(RESULTS / "study.yaml"), lambda path: path, lambda _: None
    ).closing_problem()


@pytest.mark.parametrize("lost", ["prepare/pics", "probe/folk-s0/frozen", "report", "track"])
def test_a_study_is_sealed_only_with_every_record_that_it_asks_for(by_hand, lost):
    assert closing_problem() is None

    (RESULTS / lost / "record.json").unlink()

    assert closing_problem() == (
        "mine: not sealed, and DVC keeps no files yet: 1 of 13 records are missing, such as "
        f"{RESULTS}/{lost}/record.json"
    )


@pytest.mark.slow
@fault("Services", "a call for a part of the study (`--until`, `--omit-from`, a target)",
       "status 0; one line says that the study is not sealed yet")  # fmt: skip
@pytest.mark.parametrize(
    "asked", [("--until", "prepare"), ("--", "results/tiny/prepare/scenes/record.json")]
)
def test_a_part_of_a_study_ends_with_status_0_and_without_a_seal(clean_copy, asked):
    done = clean_copy.snakemake(*asked)

    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "not sealed" in line]
    assert line.startswith("tiny: not sealed, and DVC keeps no files yet: 16 of 17 records are ")
    assert not (clean_copy.folder / "results/tiny/seal.json").exists()
