"""A study as a folder to deposit: its crate, and the metadata that Zenodo reads.

Source: https://developers.zenodo.org, deposit metadata; relations are DataCite's.
"""

import html
from pathlib import Path
from typing import Any

from folk.evidence.adapters.citation import Citation, read_citation
from folk.evidence.adapters.rocrate_export import export_crate
from folk.evidence.audit.chain import Chain
from folk.evidence.audit.seal import read_seal, seal_path
from folk.evidence.core.files import write_json
from folk.evidence.study.study import Study


def export_deposit(
    study: Study, study_path: Path, chain: Chain, out: Path, citation: Path, *, whole: bool = False
) -> dict[str, int]:
    """Write the crate of a study as `export_crate` does, with `.zenodo.json`.

    Raises:
        InputError: as `export_crate`; or `citation`, a CITATION.cff, is missing or invalid.
    """
    metadata = _metadata(study, chain, read_citation(citation))
    counts = export_crate(study, study_path, chain, out, whole=whole)
    write_json(out / ".zenodo.json", metadata)
    return counts


def _metadata(study: Study, chain: Chain, cited: Citation) -> dict[str, Any]:
    creators = [
        {
            "name": author.sorted_name,
            "affiliation": author.affiliation,
            "orcid": author.orcid and author.orcid.rpartition("/")[2],
        }
        for author in cited.authors
    ]
    return {
        "title": f"{study.title} ({study.name}): results and records",
        "upload_type": "dataset",
        "description": _description(study, chain, cited),
        "creators": [{k: v for k, v in creator.items() if v} for creator in creators],
        "access_right": "open",
        "license": cited.license,
        "related_identifiers": [
            {"identifier": name, "relation": relation} for name, relation in cited.related().items()
        ],
    }


def _description(study: Study, chain: Chain, cited: Citation) -> str:
    seal = read_seal(chain.root / seal_path(chain.results))
    lines = [
        f"The study '{study.title}', scale {study.scale}, made with {cited.title}.",
        f"{len(chain.record_paths())} finished and {len(chain.failed_paths())} failed jobs, each "
        "with the record of what it read, made and ran on; tables and report; an RO-Crate "
        "(Provenance Run Crate) of all. A large file that is left out is named by its sha256.",
        f"Digest of the study's seal: {seal.digest}." if seal else "The study was not sealed.",
    ]
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
