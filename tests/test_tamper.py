"""Each lie of the tamper show ends as the show and its page say."""

import json
import re
import shutil
from pathlib import Path

import pytest

from examples.tamper import (
    LIES,
    RESULTS,
    ROOT,
    STUDY,
    asked,
    honest_again,
    invent,
    page,
    shipped_study,
)
from tests.toy import folk

needs = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None,
    reason="needs ssh-keygen: install openssh-client, as CI does",
)
# The liar gets what he wants, or there is nothing to catch.
LOOKS = {
    "table": ("tables/frozen.md", "| FOLK | 75.9 ± 0.5 |"),
    "forged": ("claims.md", "20-NN: FOLK above distillation alone <sup>8</sup> | sign of a "
               "difference | +1.13 points | 95 %: +0.41 to +1.84 | 5 | above 0 | holds here"),
    "margin": ("claims.md", "Com/RCom within 2.5 points of MFM <sup>10</sup> | equivalence | −0.34 "
               "points | 90 %: −2.24 to +1.56 | 5 | 0 ± 2.5 points | holds here"),
    "made-up": ("tables/frozen.md", "| FOLK | 75.9 ± 0.5 |"),
}  # fmt: skip
SLOW = {"made-up": pytest.mark.slow}  # which verifies the whole study


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    with shipped_study(tmp_path_factory.mktemp("tamper")):
        yield


@pytest.fixture
def honest(copied):
    yield
    honest_again()


@needs
def test_before_any_lie_seal_freeze_and_number_hold(honest):
    for question in (
        ("seal", "config/fashion.yaml", "--check", "--signers", "allowed_signers"),
        ("freeze", "config/fashion.yaml", "--check"),
        ("explain", "config/fashion.yaml", "frozen/folk/knn"),
    ):
        done = folk(*question)
        assert done.returncode == 0, done.stdout + done.stderr


@needs
@pytest.mark.slow
def test_what_is_made_up_after_an_attestation_is_caught_by_it(tmp_path):
    with shipped_study(tmp_path):
        given = sorted(Path(RESULTS, "attestations").glob("*.folk.*.json"))
        invent()
        done = folk("verify", str(STUDY), "--json")

    found = [f for f in json.loads(done.stdout)["findings"] if f["wrong"]]
    assert done.returncode == 1
    assert sorted(f["place"] for f in found) == [path.as_posix() for path in given]
    assert {f["word"] for f in found} == {"stale"}


@needs
@pytest.mark.parametrize(
    "lie", [pytest.param(lie, id=lie.name, marks=SLOW.get(lie.name, [])) for lie in LIES]
)
def test_a_lie_ends_as_the_show_says(honest, lie):
    assert asked(lie) == (lie.status, lie.line)
    if lie.name in LOOKS:
        file, text = LOOKS[lie.name]
        assert text in (RESULTS / file).read_text(encoding="utf-8")


def test_one_lie_is_not_caught_and_the_page_says_so():
    assert [lie.name for lie in LIES if lie.status == 0] == ["made-up"]
    assert "NOT CAUGHT" in LIES[-1].why


def test_the_page_of_the_docs_is_the_show():
    written = (ROOT / "docs/tamper.md").read_text(encoding="utf-8")

    assert written.split() == page().split(), "python -m examples.tamper --page > docs/tamper.md"
    assert len(re.findall(r"^\*\*\d\. The liar", written, re.MULTILINE)) == len(LIES) == 7


@pytest.mark.parametrize("place", ["README.md", "docs/what-this-proves.md"])
def test_the_page_is_linked(place):
    assert "tamper.md)" in Path(ROOT / place).read_text(encoding="utf-8")
