"""Corruption errors of ImageNet-C and ImageNet-C-bar, from stored accuracies."""

import re
from collections.abc import Mapping
from pathlib import Path

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.results.metrics.variants import accuracy_of_variants

SEVERITIES = (1, 2, 3, 4, 5)

# Top-1 error of AlexNet in percent, the mean over five severities: the denominators of mCE.
# Source: hendrycks/robustness, ImageNet-C; the values that FAIR and easyrobust use too.
ALEXNET_ERROR = {
    "gaussian_noise": 88.6428,
    "shot_noise": 89.4468,
    "impulse_noise": 92.2640,
    "defocus_blur": 81.9880,
    "glass_blur": 82.6268,
    "motion_blur": 78.5948,
    "zoom_blur": 79.8360,
    "snow": 86.6816,
    "frost": 82.6572,
    "fog": 81.9324,
    "brightness": 56.4592,
    "contrast": 85.3204,
    "elastic_transform": 64.6056,
    "pixelate": 71.7840,
    "jpeg_compression": 60.6500,
}
ALEXNET_CLEAN_ERROR = 43.5
# ImageNet-C has four extras, with a CE but not part of mCE.
ALEXNET_ERROR_EXTRA = {
    "gaussian_blur": 78.7108,
    "saturate": 65.8248,
    "spatter": 71.7512,
    "speckle_noise": 84.5388,
}
# ImageNet-C-bar: a plain mean error, without AlexNet.
C_BAR = (
    "blue_noise_sample",
    "brownish_noise",
    "caustic_refraction",
    "checkerboard_cutout",
    "cocentric_sine_waves",
    "inverse_sparkles",
    "perlin_noise",
    "plasma_noise",
    "single_frequency_greyscale",
    "sparkles",
)

Errors = Mapping[str, Mapping[int, float]]  # corruption -> severity -> top-1 error in [0, 1]


def corruption_error(corruption: str, errors: Mapping[int, float]) -> float:
    """Compute the CE of one corruption: our error over AlexNet's, summed over the five severities.

    Args:
        corruption: one of ImageNet-C's 15, or of its 4 extras.
        errors: severity -> top-1 error in [0, 1]; all five are needed.

    Returns:
        a ratio; 1 is as bad as AlexNet. Tables print it times 100.

    Source: ImageNet-C, D. Hendrycks and T. Dietterich, hendrycks/robustness.

    Raises:
        InputError: unknown corruption, or a missing severity.
    """
    return mean_error(corruption, errors) / (_alexnet(corruption) / 100)


def relative_corruption_error(
    corruption: str, errors: Mapping[int, float], clean_error: float
) -> float:
    """Compute the relative CE: growth of the error over the clean one, ours over AlexNet's.

    Args:
        corruption: as in `corruption_error`.
        errors: severity -> top-1 error in [0, 1].
        clean_error: ours on the same images uncorrupted, in [0, 1].
    """
    grown = mean_error(corruption, errors) - clean_error
    return grown / ((_alexnet(corruption) - ALEXNET_CLEAN_ERROR) / 100)


def mce(errors: Errors) -> float:
    """Compute the mean CE over ImageNet-C's 15 corruptions; extras do not count.

    Raises:
        InputError: one of the 15, or a severity, is missing.
    """
    _need(errors, ALEXNET_ERROR)
    return _mean([corruption_error(name, errors[name]) for name in ALEXNET_ERROR])


def relative_mce(errors: Errors, clean_error: float) -> float:
    """Compute the mean relative CE over the same 15."""
    _need(errors, ALEXNET_ERROR)
    return _mean(
        [relative_corruption_error(name, errors[name], clean_error) for name in ALEXNET_ERROR]
    )


def mean_error(corruption: str, errors: Mapping[int, float]) -> float:
    """Average the top-1 errors of one corruption over the five severities, in [0, 1].

    Raises:
        InputError: a missing or invalid severity.
    """
    if set(errors) != set(SEVERITIES):
        found = ", ".join(map(str, sorted(errors)))
        raise InputError(f"{corruption}: expected severities 1 to 5, got {found}")
    return _mean([errors[severity] for severity in SEVERITIES])


def robustness_metrics(path: Path) -> dict[str, float]:
    """Compute all metrics of the `robustness` stage from its stored predictions.

    Variants are named `clean`, `<set>`, `<group>/<corruption>-<severity>`, `fgsm` and `pgd`, where
    a group is a data set or `in-memory`.

    Returns:
        fractions: `top1_<variant>` of uncorrupted images; `error_<group>_<corruption>` and their
        plain mean `error_<group>`; and for a group with ImageNet-C's 15 corruptions,
        `ce_<group>_<corruption>`, `mce_<group>` and `relative_mce_<group>`, whose means exclude
        the extras. Incomplete groups are an error.

    Raises:
        InputError: an unreadable file, a missing severity, an incomplete C-bar, or corruptions
            without clean images.
    """
    accuracies = accuracy_of_variants(path)
    metrics: dict[str, float] = {}
    groups: dict[str, dict[str, dict[int, float]]] = {}
    for name, accuracy in accuracies.items():
        group, _, rest = name.partition("/")
        if split := corruption_split(rest):
            corruption, severity = split
            groups.setdefault(group, {}).setdefault(corruption, {})[severity] = 1.0 - accuracy
        else:
            metrics[f"top1_{name}"] = accuracy
    for group, errors in groups.items():
        whole = ALEXNET_ERROR.keys() <= errors.keys()
        absent = sorted(set(C_BAR) - errors.keys())
        if 0 < len(absent) < len(C_BAR):
            raise InputError(f"{path}: '{group}': missing {', '.join(absent)} of ImageNet-C-bar")
        means = {name: mean_error(name, found) for name, found in errors.items()}
        metrics |= {f"error_{group}_{name}": value for name, value in means.items()}
        counted = list(ALEXNET_ERROR) if whole else list(means)
        metrics[f"error_{group}"] = _mean([means[name] for name in counted])
        if whole:
            for name in [n for n in errors if n in ALEXNET_ERROR | ALEXNET_ERROR_EXTRA]:
                metrics[f"ce_{group}_{name}"] = corruption_error(name, errors[name])
            metrics[f"mce_{group}"] = mce(errors)
            if "clean" not in accuracies:
                raise InputError(f"{path}: missing clean predictions, needed for relative mCE")
            metrics[f"relative_mce_{group}"] = relative_mce(errors, 1.0 - accuracies["clean"])
    return metrics


def corruption_split(name: str) -> tuple[str, int] | None:
    """Split `gaussian_noise-3` into corruption and severity; None for another name."""
    match = re.fullmatch(r"([a-z0-9_]+)-([1-5])", name)
    return (match[1], int(match[2])) if match else None


def _alexnet(corruption: str) -> float:
    known = ALEXNET_ERROR | ALEXNET_ERROR_EXTRA
    if corruption not in known:
        raise InputError(
            f"unknown corruption '{corruption}' of ImageNet-C{nearest(corruption, known)}"
        )
    return known[corruption]


def _need(errors: Errors, names: Mapping[str, float]) -> None:
    missing = sorted(names.keys() - errors.keys())
    if missing:
        raise InputError(f"mCE needs all 15 corruptions; missing: {', '.join(missing)}")


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def robustness_by_name(path: Path, metric: str) -> float | None:
    """One number of `robustness_metrics`; None for a number that the predictions do not tell."""
    return robustness_metrics(path).get(metric)
