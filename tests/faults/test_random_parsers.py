"""Any bytes, in any of our files: a value or our one line, nothing else, and at once."""

import time
from contextlib import suppress

import jaxtyping
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.parsers import PARSERS
from tests.faults.table import fault

SECONDS = 5.0  # of this process for one file, which takes milliseconds; a busy machine counts not


@pytest.fixture
def as_users_run_it():
    """Without the checks of shapes, which would refuse in tests what slips through elsewhere."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@fault(
    "Random",
    "any bytes, or a valid file with pieces cut out, put in or exchanged, in place of every file, "
    "listing and argument that we read: study, recipe, published numbers, site file, record, seal, "
    "dataset.json, histories, notes about SLURM jobs, archives, lists, answers of SLURM, --set",
    "a value, or one line that refuses; never another exception, never a hang",
)
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name.replace(" ", "-"))
@given(draw=st.data())
def test_any_bytes_are_a_value_or_refused_in_our_words(parser, draw, tmp_path, as_users_run_it):
    data = draw.draw(parser.inputs)
    begun = time.process_time()
    with suppress(parser.refusal):
        parser.read(data, tmp_path)
    assert time.process_time() - begun < SECONDS
