"""RO-Crate's vocabulary, without a network, for programs of the readers' environment.

It comes with the package `rocrate`, in the spelling of version 1.3. Version 1.1, which the run
crates are based on, has Bioschemas' types at another address.
"""

from importlib.resources import files

URL = "https://w3id.org/ro/crate/1.1/context"


def vocabulary() -> str:
    """The JSON-LD context of RO-Crate 1.1."""
    newer = (files("rocrate") / "data/ro-crate.jsonld").read_text(encoding="utf-8")
    return newer.replace("https://bioschemas.org/terms/", "https://bioschemas.org/")
