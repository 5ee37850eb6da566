"""Differences of two jobs that can explain different results: recipe, code, machine, inputs.

Each is a line `stage: what: one -> other`. Where there is none and the bytes differ, nothing that
the records hold explains it.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from folk.evidence.core.yaml_model import flattened

Record = Mapping[str, Any]

# What others compute with. Histories and metrics hold times; recipes hold prose.
COMPUTED = (".arrow", ".parquet", ".safetensors")
PROSE = ("about", "source", "assume", "runtime")  # of a recipe: in no digest
# Variables of the environment that name places or repeat processes and threads.
NO_NUMBERS = ("CUDA_VISIBLE_DEVICES", "LOCAL_WORLD_SIZE", "PYTHONHASHSEED", "WORLD_SIZE")
_NONE = object()


def differing_files(one: Record, other: Record) -> list[str]:
    """Name the results of two jobs that differ in their bytes, or that one of them lacks."""
    first, second = _made(one), _made(other)
    return sorted(name for name in first | second if first.get(name) != second.get(name))


def reasons(one: Record, other: Record) -> list[str]:
    """List what two jobs differ in, of all that decides a result."""
    stage = one["stage"]
    lines = [f"{stage}: {key}: {_shown(a)} -> {_shown(b)}" for key, a, b in _different(one, other)]
    if any(_is_unordered(record) for record in (one, other)):
        lines.append(f"{stage}: on a GPU without runtime.deterministic, sums have no fixed order")
    return lines


def _made(record: Record) -> dict[str, str]:
    found = {output["name"]: output["sha256"] for output in record["outputs"]}
    return {name: sha256 for name, sha256 in found.items() if name.endswith(COMPUTED)}


def _different(one: Record, other: Record) -> Iterator[tuple[str, Any, Any]]:
    if one["recipe_digest"] != other["recipe_digest"]:
        yield from _compared(_values(one), _values(other), "recipe ")
    first, second = _surroundings(one), _surroundings(other)
    unknown = {key for key in first if None in (first[key], second[key])}  # in older records
    yield from _compared(first, second, passed_over=unknown)
    yield from _compared(_packages(one), _packages(other))
    variables = (record["environment"]["variables"] for record in (one, other))
    yield from _compared(*variables, passed_over=NO_NUMBERS)
    yield from _compared(_files_of_outside(one), _files_of_outside(other), "input ")


def _compared(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    prefix: str = "",
    *,
    passed_over: Collection[str] = (),
) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*one, *other]):
        first, second = one.get(key, _NONE), other.get(key, _NONE)
        if first != second and key not in passed_over:
            yield prefix + key, first, second


def _values(record: Record) -> dict[str, Any]:
    return flattened(without_prose(record["recipe"]))


def without_prose(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a recipe is in its digest."""
    return {key: value for key, value in recipe.items() if key not in PROSE}


def _packages(record: Record) -> dict[str, Any]:
    packages = record["environment"]["packages"]
    return {name: each for name, each in packages.items() if name not in ("snakemake", "torch")}


def _surroundings(record: Record) -> dict[str, str | None]:
    """Code, packages and hardware of the starts of a job, in order; None if unknown."""
    environment = record["environment"]
    last = {
        **record["hardware"],
        "fingerprint": record["code"]["fingerprint"],
        "lock_sha256": environment["lock_sha256"],
        "torch": environment["packages"].get("torch"),
        "geometry": record.get("geometry"),
    }
    starts = [_surroundings_of(start) for start in (*record["restarts"], last)]
    found = {}
    for key in starts[0]:
        values = [start[key] for start in starts]
        # One that never changed does not depend on where a job was stopped.
        alike = len(set(values)) == 1
        stops = [f" until step {start['last_step']}, then " for start in record["restarts"]]
        joined = "".join(f"{a}{b}" for a, b in zip(values, [*stops, ""], strict=True))
        found[key] = values[0] if alike else joined
    python = {"python": environment["python"]}
    return found | python | {"libc": environment["platform"].partition("-with-")[2] or None}


def _surroundings_of(start: Record) -> dict[str, str | None]:
    spread = start.get("geometry")
    return {
        "code": start["fingerprint"][:12],
        "environment lock": start["lock_sha256"] and start["lock_sha256"][:12],
        "torch": start["torch"],
        "processor": start["cpu"],
        "vector instructions": start.get("cpu_capability"),
        "GPUs": ", ".join(start["gpus"]) or "none",
        "processes": str(spread["world_size"]) if spread else None,
        "threads": str(spread["threads"]) if spread else None,
    }


def _files_of_outside(record: Record) -> dict[str, str]:
    return {
        entry["name"]: entry["sha256"] and entry["sha256"][:12]
        for entry in record["inputs"]
        if entry["record"] is None
    }


def _is_unordered(record: Record) -> bool:
    runtime = record["recipe"].get("runtime") or {}  # those that never use a GPU lack the key
    return bool(record["hardware"]["gpus"]) and runtime.get("deterministic") is False


def _shown(value: Any) -> str:
    return "none" if value is _NONE else str(value)
