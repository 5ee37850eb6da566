"""The section of a recipe for each filter, made of the filter's own attributes, without torch."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field, create_model

from folk.evidence.core.yaml_model import Section, section_of
from folk.evidence.record.fingerprint import PACKAGE, fingerprint_of_package
from folk.filters.base import FrequencyFilter
from folk.filters.table import FILTERS


def filter_section(part: type[FrequencyFilter]) -> type[Section]:
    """Make the section of a filter. The code of other packages is one of its values.

    So it is part of a job's identity, as ours is by the fingerprint of the stage.
    """
    section = section_of(part)
    if part.__module__.partition(".")[0] == PACKAGE:
        return section
    code = fingerprint_of_package(part.__module__)
    about = "Fingerprint of the package that offers the filter; leave it out."
    more: dict[str, Any] = {"code": (Literal[code], Field(code, description=about))}
    return create_model(section.__name__, __base__=section, __doc__=section.__doc__, **more)


if TYPE_CHECKING:

    class FilterSettings(Section):
        """Keys of a filter of some kind."""

        kind: str
else:
    FilterSettings = Annotated[
        Union[tuple(filter_section(each) for each in FILTERS.values())],  # noqa: UP007 - a tuple
        Field(discriminator="kind"),
    ]
