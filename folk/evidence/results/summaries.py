"""Summaries of runs, `<results>/metrics/<run>.json`: a view of metrics.json files for DVC."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folk.evidence.core.json_file import read_keys
from folk.evidence.study.stage import Stages

FOLDER = "metrics"
# Costs and settings of a job are no quality of its result.
NOT_MEASURED = {
    "best_epoch", "epochs", "images_per_second", "num_train", "num_val", "parameters", "seconds",
}  # fmt: skip


def measured_files(results: Path, stages: Stages) -> dict[str, dict[str, Path]]:
    """Find the metrics.json of each run that tells quality, by run, then evaluation or stage."""
    runs: dict[str, dict[str, Path]] = {}
    for name in sorted(stages):
        if not stages[name].tells_quality:
            continue
        folder = results / name
        found = [*folder.glob("*/metrics.json"), *folder.glob("*/*/metrics.json")]
        for path in sorted(found):
            run, *evaluation = path.parent.relative_to(folder).parts
            runs.setdefault(run, {})["/".join(evaluation) or name] = path
    return runs


def summary_of(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Read the summary of one run from its metrics.json files.

    Raises:
        InputError: one of them is missing or no JSON object.
    """
    return {
        name: {
            key: value
            for key, value in read_keys(path, "run that job again").items()
            if key not in NOT_MEASURED
        }
        for name, path in files.items()
    }
