"""What holds of every record and every JSON value that gets a digest."""

import hashlib
import json

import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from folk.evidence.audit.seal import Seal
from folk.evidence.core.canonical import canonical_json, sha256_of_json
from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_json
from folk.evidence.record.schema import read_record, record_id, write_record
from tests.faults.mangled import edited
from tests.faults.parsers import RECORD, SEAL
from tests.faults.table import fault

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
) | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
EXACT = st.integers(-(2**53) + 1, 2**53 - 1)  # in any reader's JSON
RECIPES = st.dictionaries(
    TEXTS, EXACT | st.lists(EXACT | TEXTS) | TEXTS | st.booleans(), max_size=4
)
OLD = RECORD | {"format": 1}
OLD["id"] = record_id(OLD)
METRICS = st.dictionaries(TEXTS, st.floats(allow_nan=False, allow_infinity=False), max_size=4)


@fault(
    "Random",
    "any recipe, metrics and words in a record; then any edit of the file",
    "it comes back from the disk as it was written, with the same digest; after an edit of "
    "whatever value its id is no longer its own",
)
@given(RECIPES, METRICS, TEXTS, st.integers(0, 2**40))
def test_a_record_comes_back_as_it_was_written(tmp_path, recipe, metrics, word, seed):
    record = {**RECORD, "recipe": recipe, "metrics": metrics, "argv": [word], "seed": seed}
    record["id"] = record_id(record)
    path = tmp_path / "record.json"

    write_record(path, record)

    assert read_record(path) == record
    assert record_id(read_record(path)) == record["id"]


@pytest.mark.parametrize("written", [RECORD, OLD], ids=["format 2", "format 1"])
@given(data=st.data())
def test_any_edit_of_a_record_moves_its_digest(written, data):
    changed = data.draw(edited(written))
    assume(isinstance(changed, dict) and not _same(changed, written))
    try:
        said = record_id(changed)
    except ValueError:
        return  # NaN and half characters have no digest, and so are never that of a record
    # Only the id itself does not count, nor 1 for 1.0 where both are one number.
    kept, whole = ({k: v for k, v in each.items() if k != "id"} for each in (changed, written))
    as_one = (lambda v: json.loads(rfc8785.dumps(v))) if written is RECORD else (lambda v: v)
    assert (said == written["id"]) == _same(as_one(kept), as_one(whole))


def test_a_record_has_the_id_that_any_reader_of_rfc_8785_finds():
    # The example of RFC 8785, section 3.2.2, with sorted keys as in 3.2.3.
    example = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    spelt = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )

    assert record_id({**example, "id": "x"}) == hashlib.sha256(spelt.encode()).hexdigest()


def test_a_record_with_the_numbers_of_python_keeps_its_id():
    content = {"format": 1, "metrics": {"rate": 1e-05, "whole": 2.0}}
    spelt = b'{"format":1,"metrics":{"rate":1e-05,"whole":2.0}}'

    assert record_id({**content, "id": "x"}) == hashlib.sha256(spelt).hexdigest()


@given(edited(SEAL))
def test_a_seal_holds_only_as_it_was_written(changed):
    assume(isinstance(changed, dict) and changed.keys() == SEAL.keys())
    try:
        holds = Seal(**changed).holds
    except (ValueError, TypeError, AttributeError):
        return
    assert holds == _same(changed, SEAL)


@given(VALUES)
def test_a_value_has_one_spelling_that_reads_back(tmp_path, value):
    spelt, path = canonical_json(value), tmp_path / "value.json"
    path.write_bytes(spelt)

    assert _same(read_json(path, "mend it"), value)
    assert canonical_json(read_json(path, "mend it")) == spelt
    write_json(path, value)
    assert _same(read_json(path, "mend it"), value)


@given(st.dictionaries(TEXTS, VALUES, min_size=2, max_size=5), st.data())
def test_the_order_of_keys_is_no_part_of_a_digest(value, data):
    turned = {key: value[key] for key in data.draw(st.permutations(list(value)))}

    assert sha256_of_json(turned) == sha256_of_json(value)


@given(VALUES, VALUES)
def test_two_values_share_a_digest_only_if_they_are_one(one, other):
    assert (sha256_of_json(one) == sha256_of_json(other)) == _same(one, other)


def _same(one: object, other: object) -> bool:
    """Equal, and of one type: to JSON 1, 1.0 and true are three values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)
