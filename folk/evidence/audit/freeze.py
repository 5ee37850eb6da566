"""Freeze of a study: what it asks, claims and compares with, fixed before its first record.

`digest` is that of the whole freeze. It shows that nothing was changed since; when it was made
shows only a public commit, or a time stamp that the user attaches.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import RECORD_NAME
from folk.evidence.audit.explanation import Change
from folk.evidence.audit.findings import Word
from folk.evidence.audit.plan import Plan
from folk.evidence.audit.seal import FREEZE_NAME, committed_copy, digest_of
from folk.evidence.audit.today import Recipes, changes
from folk.evidence.core.digest import sha256_of, sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_form
from folk.evidence.record.failures import WORK, failed_paths, record_paths
from folk.evidence.record.record import OPEN_NAME
from folk.evidence.results.published import Published
from folk.evidence.study.study import Claim, Study

FORMAT = 1
REMEDY = "restore the committed one"
# Time stamps of RFC 3161 and of OpenTimestamps, as files next to the freeze, and what checks them.
PROOFS = {".tsr": "openssl ts -verify", ".ots": "ots verify"}
_PARTS = ("study", "recipes", "published")  # of the values
_NO_RESULT = {"recipes", "resources", "code_change"}  # keys of a study that decide no number


@dataclass(frozen=True)
class Freeze:
    """Content of freeze.json, with its `format`."""

    study: str
    frozen: str  # UTC, by the clock of the machine
    records: int  # that existed then, of failed and unfinished jobs too
    values: dict[str, Any]  # as of `values_of`
    power: dict[str, Any] | None  # as `plan --power --json`; None below the papers' size
    digest: str  # sha256 of the canonical JSON of all the others


@dataclass(frozen=True)
class Proof:
    """Time stamp of a freeze, attached by the user; `holds` if it names the freeze's sha256."""

    path: Path
    holds: bool
    says: str  # what was seen of it, and what was not checked


@dataclass(frozen=True)
class SinceFreeze:
    """A freeze, and what is not as it was frozen."""

    freeze: Freeze
    changes: list[str]  # a line each
    claims: dict[str, str]  # changed claims that have a cell -> what changed
    proofs: list[Proof]

    @property
    def moment(self) -> str:
        """Day, and the records at that time."""
        count = self.freeze.records
        before = f"when {count} records existed" if count else "before the first record"
        return f"on {self.freeze.frozen[:10]}, {before}"

    @property
    def in_words(self) -> str:
        """The moment, and the number of changes since."""
        return f"{self.moment}; {self.count} since"

    @property
    def count(self) -> str:
        """Number of changes, in words."""
        count = len(self.changes)
        return f"{count or 'no'} change{'s' * (count != 1)}"


def freeze_path(results: Path) -> Path:
    """Return the path of a study's freeze; `results` is the study's own folder."""
    return results / FREEZE_NAME


def read_freeze(results: Path, path: Path | None = None) -> Freeze | None:
    """Read the freeze of the study in `results`, at `path` if given; None if there is none.

    Raises:
        InputError: invalid, edited, or of another study.
    """
    path = path or freeze_path(results)
    if not path.is_file():
        return None
    freeze = read_form(path, Freeze, FORMAT, REMEDY)
    if freeze.digest != digest_of({"format": FORMAT, **asdict(freeze)}):
        raise InputError(f"{path}: its digest does not match: it was edited; {REMEDY}")
    for part in _PARTS:
        if not isinstance(freeze.values.get(part), dict):
            raise InputError(f"{path}: values: expected a key '{part}'; {REMEDY}")
    if freeze.study != results.name:
        raise InputError(f"{path}: the freeze of another study, '{freeze.study}'; {REMEDY}")
    return freeze


def committed_freeze(results: Path) -> Freeze | None:
    """Read the freeze of git's HEAD; None without git, without a commit or a valid one there."""
    with committed_copy(freeze_path(results)) as path:
        try:
            return read_freeze(results, path)
        except InputError:
            return None


def unlike_committed(results: Path, freeze: Freeze | None) -> tuple[Word, str] | None:
    """Compare a freeze with that of git's HEAD; None if they are one, or HEAD has none."""
    committed = committed_freeze(results)
    if committed is None or (freeze is not None and freeze.digest == committed.digest):
        return None
    if freeze is None:
        return "missing", "committed, but not there; restore it from git"
    says = f"not the freeze of {committed.frozen[:10]} that was committed"
    if freeze.records == 0 and freeze.frozen > committed.frozen:
        return "stale", f"{says}; commit it"  # by its own account made again before any record
    return "tampered", says


