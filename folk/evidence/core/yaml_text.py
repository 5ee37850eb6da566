"""YAML 1.2 as text: its plain values, and the line of each key.

libyaml finds the parts, which is thirty times as fast as a reader in Python; what a word means is
said here, because libyaml's own readers follow YAML 1.1, where `2e-4` is a text and `no` is false.
"""

import re
from typing import Any, Union

import yaml

Keys = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    "-.inf": float("-inf"),
}

# A node in the making: a scalar is the event it came in, a collection knows its items.
_Node = Union["yaml.ScalarEvent", "_Collection"]
_COLLECTIONS = (None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")  # the tags of theirs
_TEXT = "tag:yaml.org,2002:str"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

# What no honest file needs, and what would take all the memory or the stack of who reads it.
DEEPEST = 60  # collections inside each other
MOST_REPEATED = 100_000  # values that come of names of anchors
LONGEST_NUMBER = 300  # characters; longer ones are no floats


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Cuts a text into events; libyaml does so without recursion."""


class _Collection:
    """A mapping, whose items are keys and values by turns, or a sequence."""

    __slots__ = ("is_mapping", "items", "start_mark")

    def __init__(self, event: yaml.CollectionStartEvent) -> None:
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.items: list[_Node] = []
        self.start_mark = event.start_mark


def parsed(text: str) -> tuple[Any, dict[Keys, int]]:
    """Read one document.

    Returns:
        its values, of plain types, and for the path of each key and item the line it stands on.

    Raises:
        yaml.YAMLError: the text is not YAML, repeats a key, has a key that is no scalar, names
            itself, asks for a type that YAML 1.2 does not have, has a text with a control
            character, or is deeper or larger than anything that a person writes.
    """
    root = _composed(text)
    if root is None:
        return None, {}
    reading = _Reading()
    return reading.value(root, (), ()), reading.lines


def _composed(text: str) -> _Node | None:
    """The nodes of the only document; None where there is none."""
    root: _Node | None = None
    anchors: dict[str, _Node] = {}
    above: list[_Collection] = []
    for event in yaml.parse(text, _Loader):
        node: _Node
        if isinstance(event, yaml.ScalarEvent):
            node = event
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise _error(event, f"no anchor is named '{event.anchor}'")
            node = anchors[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            if event.tag not in _COLLECTIONS:
                raise _error(event, f"no type is named {event.tag}")
            if len(above) == DEEPEST:
                raise _error(event, f"more than {DEEPEST} levels")
            node = _Collection(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            above.pop()
            continue
        elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise _error(event, "expected a single document, found a second")
        else:
            continue
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            if event.anchor in anchors:
                raise _error(event, f"the anchor '{event.anchor}' stands there twice")
            anchors[event.anchor] = node
        if above:
            above[-1].items.append(node)
        else:
            root = node
        if isinstance(event, yaml.CollectionStartEvent):
            assert isinstance(node, _Collection)
            above.append(node)
    return root


class _Reading:
    """Makes values of nodes. An anchor's values are made anew wherever its name stands."""

    def __init__(self) -> None:
        self.lines: dict[Keys, int] = {}
        self._seen: set[int] = set()
        self._repeated = 0

    def value(self, node: _Node, keys: Keys, above: tuple[_Collection, ...]) -> Any:
        """The value of a node that stands at `keys`, inside of the collections `above`."""
        if isinstance(node, yaml.ScalarEvent):
            return _scalar(node)
        if node in above:
            raise _error(node, "an anchor contains itself")
        if len(above) == DEEPEST:
            raise _error(node, f"more than {DEEPEST} levels, with what its anchors stand for")
        if id(node) in self._seen:
            self._repeated += len(node.items)
            if self._repeated > MOST_REPEATED:
                raise _error(node, f"its anchors stand for more than {MOST_REPEATED} values")
        self._seen.add(id(node))
        above = (*above, node)
        return (self._mapping if node.is_mapping else self._sequence)(node, keys, above)

    def _mapping(
        self, node: _Collection, keys: Keys, above: tuple[_Collection, ...]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in zip(node.items[::2], node.items[1::2], strict=True):
            if not isinstance(key_node, yaml.ScalarEvent):
                raise _error(key_node, "a key must be a word")
            key = key_node.value
            if key in values:
                raise _error(key_node, f"the key '{key}' stands there twice")
            if _CONTROL.search(key):
                raise _error(key_node, f"the key {key!r} holds a control character")
            self.lines[*keys, key] = _line(key_node)
            values[key] = self.value(value_node, (*keys, key), above)
        return values

    def _sequence(self, node: _Collection, keys: Keys, above: tuple[_Collection, ...]) -> list[Any]:
        values = []
        for index, item in enumerate(node.items):
            self.lines[*keys, index] = _line(item)
            values.append(self.value(item, (*keys, index), above))
        return values


def _scalar(event: yaml.ScalarEvent) -> Any:
    word = event.value
    if event.tag is None and event.implicit[0]:
        return _of_plain(event, word)
    if event.tag not in (None, _TEXT):
        raise _error(event, f"no type is named {event.tag}")
    if _CONTROL.search(word):
        raise _error(event, f"the text {word[:60]!r} holds a control character")
    return word


def _of_plain(event: yaml.ScalarEvent, word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    is_int = _INT.fullmatch(word)
    if not is_int and not _FLOAT.fullmatch(word):
        return word
    if len(word) > LONGEST_NUMBER:
        raise _error(event, f"a number of {len(word)} characters; a text stands in quotes")
    if is_int:
        return int(word, 0 if word.startswith(("0o", "0x")) else 10)
    return float(word)


def _line(node: _Node) -> int:
    assert node.start_mark is not None  # only None in events that somebody makes by hand
    return node.start_mark.line + 1


def _error(at: Any, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
