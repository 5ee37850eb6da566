"""A study whose results are in git, without the files that are too large for it."""

import pytest

from folk.evidence.core.digest import digest_file
from tests.audit.conftest import RESULTS
from tests.audit.many_runs import audit
from tests.audit.test_lies import contradicted
from tests.faults.table import fault

ENCODER = RESULTS / "pretrain/r0-s0/encoder.safetensors"
PREDICTIONS = RESULTS / "finetune/r0-s0/full/predictions.parquet"


@pytest.fixture(autouse=True)
def left_out(study):
    """What git leaves out of the study."""
    (RESULTS / ".gitignore").write_text("# too large\n*.safetensors\n/work\n", encoding="utf-8")


@fault(
    "Bytes",
    "an encoder that is absent, where the study's `.gitignore` says that git does not hold it",
    "listed as not checked, with the sha256 that it must have; no finding",
)
def test_encoders_that_git_does_not_hold_are_no_finding_and_named_with_their_digest():
    sha256 = digest_file(ENCODER).sha256
    ENCODER.unlink()

    found = audit()

    assert found.wrong == []
    assert found.checked.elsewhere == {ENCODER.as_posix(): sha256}
    assert contradicted() == []


def test_an_encoder_that_is_there_is_read_all_the_same():
    ENCODER.write_bytes(ENCODER.read_bytes()[:-1] + b"!")

    assert [(f.word, f.place) for f in audit().wrong] == [("tampered", ENCODER.as_posix())]


def test_an_encoder_that_the_list_does_not_name_is_missing():
    (RESULTS / ".gitignore").write_text("*.arrow\n", encoding="utf-8")
    ENCODER.unlink()

    assert [(f.word, f.place) for f in audit().wrong] == [("missing", ENCODER.as_posix())]


def test_predictions_cannot_be_left_out_for_then_no_number_can_be_derived():
    (RESULTS / ".gitignore").write_text("*.parquet\n", encoding="utf-8")
    PREDICTIONS.unlink()

    assert {cell for f in audit().wrong for cell in f.cells} >= {"main/r0/full"}
