"""CITATION.cff: who gives a study away, and under which license.

Source: Citation File Format 1.2.0, https://doi.org/10.5281/zenodo.5171937.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from folk.evidence.core.yaml_model import Document, checked


class _Part(BaseModel):
    # Of the format's many keys, those that are read here.
    model_config = ConfigDict(frozen=True, alias_generator=lambda name: name.replace("_", "-"))


class Author(_Part):
    """A person, or an entity, which has a name alone."""

    name: str | None = None
    family_names: str = ""
    given_names: str = ""
    affiliation: str | None = None
    orcid: str | None = None

    @property
    def sorted_name(self) -> str:
        """The name as catalogs have it: `Family, Given`."""
        return self.name or f"{self.family_names}, {self.given_names}".strip(", ")


class _Identifier(_Part):
    value: str


class _Reference(_Part):
    doi: str | None = None
    identifiers: list[_Identifier] = []
    url: str | None = None


class Citation(_Part):
    """The keys of a CITATION.cff that are read."""

    title: str
    authors: list[Author] = Field(min_length=1)
    license: str
    doi: str | None = None
    repository_code: str | None = None
    url: str | None = None
    references: list[_Reference] = []

    def related(self) -> dict[str, str]:
        """Map identifiers of related works to their relation, in DataCite's words."""
        found = {self.doi or self.repository_code or self.url: "isCompiledBy"}
        for each in self.references:
            found[each.doi or next((i.value for i in each.identifiers), each.url)] = "references"
        return {name: relation for name, relation in found.items() if name}


def read_citation(path: Path) -> Citation:
    """Read a CITATION.cff.

    Raises:
        InputError: the file is missing or invalid.
    """
    document = Document(path)
    return checked(Citation, document.values, document)
