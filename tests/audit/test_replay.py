"""A replay names trainings as `verify --deep` names evaluations, and draws them anew."""

from pathlib import Path

import pytest

from folk.evidence.audit.replay import Draw
from tests.toy import finish, folk


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folk-s1", "--replay folk-s1: unknown run or evaluation; did you mean 'folk-s0'?"),
        ("folk-s0", "--replay folk-s0: it kept no log; set runtime.replay in its recipe before"),
    ],
)
def test_a_training_that_cannot_be_replayed_is_one_line(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    finish()

    done = folk("verify", Path("config/demo.yaml"), "--replay", name)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_seed_draws_the_same_segments_again_and_each_once():
    segments = [(start, start + 10) for start in range(0, 100, 10)]
    drawn = [Draw((), 4, seed).of(segments) for seed in range(20)]

    assert drawn == [Draw((), 4, seed).of(segments) for seed in range(20)]
    assert all(len(set(one)) == 4 and one == sorted(one) for one in drawn)
    assert set().union(*map(set, drawn)) == set(segments)
    assert Draw((), 99, 0).of(segments) == segments
