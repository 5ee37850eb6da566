"""Report of results made by other code, for studies that do not rerun them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from folk.evidence.record.schema import read_record


def stale_results(results: Path, fingerprints: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each result whose stage runs other code today.

    Args:
        results: the study's own folder.
        fingerprints: today's code fingerprints of the stages to check, by stage.

    Yields:
        lines such as `results/demo/pretrain/folk-s0: stale: made by code 1a2b3c4d, today's is ...`.
    """
    for stage, today in sorted(fingerprints.items()):
        for path in sorted((results / stage).glob("**/record.json")):
            made_by = read_record(path)["code"]["fingerprint"]
            if made_by != today:
                yield f"{path.parent}: stale: made by code {made_by[:8]}, today's is {today[:8]}"
