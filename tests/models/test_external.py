"""Somebody else's weights are used whole and as named, or refused."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from folk.evidence.core.errors import InputError
from folk.models.encoder import create_encoder
from folk.models.external import load_external
from tests.faults.table import fault

TINY_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def theirs():
    torch.manual_seed(1)
    return create_encoder("vit_tiny_patch16_224", TINY_VIT)


@pytest.fixture
def ours():
    torch.manual_seed(2)
    return create_encoder("vit_tiny_patch16_224", TINY_VIT)


def same(one, other):
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_a_safetensors_file_with_timms_keys_is_taken_as_it_is(tmp_path, theirs, ours):
    path = tmp_path / "encoder.safetensors"
    save_file(theirs.state_dict(), path)

    load_external(ours, path, sha256=digest(path))

    assert same(ours, theirs)


def test_a_torch_file_with_an_entry_a_prefix_and_a_head_is_taken_apart_as_told(
    tmp_path, theirs, ours
):
    path = tmp_path / "checkpoint.pth"
    state = {f"backbone.{key}": value for key, value in theirs.state_dict().items()}
    state["head.mlp.weight"] = torch.ones(3)
    torch.save({"epoch": 3, "nets": {"teacher": state}}, path)
    told = {"sha256": digest(path), "entry": "nets.teacher"}

    load_external(ours, path, **told, prefix="backbone.", ignore=("head.",))

    assert same(ours, theirs)
    with pytest.raises(InputError, match=r"'head\.mlp\.weight' does not start with .*'backbone\.'"):
        load_external(ours, path, **told, prefix="backbone.")
    with pytest.raises(InputError, match=r"missing keys blocks\.0.*and \d+ more"):
        load_external(ours, path, **told, ignore=("head.", "backbone.blocks"), prefix="backbone.")
    with pytest.raises(InputError, match=r"entry: unknown 'student'; known: teacher"):
        load_external(ours, path, sha256=told["sha256"], entry="nets.student")
    with pytest.raises(InputError, match=r"expected weights by name, got epoch, nets"):
        load_external(ours, path, sha256=told["sha256"])


@fault(
    "Bytes",
    "other weights than the recipe names",
    "refused, both digests are named",
)
def test_another_digest_is_refused_and_named(tmp_path, theirs, ours):
    path = tmp_path / "encoder.safetensors"
    save_file(theirs.state_dict(), path)

    with pytest.raises(InputError, match=rf"expected sha256 {'0' * 64}.*got {digest(path)}"):
        load_external(ours, path, sha256="0" * 64)
    assert not same(ours, theirs)


def test_unknown_keys_and_other_shapes_are_refused_by_name(tmp_path, theirs, ours):
    path = tmp_path / "more.safetensors"
    save_file({**theirs.state_dict(), "head.weight": torch.ones(2)}, path)
    with pytest.raises(InputError, match=r"unknown keys head\.weight"):
        load_external(ours, path, sha256=digest(path))

    narrow = create_encoder("vit_tiny_patch16_224", {**TINY_VIT, "embed_dim": 16})
    path = tmp_path / "narrow.safetensors"
    save_file(narrow.state_dict(), path)
    with pytest.raises(InputError, match=r"other shapes of blocks\.0"):
        load_external(ours, path, sha256=digest(path))


def test_a_missing_file_is_named(tmp_path, ours):
    with pytest.raises(InputError, match=r"nowhere\.pth: no such file"):
        load_external(ours, tmp_path / "nowhere.pth", sha256="0" * 64)
