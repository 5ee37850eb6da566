"""Today's code, lock and recipes, for comparison with records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from folk.evidence.audit.explanation import Agreement, Change
from folk.evidence.core.digest import digest_file
from folk.evidence.core.errors import InputError
from folk.evidence.core.shipped import shipped
from folk.evidence.core.yaml_model import flattened
from folk.evidence.record.fingerprint import code_fingerprint, code_here

LOCK = Path("requirements.lock")


@dataclass(frozen=True)
class RecipeToday:
    """Today's recipe of one entry of a study, without values that change no result."""

    file: str
    values: Mapping[str, Any]  # with the study's own values on top
    of_file: Mapping[str, Any]  # without them
    base: str | None  # name of the recipe that the file changes
    of_base: Mapping[str, Any] | None
    choices: Mapping[str, Sequence[Any]]  # alternatives to each assumed value, if its type has any


Recipes = Mapping[tuple[str, str], RecipeToday]  # by stage and entry of the study


def lock_sha256() -> str | None:
    """Digest of the environment lock, here or of the package; None without one."""
    lock = shipped(LOCK)
    return digest_file(lock).sha256 if lock.is_file() else None


@dataclass
class Today:
    """Today's code and lock, read lazily, and the recipes, which this package does not read."""

    recipes: Recipes
    root: Path = field(default_factory=code_here)
    _fingerprints: dict[str, str | None] = field(default_factory=dict)

    def fingerprint(self, stage: str) -> str | None:
        """Compute the fingerprint of the stage's code; None without the code."""
        if stage not in self._fingerprints:
            try:
                self._fingerprints[stage] = code_fingerprint(f"folk.stages.{stage}", self.root)
            except InputError:
                self._fingerprints[stage] = None
        return self._fingerprints[stage]

    @cached_property
    def lock_sha256(self) -> str | None:
        """Digest of the lock; None without one."""
        return lock_sha256()


def agreement(then: str | None, now: str | None) -> Agreement:
    """Compare two digests; unknown if one of them is None."""
    if then is None or now is None:
        return "unknown"
    return "same" if then == now else "other"


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """List the dotted keys whose values differ, sorted; null and absent are equal."""
    old, new = flattened(before), flattened(after)
    return [
        Change(key, old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
