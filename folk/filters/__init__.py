"""Filters: which Fourier coefficients the student is allowed to see.

Every file of this folder is imported here, so a new filter is one new file: a frozen dataclass that
derives from `FrequencyFilter`, with a `kind` of its own. Its attributes are the keys of a recipe's
`method.filter`; `folk.stages.recipes.parts` reads them from the file and says which types they
may have.
"""

import importlib
import pkgutil

from folk.filters.base import FrequencyFilter

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

FILTERS: dict[str, type[FrequencyFilter]] = {
    each.kind: each for each in FrequencyFilter.__subclasses__()
}
