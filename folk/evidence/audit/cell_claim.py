"""Exportable explanation of one cell, with version, seal and chain."""

from typing import Any

from folk.evidence.audit.chain import Chain
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.seal import read_seal, seal_path
from folk.evidence.core.canonical import chain_digest

SCHEMA = {"name": "folk-cell", "version": 3}  # increase the version when a key changes its meaning


def cell_claim(explainer: Explainer, cell: str) -> dict[str, Any]:
    """Make the explanation of a cell with its link to the study's seal.

    Args:
        explainer: of the study.
        cell: table/row/column.

    Returns:
        plain JSON values: `schema`; `chain_digest` of the records behind this cell, failed ones
        included, computed as in a seal; `seal`, None without one, with whether it holds and
        whether it has each of these records; then the explanation.

    Raises:
        InputError: unknown cell, or invalid seal.
    """
    found = explainer.explain(cell)
    finished = {job.record: job.job.id for job in found.chain}
    failed = {failure.record: failure.id for failure in found.failures}
    return {
        "schema": dict(SCHEMA),
        "chain_digest": chain_digest(finished, failed),
        "seal": seal_of(explainer.chain, finished, failed),
        **found.as_json(),
    }


def holds(claim: dict[str, Any]) -> bool:
    """Return True if nothing contradicts a cell's claim, its seal included."""
    seal = claim["seal"]
    return bool(claim["holds"]) and (seal is None or (seal["holds"] and seal["has_chain"]))


def seal_of(
    chain: Chain, finished: dict[str, str], failed: dict[str, str]
) -> dict[str, Any] | None:
    """Describe the seal of a study, and whether it has these records, path -> id; None without.

    Raises:
        InputError: invalid seal.
    """
    place = seal_path(chain.results)
    seal = read_seal(chain.root / place)
    if seal is None:
        return None
    return {
        "path": place.as_posix(),
        "digest": seal.digest,
        "chain": seal.chain,
        "holds": seal.holds,
        "has_chain": finished.items() <= seal.records.items()
        and failed.items() <= seal.failed.items(),
    }
