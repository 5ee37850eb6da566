"""The section of a recipe for each degradation, made of its own attributes, without torch."""

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from folk.evidence.core.yaml_model import Section, section_of
from folk.methods.table import DEGRADATIONS

if TYPE_CHECKING:

    class DegradationSettings(Section):
        """Keys of a degradation of some kind."""

        kind: str
else:
    DegradationSettings = Annotated[
        Union[tuple(section_of(each) for each in DEGRADATIONS.values())],  # noqa: UP007 - a tuple
        Field(discriminator="kind"),
    ]