def values_of(study: Study, published: Published, recipes: Recipes) -> dict[str, Any]:
    """Collect what is frozen of a study: its values, its recipes and the published numbers.

    Default values are left out, so that a later version with more keys finds no change.
    """
    ids = {id_ for claim in study.claims.values() for id_ in (claim.published, claim.source)}
    for table in study.tables.values():
        ids |= {*table.published.values()}
        ids |= {id_ for row in table.context.values() for id_ in row.cells.values()}
    found = {**published.numbers, **published.statements}
    plain: dict[str, Any] = {"mode": "json", "by_alias": True, "exclude_defaults": True}
    return {
        "study": study.model_dump(**plain, exclude=_NO_RESULT),
        "recipes": {"/".join(key): sha256_of_json(of.values) for key, of in recipes.items()},
        "published": {id_: of.model_dump(**plain) for id_, of in found.items() if id_ in ids},
    }


def write_freeze(
    results: Path, values: dict[str, Any], power: dict[str, Any] | None, *, late: bool
) -> None:
    """Freeze the study of `results`; one that has not changed keeps its freeze byte for byte.

    Args:
        results: the study's own folder, below the current one.
        values: as of `values_of`.
        power: the study's statistical power.
        late: freeze it although records exist; their number is in the freeze.

    Raises:
        InputError: too late, or the freeze was edited or deleted; nothing is written.
    """
    place, before = freeze_path(results), read_freeze(results)
    unfinished = (results / WORK).glob(f"**/{OPEN_NAME}")
    count = len([*record_paths(results), *failed_paths(results), *unfinished])
    if before is None and committed_freeze(results) is not None:
        raise InputError(f"{place}: committed, but not there; {REMEDY}")
    if before is not None and before.values == values:
        return
    if before is not None and count:
        raise InputError(
            f"{place}: frozen on {before.frozen[:10]}, and {count} records exist: it stays as it "
            "is, and the report lists what changed since"
        )
    if count and not late:
        raise InputError(
            f"{results}: {count} records exist, so it is too late to freeze the study before its "
            "first; `--late` freezes it now, and freeze and report state their number"
        )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    freeze = Freeze(results.name, now, count, values, power, digest="")
    for suffix in (".sig", *PROOFS):  # they are of other bytes
        place.with_name(f"{place.name}{suffix}").unlink(missing_ok=True)
    content = {"format": FORMAT, **asdict(freeze)}
    write_json(place, content | {"digest": digest_of(content)})


def since_freeze(
    study: Study, results: Path, published: Published, recipes: Recipes
) -> SinceFreeze | None:
    """Compare today's study, published numbers and recipes with the freeze; None without one.

    Raises:
        InputError: as `read_freeze`.
    """
    freeze = read_freeze(results)
    if freeze is None:
        return None
    now = values_of(study, published, recipes)
    # Of a section that is empty on one side, the entries on the other are listed.
    found = [c for c in changes(freeze.values, now) if {} not in (c.before, c.after)]
    lines = {change.key: _line(change, freeze.values, now) for change in found}
    claims = {}
    for name, claim in study.claims.items():
        keys = (f"study.claims.{name}.", f"published.{claim.published or claim.source}.")
        touched = dict.fromkeys(line for key, line in lines.items() if key.startswith(keys))
        if touched and _has_cell(study, results, claim):
            claims[name] = "; ".join(touched)
    proofs = list(_proofs(freeze_path(results)))
    return SinceFreeze(freeze, list(dict.fromkeys(lines.values())), claims, proofs)


def _has_cell(study: Study, results: Path, claim: Claim) -> bool:
    plan = Plan(study, results)
    folders = [folder for _, cell in claim.places() for folder in plan.evaluations_of(cell)]
    return any((folder / RECORD_NAME).is_file() for folder in folders)


def _line(change: Change, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Write a change; all changes of an entry that is new or gone have one line."""
    part, _, key = change.key.partition(".")
    if part == "recipes":
        return f"the recipe of {key} has other values"
    entry = change.key.split(".")[: 3 if part == "study" else 2]  # such as study.claims.NAME
    for values, others, word in ((now, before, "new"), (before, now, "gone")):
        if _at(others, entry) is None:
            found = _at(values, entry)
            says = f": {found['says']}" if isinstance(found, dict) and "says" in found else ""
            return f"{'.'.join(entry).removeprefix('study.')} is {word}{says}"
    shown = ["nothing" if v is None else v for v in (change.before, change.after)]
    return f"{change.key.removeprefix('study.')} was {shown[0]}, is {shown[1]}"


def _at(values: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _proofs(place: Path) -> Iterator[Proof]:
    digest = bytes.fromhex(sha256_of(place))
    for suffix, command in PROOFS.items():
        path = place.with_name(f"{place.name}{suffix}")
        if path.is_file():
            holds = digest in path.read_bytes()
            yield Proof(
                path,
                holds,
                f"{path.name} (sha256 {sha256_of(path)}) {'names' if holds else 'DOES NOT NAME'} "
                f"the sha256 of {place.name}; who made it and when is not checked: `{command}`",
            )
