"""A kept diff is that of its record, a part of it, one that cannot be compared, or another."""

import hashlib

import pytest

from folk.evidence.audit.kept_diff import kept_diff

DIFF = b"+ STAGE = 'tried'\n"
DIGEST = hashlib.sha256(DIFF).hexdigest()


CUT = f"\n[cut here: 18 bytes in all, sha256 {DIGEST}]\n".encode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (DIFF, "kept"),
        (DIFF[:5] + CUT, "cut"),
        (DIFF[:4] + "\ufffd".encode() + CUT, "cut"),
        (DIFF[:4] + CUT, "other"),
        (DIFF[:6] + CUT, "other"),
        (DIFF[:5] + CUT.replace(DIGEST[:9].encode(), b"0" * 9), "other"),
        (f"sha256 {DIGEST}]".encode(), "other"),  # nothing says that it was cut
        ("+ STAGE = '\ufffd'\n".encode(), "not UTF-8"),
        (DIFF + b"+\n", "other"),
        (None, "missing"),
    ],
)
def test_each_state_has_its_word(tmp_path, text, says, monkeypatch):
    monkeypatch.setattr("folk.evidence.audit.kept_diff.DIFF_CAP_BYTES", 5)
    path = tmp_path / "uncommitted.diff"
    if text is not None:
        path.write_bytes(text)

    assert kept_diff(path, DIGEST) == says
