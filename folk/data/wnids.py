"""WordNet ids, and class matching between data sets by them."""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from folk.evidence.core.errors import InputError


def is_wnid(name: str) -> bool:
    """Return True if a name is a WordNet id of a noun, such as n01440764."""
    return re.fullmatch(r"n\d{8}", name) is not None


def positions_among(
    wnids: Sequence[str] | None, trained: Sequence[str] | None, *, num_classes: int
) -> Int[np.ndarray, "k"]:
    """Find the classifier output of each class of a test set, in the order of its labels.

    With `logits[:, positions]` a label of the test set is an index, and predictions are restricted
    to its classes, as the protocols of ImageNet-A and ImageNet-R require.

    Args:
        wnids: of the test set; None if its labels already count the trained classes.
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
            "training data: missing wnids in dataset.json, which the test data has; train on "
            "ImageNet from its archives, or from folders named by WordNet ids"
        )
    place = {wnid: position for position, wnid in enumerate(trained)}
    lost = [wnid for wnid in wnids if wnid not in place]
    if lost:
        shown = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        raise InputError(
            f"test data: {len(lost)} unknown classes, not among those trained on: {shown}"
        )
    return np.array([place[wnid] for wnid in wnids])
