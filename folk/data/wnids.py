"""WordNet ids: how the classes of one data set are found among those of another."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from folk.evidence.core.errors import InputError


def is_wnid(name: str) -> bool:
    """Whether a name is a WordNet id of a noun, such as n01440764."""
    return re.fullmatch(r"n\d{8}", name) is not None


def positions_among(
    wnids: Sequence[str] | None, trained: Sequence[str] | None, *, num_classes: int
) -> Int[np.ndarray, "k"]:
    """Which outputs of a classifier the classes of a test set are, in the order of its labels.

    With `logits[:, positions]` a label of the test set is an index, and the answer is restricted to
    the classes that can be right, as ImageNet-A and ImageNet-R ask.

    Args:
        wnids: of the test set; absent where its labels already count the trained classes.
        trained: of the data the classifier was trained on.
        num_classes: classes of the test set.

    Returns:
        a position for each class of the test set.

    Raises:
        InputError: the training data has no WordNet ids, or lacks some of those of the test set.
    """
    if wnids is None:
        return np.arange(num_classes)
    if trained is None:
        raise InputError(
            "the training data has no wnids in its dataset.json, the test data has; train on "
            "ImageNet from its archives, or from folders named by WordNet ids"
        )
    place = {wnid: position for position, wnid in enumerate(trained)}
    lost = [wnid for wnid in wnids if wnid not in place]
    if lost:
        shown = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        raise InputError(
            f"{len(lost)} classes of the test data are not among those trained on: {shown}"
        )
    return np.array([place[wnid] for wnid in wnids])
