"""The numbers that `dvc metrics show` gathers are those of the results, and measured."""

import json

from folk.evidence.adapters.dvc_stage import write_metrics_summary
from folk.evidence.results.summaries import NOT_MEASURED
from folk.stages.table import STAGES


def test_a_run_has_one_file_with_the_numbers_of_its_training_and_evaluations(tmp_path):
    results = tmp_path / "results/demo"
    noise = sorted(NOT_MEASURED)[0]
    for place, numbers in {
        "prepare/scenes": {"num_train": 4.0},
        "split/few": {"images": 2.0},
        "cost/folk-s0/step": {"hours_total": 1.0},
        "pretrain/folk-s0": {"loss": 0.5, noise: 9.0},
        "finetune/folk-s0/full": {"top1_last": 0.75, noise: 9.0},
        "finetune/folk-s1/full": {"top1_last": 0.25},
        "work/finetune/folk-s0/full": {"top1_last": 0.1},
        "failed/finetune/folk-s0/full": {"top1_last": 0.2},
    }.items():
        (results / place).mkdir(parents=True)
        (results / place / "metrics.json").write_text(json.dumps(numbers))
    (results / "metrics").mkdir()
    (results / "metrics/gone-s0.json").write_text("{}")

    written = write_metrics_summary(results, STAGES)

    assert sorted(path.name for path in written) == ["folk-s0.json", "folk-s1.json"]
    assert {path.name: json.loads(path.read_text()) for path in results.glob("metrics/*")} == {
        "folk-s0.json": {"pretrain": {"loss": 0.5}, "full": {"top1_last": 0.75}},
        "folk-s1.json": {"full": {"top1_last": 0.25}},
    }


def test_a_study_without_results_has_no_summary(tmp_path):
    assert write_metrics_summary(tmp_path / "results/demo", STAGES) == []
    assert list((tmp_path / "results/demo/metrics").iterdir()) == []
