"""The section of a recipe for each filter, made of the filter's own attributes, without torch."""

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from folk.evidence.core.yaml_model import Section, section_of
from folk.filters.table import FILTERS

if TYPE_CHECKING:

    class FilterSettings(Section):
        """Keys of a filter of some kind."""

        kind: str
else:
    FilterSettings = Annotated[
        Union[tuple(section_of(each) for each in FILTERS.values())],  # noqa: UP007 - a tuple
        Field(discriminator="kind"),
    ]
