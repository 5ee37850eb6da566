"""What the sources leave open and our recipes decided, found beside the results it shaped."""

from dataclasses import dataclass
from typing import Any

from folk.report.evidence import Evidence
from folk.study import Study, run_name
from folk.yaml_model import Document, flattened


@dataclass(frozen=True)
class Assumption:
    """One value that no source gives, with the reason why we took it."""

    stage: str
    key: str  # dotted, as in the recipe
    value: str
    basis: str
    users: list[str]  # rows that pre-trained with it, or evaluations that measured with it
    tables: list[str]  # tables with a number that depends on it


def assumptions_in_force(evidence: Evidence) -> list[Assumption]:
    """Every assumption of every resolved recipe, said once, in order of stage and key.

    Raises:
        InputError: a resolved recipe that is not YAML.
    """
    study = evidence.study
    rows = {run_name(row, seed): row for run, row, seed in study.runs()}
    users: dict[tuple[str, str, str, str], set[str]] = {}
    parsed: dict[str, dict[str, Any]] = {}  # one recipe lies beside the results of many runs
    for stage, folder in evidence.folders():
        path = folder / "recipe.yaml"
        if not path.is_file():
            continue
        user = rows.get(folder.name) if stage == "pretrain" else folder.name
        if user is None or (stage != "pretrain" and user not in study.evaluations):
            continue  # left over from an earlier version of the study
        text = path.read_text(encoding="utf-8")
        if text not in parsed:
            parsed[text] = Document(path).values
        values = parsed[text]
        flat = flattened({k: v for k, v in values.items() if k != "assume"})
        for key, basis in (values.get("assume") or {}).items():
            said = (stage, str(key), _shown(flat.get(key, "")), str(basis))
            users.setdefault(said, set()).add(user)
    stages = ("pretrain", "finetune", "probe", "segment", "robustness", "cost")
    return [
        Assumption(*said, users=sorted(found), tables=_tables(study, said[0], found))
        for said, found in sorted(users.items(), key=lambda item: (stages.index(item[0][0]), item))
    ]


def _tables(study: Study, stage: str, users: set[str]) -> list[str]:
    def depends(name: str) -> bool:
        table = study.tables[name]
        if stage == "pretrain":
            return not users.isdisjoint(table.rows)
        return any(not users.isdisjoint(column.evaluations) for column in table.columns.values())

    return [name for name in study.tables if depends(name)]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return {None: "none", True: "yes", False: "no"}.get(value, str(value))
