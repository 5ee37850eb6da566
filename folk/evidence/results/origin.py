"""Check that a result belongs to the rendered study, since files can be copied."""

from collections.abc import Mapping
from typing import Any, Literal

from folk.evidence.study.study import Study

Foreign = Literal["made by a smoke run", "made for another study", "without a record"]
FOREIGN: tuple[Foreign, ...] = (
    "made by a smoke run",
    "made for another study",
    "without a record",
)


def foreign(record: Mapping[str, Any] | None, study: Study) -> Foreign | None:
    """Return why a result may not enter the study's tables; None if it may.

    Args:
        record: record of its job; None if missing.
        study: the rendered study. At the papers' scale a number needs its record, so that the mark
            of a smoke run cannot get lost.
    """
    if record is None:
        return "without a record" if study.scale == "paper" else None
    # A record without these keys is from no job of ours; the audit checks its form.
    made_for, scale = record.get("study", study.name), record.get("scale", study.scale)
    if scale == "smoke" and study.scale != "smoke":
        return "made by a smoke run"
    return None if (made_for, scale) == (study.name, study.scale) else "made for another study"
