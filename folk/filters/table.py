"""The filter of each kind: ours, and those that installed packages offer.

A package offers a class by an entry point of the group `folk.filters`.
"""

from importlib.metadata import entry_points

from folk.evidence.core.errors import InputError
from folk.filters.base import FrequencyFilter
from folk.filters.com_rcom import ComRComFilter
from folk.filters.gabor import GaborFilter
from folk.filters.radial import RadialFilter
from folk.filters.random_frequencies import RandomFilter
from folk.filters.unfiltered import Unfiltered

FILTERS: dict[str, type[FrequencyFilter]] = {
    ComRComFilter.kind: ComRComFilter,
    GaborFilter.kind: GaborFilter,
    RadialFilter.kind: RadialFilter,
    RandomFilter.kind: RandomFilter,
    Unfiltered.kind: Unfiltered,
}

for point in entry_points(group="folk.filters"):
    offered: type[FrequencyFilter] = point.load()
    if FILTERS.setdefault(offered.kind, offered) is not offered:
        raise InputError(f"entry point '{point.name}': a filter of kind '{offered.kind}' exists")
