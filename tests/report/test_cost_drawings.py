"""Rows stand at what they cost, and a cost that nobody knows is not guessed."""

import json

import pytest

from folk.evidence.report.cost_drawings import draw_cost
from folk.evidence.report.drawing import NotDrawn
from folk.evidence.results.cells import cells_of, collect_cells
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES

SECONDS = {"scratch": 0.0, "mfm": 600.0, "mfm-com": 660.0, "folk": 1200.0}
COST = """  cost: {stage: cost, recipe: cost, data: scenes, encoders: [mfm, folk]}
tables:
"""


def timed(tree, *, gpus=(), workers="1"):
    """Give every record the times of a real one: each evaluation takes a minute."""
    for path in tree.results.glob("*/*/**/record.json"):
        stage, run = path.relative_to(tree.results).parts[:2]
        seconds = SECONDS[run.rsplit("-s", 1)[0]] if stage == "pretrain" else 60.0
        edit(
            path,
            seconds=seconds,
            restarts=[],
            argv=["folk", stage, "--threads", "2"],
            hardware={"gpus": list(gpus), "cpu": "a processor"},
            recipe={"encoder": {"checkpoint": None}},
            environment={"variables": {"WORLD_SIZE": workers}},
        )


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def drawn(tree):
    study = load_study(tree.study_path, STAGES)
    cells = cells_of(collect_cells(study, tree.results, load_published(tree.published)))
    (found,) = draw_cost(Evidence(study, tree.results), cells)
    return found


def test_each_row_stands_at_the_hours_of_its_devices(tree):
    timed(tree)

    figure = drawn(tree)

    assert "core-minutes of pre-training and evaluation" in figure.svg
    # (1200 s + 60 s) x 2 threads; accuracy as the first table prints it
    assert "from scratch, 83.5 at 2" in figure.seen
    assert "FOLK, 89.5 at 42" in figure.seen
    assert "on a processor" in figure.caption
    assert "Without" not in figure.caption


def test_gpus_count_each(tree):
    timed(tree, gpus=["H200"] * 8, workers="8")

    figure = drawn(tree)

    assert "GPU-minutes" in figure.svg or "GPU-hours" in figure.svg
    assert "FOLK, 89.5 at 168" in figure.seen
    assert "on H200" in figure.caption


def test_an_earlier_start_of_a_job_counts_too(tree):
    timed(tree)
    start = {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:10:00Z"}
    for seed in (0, 1):
        edit(tree.results / f"pretrain/folk-s{seed}/record.json", restarts=[start])

    assert "FOLK, 89.5 at 62" in drawn(tree).seen


def test_an_earlier_start_counts_on_what_it_was_spread_over(tree):
    timed(tree)
    start = {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:10:00Z", "gpus": []}
    start["geometry"] = {"world_size": 4, "threads": 1}
    for seed in (0, 1):
        edit(tree.results / f"pretrain/folk-s{seed}/record.json", restarts=[start])

    assert "FOLK, 89.5 at 82" in drawn(tree).seen


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (
            {"restarts": [{"started": "2026-01-01T00:00:00Z", "ended": None, "gpus": []}]},
            "start was killed",
        ),
        ({"recipe": {"encoder": {"checkpoint": "a.pth"}}}, "pre-trained by others"),
    ],
)
def test_a_row_whose_cost_nobody_knows_is_left_out_and_named(tree, values, why):
    timed(tree)
    edit(tree.results / "pretrain/folk-s1/record.json", **values)

    figure = drawn(tree)

    assert "FOLK" not in figure.seen
    assert "MFM + Com/RCom, " in figure.seen
    assert why in figure.caption
    assert "Without FOLK: " in figure.caption


def test_hours_of_different_devices_are_not_set_against_each_other(tree):
    timed(tree)
    hardware = {"gpus": [], "cpu": "another processor"}
    edit(tree.results / "pretrain/folk-s1/record.json", hardware=hardware)

    missing = drawn(tree)

    assert isinstance(missing, NotDrawn)
    assert "different devices" in missing.why
    assert "a processor, another processor" in missing.why


def test_the_page_says_why_there_is_no_figure(tree):
    _, page = tree.render()

    section = page[page.index('id="figures"') : page.index('id="assumptions"')]
    assert "Not drawn: Accuracy against cost (fewer than two rows with known hours" in section
    assert "the study does not run `cost`" in section


def test_where_costs_were_measured_arithmetic_gets_a_panel_of_its_own(tree):
    text = tree.study_path.read_text()
    tree.study_path.write_text(text.replace("tables:\n", COST, 1))
    for row, gflops in (("mfm", 2.0), ("folk", 5.0)):
        for seed in (0, 1):
            folder = tree.results / "cost" / f"{row}-s{seed}" / "cost"
            folder.mkdir(parents=True)
            # A second machine is twice as fast: the arithmetic must be the same.
            speed = 100.0 * (1 + seed)
            metrics = {"step_gflops": gflops, "images_per_second": speed}
            metrics["hours_total"] = 5e5 / speed / 3600.0
            (folder / "metrics.json").write_text(json.dumps(metrics))

    figure = drawn(tree)

    assert "PFLOP of pre-training: MFM, 82.5 at 1; FOLK, 89.5 at 2.5" in figure.seen
    assert "core-minutes" not in figure.svg
    assert "from scratch: no step was measured" in figure.caption
