"""Draw the loss of one pre-training in one process, and in four processes on two nodes.

python docs/draw_nodes.py ONE/metrics.jsonl NODES/metrics.jsonl docs/images/nodes.svg

The two files are of the tiny study with `optim.epochs: 30`, as tests/slurm/test_nodes.py runs it.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from folk.training.history import read_history

UNIT = 1e-7
BLUE, ORANGE = "#2166ac", "#d6604d"


def main(one: str, nodes: str, path: str) -> None:
    """Write the figure to `path`."""
    histories = (read_history(Path(each)) for each in (one, nodes))
    alone, spread = ([line for line in lines if "loss" in line] for lines in histories)
    steps = [line["step"] for line in alone]
    losses = [line["loss"] for line in alone]
    # The same updates in both, or the figure would compare different things.
    assert steps == [line["step"] for line in spread], "not the same updates"
    apart = [abs(b["loss"] - a) / a for a, b in zip(losses, spread, strict=True)]
    plt.rcParams["svg.hashsalt"] = "nodes"  # the same bytes from the same numbers
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(7.2, 4.4), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    upper.plot(steps, losses, color=BLUE, linewidth=3, alpha=0.5, label="1 process")
    upper.plot(
        steps,
        [line["loss"] for line in spread],
        color=ORANGE,
        linewidth=1.2,
        linestyle="--",
        label="2 nodes x 2 processes",
    )
    upper.set_ylabel("loss")
    upper.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    lower.plot(steps, [each / UNIT for each in apart], color="black", linewidth=1)
    lower.set_ylim(bottom=0)
    lower.set_ylabel("relative difference\nin units of 10⁻⁷")
    lower.set_xlabel("update")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
