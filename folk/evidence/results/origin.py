"""Whether a result was made by the study that is rendered: files can be copied anywhere."""

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
    """Why a result may not stand in the study's tables; None when it may.

    Args:
        record: of the job that made it; None when there is none beside it.
        study: whose tables are rendered. At the papers' scale a number needs its record, so that
            the mark of a smoke run cannot be lost on the way.
    """
    if record is None:
        return "without a record" if study.scale == "paper" else None
    # A record without these keys is of no job of ours; whether it is whole is the audit's question.
    made_for, scale = record.get("study", study.name), record.get("scale", study.scale)
    if scale == "smoke" and study.scale != "smoke":
        return "made by a smoke run"
    return None if (made_for, scale) == (study.name, study.scale) else "made for another study"
