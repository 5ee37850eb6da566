"""Inputs of all sorts for a parser: any bytes, and valid files that were changed a little."""

import json
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import strategies as st

Bytes = st.SearchStrategy[bytes]

# What a place of a file may hold instead: other types, edges of numbers, odd text, depth.
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../etc",
    "a\nb",
    "a\x00b",
    "\ud800",
    "\u202e\u00e9",
    "9" * 5000,
    [],
    [None],
    {},
    {"": 0},
    {"kind": []},
)
_TOKENS = (
    *(b"", b"\x00", b"\xff\xfe", b"{", b"}", b"[", b"]", b'"', b"'", b":", b",", b"-", b"\n"),
    *(b"|", b"&a ", b"*a ", b"!x ", b"!!binary ", b"<<: ", b"%", b"#", b"\t", b"NaN", b"1e999"),
    *(
        b"9" * 5000,
        b"[" * 3000,
        b"[" * 900 + b"0" + b"]" * 900,
        b'{"a":' * 3000,
        b"\\ud800",
        "\u00b2\u0663".encode(),
    ),
)


def mangled(valid: bytes, dump: Callable[[Any], str] | None = None, value: Any = None) -> Bytes:
    """Any bytes, `valid` with pieces cut out and put in, and, with `dump`, `value` edited.

    Args:
        valid: a file that the parser reads.
        dump: how a value becomes such a file.
        value: what `valid` says.
    """
    ways: list[Bytes] = [st.binary(max_size=60), cut(valid)]
    if dump is not None:
        ways.append(edited(value).map(lambda found: dump(found).encode("utf-8", "surrogatepass")))
    return st.one_of(ways)


def mangled_json(value: Any) -> Bytes:
    """As `mangled`, of a JSON value."""
    return mangled(json.dumps(value).encode(), json.dumps, value)


def mangled_yaml(text: str) -> Bytes:
    """As `mangled`, of a YAML text."""
    return mangled(text.encode(), _yaml, yaml.safe_load(text))


def cut(valid: bytes) -> Bytes:
    """`valid` with up to three slices replaced."""
    place = st.integers(0, len(valid))
    change = st.tuples(place, st.integers(0, 12), st.sampled_from(_TOKENS) | st.binary(max_size=3))

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        data = valid
        for start, length, put in changes:
            data = data[:start] + put + data[start + length :]
        return data

    whole = st.lists(change, min_size=1, max_size=3).map(apply)
    return whole | place.map(lambda end: valid[:end])


def edited(value: Any) -> st.SearchStrategy[Any]:
    """`value` with one or two of its places lost, or holding something else."""
    places = st.sampled_from(list(_places(value)))
    what = st.sampled_from(ODD) | st.just(_LOST) | st.just(_DOUBLED)
    edits = st.lists(st.tuples(places, what), min_size=1, max_size=2)

    def apply(changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
        changed = value
        for keys, put in changes:
            changed = _put(changed, keys, put)
        return changed

    return edits.map(apply)


_LOST, _DOUBLED = object(), object()


def _places(value: Any, keys: tuple[Any, ...] = ()) -> Any:
    yield keys
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from _places(part, (*keys, key))


def _put(value: Any, keys: tuple[Any, ...], put: Any) -> Any:
    if not keys:
        return {} if put is _LOST else [value, value] if put is _DOUBLED else put
    key, *rest = keys
    held = isinstance(value, dict) and key in value
    if not held and not (isinstance(value, list) and isinstance(key, int) and key < len(value)):
        return value  # an earlier edit took this place away
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if put is _LOST and not rest:
        del copy[key]
    else:
        copy[key] = _put(value[key], tuple(rest), put)
    return copy


def _yaml(value: Any) -> str:
    # A text that YAML cannot spell is spelt as it can.
    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))
