"""Draw the filters of both papers on one photograph, as the README shows them.

python docs/draw_filters.py docs/images/filters.png
"""

import sys

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_image

from folk.filters.apply import apply_filter
from folk.filters.base import FrequencyFilter
from folk.filters.com_rcom import ComRComFilter
from folk.filters.radial import RadialFilter
from folk.filters.rng import BatchRng
from folk.stages.examples import centered

SIZE = 224
FILTERS: list[tuple[str, FrequencyFilter]] = [
    ("MFM low-pass\nradius 16", RadialFilter(16.0, low_pass_prob=1.0)),
    ("MFM high-pass\nradius 16", RadialFilter(16.0, low_pass_prob=0.0)),
    ("Com\nlargest 1 %", ComRComFilter(thresholds=(0.01,), p_com=1.0)),
    ("RCom\nall but 1 %", ComRComFilter(thresholds=(0.01,), p_com=0.0)),
    ("Com\nlargest 5 %", ComRComFilter(thresholds=(0.05,), p_com=1.0)),
    ("RCom\nall but 5 %", ComRComFilter(thresholds=(0.05,), p_com=0.0)),
]


def main(path: str) -> None:
    """Write the figure to `path`."""
    photograph = load_sample_image("china.jpg")[100 : 100 + SIZE, 210 : 210 + SIZE]
    image = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None] / 255.0
    figure, axes = plt.subplots(2, len(FILTERS) + 1, figsize=(12.6, 4.1))
    axes[0, 0].imshow(photograph)
    axes[0, 0].set_title("photograph", fontsize=10)
    for column, (name, frequency_filter) in enumerate(FILTERS, start=1):
        keep = frequency_filter(image, BatchRng(0, len(image)))
        filtered = apply_filter(image, keep)[0].permute(1, 2, 0)
        axes[0, column].imshow(filtered)
        axes[0, column].set_title(name, fontsize=10)
        axes[1, column].imshow(centered(keep[:, 0], SIZE)[0], cmap="gray", interpolation="nearest")
    axes[1, 0].text(
        1.0, 0.5, "kept frequencies,\nmean color in\nthe middle", ha="right", va="center"
    )
    for axis in axes.flat:
        axis.set_axis_off()
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
