"""Digests are those of the standard tools, and do not depend on how a value is written."""

import hashlib
import subprocess

import pytest

from folk.evidence.core import digest
from folk.evidence.core.digest import digest_file, digest_tree, sha256_of_json
from folk.evidence.core.errors import InputError


def test_digests_are_those_of_sha256sum_and_md5sum(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"frequency" * 100_000)

    found = digest_file(path)

    for tool, value in (("sha256sum", found.sha256), ("md5sum", found.md5)):
        said = subprocess.run([tool, path], capture_output=True, text=True, check=True)
        assert said.stdout.split()[0] == value
    assert found.size == 900_000


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_a_file_of_any_length_is_read_to_its_end(tmp_path, monkeypatch, size):
    monkeypatch.setattr(digest, "BLOCK_BYTES", 64)
    content = bytes(range(256))[:size]
    (tmp_path / "a").write_bytes(content)

    found = digest_file(tmp_path / "a")

    assert (found.size, found.sha256) == (size, hashlib.sha256(content).hexdigest())


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.bin: cannot be read"):
        digest_file(tmp_path / "nothing.bin")
    with pytest.raises(InputError, match="cannot be read"):
        digest_file(tmp_path)


def test_a_tree_lists_every_file_below_it_in_the_order_of_paths(tmp_path):
    for name in ("b/2.txt", "b/1.txt", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    found = digest_tree(tmp_path)

    assert [entry.path for entry in found] == ["a.txt", "b/1.txt", "b/2.txt"]
    assert found[1].sha256 == hashlib.sha256(b"b/1.txt").hexdigest()


def test_order_of_keys_does_not_move_the_digest_of_a_value_and_order_of_a_list_does():
    assert sha256_of_json({"a": 1, "b": [1, 2]}) == sha256_of_json({"b": [1, 2], "a": 1})
    assert sha256_of_json([1, 2]) != sha256_of_json([2, 1])


def test_the_digest_of_a_value_is_that_of_its_shortest_spelling():
    expected = hashlib.sha256(b'{"a":[1,2.5],"b":"\xc3\xa4"}').hexdigest()

    assert sha256_of_json({"b": "ä", "a": [1, 2.5]}) == expected


def test_not_a_number_has_no_digest():
    with pytest.raises(ValueError, match="JSON compliant"):
        sha256_of_json(float("nan"))
