"""A study of which every job is killed again and again ends as one that nobody disturbs."""

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.soak import Soak, results_of, watched
from tests.faults.table import fault
from tests.workflow.conftest import Copy, copy_repository

MINUTES = 60.0
KILLS = 50  # at least
KILLS_A_JOB = 6
DRIVER_ENDS = ["alone", "power", "ctrl-c", "alone", "power"]


def study(folder: Path) -> Copy:
    """The tiny study, with a checkpoint after every update."""
    folder.mkdir()
    copy = copy_repository(folder)
    text = (folder / "config/tiny.yaml").read_text()
    for setting in ("optim.epochs: 2,", "optim.epochs: 4,", "optim.updates: 3,"):
        assert setting in text
        text = text.replace(setting, f"runtime.checkpoint_seconds: 0.0, {setting}")
    (folder / "config/tiny.yaml").write_text(text)
    return copy


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES)
@fault(
    "Processes",
    "`kill -9` at random moments of every stage, more than fifty times; the driver killed too, "
    "alone, with all its jobs, and by Ctrl-C",
    "the next call of `snakemake` goes on (after `--unlock` where the driver was killed); "
    "encoders, predictions, cells and tables are those of a run that nobody disturbed",
    lost="of a training what came after its last checkpoint, and all where the kill falls into the "
    "second after its record, as Snakemake then deletes the result; of another job its own work",
)
def test_a_study_killed_at_every_turn_ends_with_the_results_of_a_quiet_one(tmp_path, capsys):
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(10**6)))
    with capsys.disabled():
        print(f"\nSOAK_SEED={seed} repeats the moments of this run")
    quiet, soaked = study(tmp_path / "quiet"), study(tmp_path / "soaked")
    lives = watched(quiet)
    assert len(lives) >= 15, lives

    soak = Soak(
        soaked,
        random.Random(seed),
        lives,
        kills=Counter(dict.fromkeys(lives, KILLS_A_JOB)),
        driver_ends=list(DRIVER_ENDS),
    )
    soak.run(40 * MINUTES)

    with capsys.disabled():
        print(f"{soak.killed.total()} kills of jobs: {dict(soak.killed)}; drivers: {soak.ended}")
    assert soak.killed.total() >= KILLS
    assert soak.ended == DRIVER_ENDS
    assert soaked.planned() == Counter()
    assert results_of(soaked.folder) == results_of(quiet.folder)
    assert list(soaked.folder.glob("results/**/.*.tmp*")) == []
