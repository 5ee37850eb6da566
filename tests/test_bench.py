"""The table of the bench says what its repetitions say."""

import functools
import importlib
import time
from contextlib import nullcontext

import pytest

from tests.bench import dino, loaders, peers, released
from tests.bench.__main__ import ROWS
from tests.bench.data import write_folder, write_table
from tests.bench.measure import Row, Skipped, in_turns
from tests.bench.photographs import photographs


def test_a_ratio_is_the_median_over_turns_that_follow_each_other():
    # The machine was slow in the second turn, for both.
    row = Row("ours", "theirs", "s", [1.0, 10.0, 1.1], [2.0, 20.0, 2.0], reach=0.5)

    assert row.figure == pytest.approx(0.5)
    assert row.reached
    assert row.as_json()["ours_spread"] == [1.0, 1.1, 10.0]


@pytest.mark.parametrize(("at_least", "reached"), [(True, True), (False, False)])
def test_what_is_to_be_more_is_reached_from_above(at_least, reached):
    row = Row("speed", "", "GB/s", [3.0], reach=2.0, at_least=at_least)

    assert row.reached is reached


def test_both_sides_take_turns_after_one_that_is_not_counted():
    calls = []

    def says(name):
        return lambda: calls.append(name) or float(len(calls))

    ours, baseline = in_turns(says("a"), says("b"), 2)

    assert "".join(calls) == "ababab"
    assert (ours, baseline) == ([3.0, 5.0], [4.0, 6.0])


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_a_module_that_measures_it(name):
    assert callable(importlib.import_module(f"tests.bench.{name}").rows)


def test_a_side_waits_and_computes_in_a_process_of_its_own():
    with peers.process(nullcontext, functools.partial(time.sleep, 0.3)) as waits:
        waited = waits()
    with peers.process(nullcontext, functools.partial(sum, range(10_000_000))) as computes:
        computed = [computes(), computes()]

    assert waited.wall >= 0.3
    assert waited.cpu < 0.2
    assert all(turn.cpu > 0.0 for turn in computed)


def test_a_side_that_fails_ends_the_comparison(capfd):
    with pytest.raises(EOFError), peers.process(nullcontext, functools.partial(int, "x")) as fails:
        fails()

    assert "invalid literal" in capfd.readouterr().err


def test_a_peer_that_cannot_be_installed_is_skipped_with_pips_own_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    (skipped,) = dino.rows()

    assert isinstance(skipped, Skipped)
    assert "No matching distribution found for lightly" in skipped.why
    assert list(tmp_path.iterdir()) == []


def test_a_peer_is_installed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "lightly-1.6.0").mkdir()

    assert peers.install("a row", *dino.PACKAGES) == tmp_path / "lightly-1.6.0"


def test_the_released_step_needs_a_checkout():
    (skipped,) = released.rows(None)

    assert "--mfm PATH" in skipped.why


def test_each_loader_shows_each_image_once_with_two_views(tmp_path, monkeypatch):
    monkeypatch.setattr(loaders, "IMAGES", 8)
    monkeypatch.setattr(loaders, "BATCH", 4)
    write_folder(tmp_path / "folder", photographs(8))
    write_table(tmp_path / "shards", photographs(8))

    # An epoch asserts what it shows.
    for side in (
        loaders.shards(tmp_path / "shards"),
        loaders.files(tmp_path / "folder", True),
        loaders.files(tmp_path / "folder", False),
    ):
        with side as epoch:
            epoch()


def test_rows_of_peers_have_both_clocks_of_the_same_turns():
    def side(cpu, wall):
        return lambda: peers.Cost(cpu, wall)

    cpu, wall = peers.rows_of("a step", "theirs", side(1.0, 6.0), side(2.0, 3.0), 2, "")

    assert (cpu.name, cpu.ours, cpu.baseline, cpu.figure) == (
        "a step: cpu time", [1.0, 1.0], [2.0, 2.0], 0.5,
    )  # fmt: skip
    assert (wall.name, wall.figure) == ("a step: wall time", 2.0)
