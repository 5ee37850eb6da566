"""The filter of each kind."""

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
