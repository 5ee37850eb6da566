"""Classifier that starts from a stored encoder, for full fine-tuning.

A stored classifier is `classifier.safetensors`, with the keys of a plain
`timm.create_model(timm_name, **timm_args)`, and its metadata in `classifier.json`.
"""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from folk.evidence.core.errors import InputError
from folk.models.encoder import (
    Colors,
    EncoderInfo,
    Size,
    create_model,
    create_stored,
    has_patch_tokens,
    load_encoder,
)
from folk.models.stored import Kind, load_state, read_card, read_weights, write_card, write_weights

KIND = Kind("classifier", maker="fine-tuning")


@dataclass(frozen=True)
class ClassifierInfo:
    """Content of `classifier.json`."""

    timm_name: str
    timm_args: dict[str, Any]  # arguments of `timm.create_model` that give the keys of the weights
    classes: list[str]  # names, in the order of the logits
    mean: Colors  # of each color, for images in [0, 1]
    std: Colors  # of each color
    input_size: Size  # colors, height and width of the images it was trained on
    run: str  # the pre-training it started from
    sha256: str  # of `classifier.safetensors`
    # WordNet ids of the classes, in the order of the logits, where they are known
    wnids: list[str] | None = None


def create_classifier(
    encoder_folder: Path, num_classes: int, drop_path: float = 0.0, head_scale: float = 0.001
) -> nn.Module:
    """Make a timm classifier from a stored encoder, see `classifier_of`.

    Args:
        drop_path: stochastic depth of the last block; 0 is none, whatever timm has by default.
        head_scale: factor on the new head of a ViT.

    Raises:
        InputError: the stored encoder is missing or damaged; or as `classifier_of`.
    """
    encoder, info = load_encoder(encoder_folder)
    where = encoder_folder / "encoder.safetensors"
    return classifier_of(
        encoder, info.timm_name, info.timm_args, num_classes, drop_path, head_scale, where
    )


def classifier_of(
    encoder: nn.Module,
    timm_name: str,
    timm_args: dict[str, Any],
    num_classes: int,
    drop_path: float,
    head_scale: float,
    where: Path,
) -> nn.Module:
    """Make a timm classifier and give it the weights of an encoder.

    A ViT averages its patch tokens, then applies a new LayerNorm (`fc_norm`); its old `norm` is
    dropped. BEiT and EVA do likewise. Other encoders keep their own pooling. The linear head is
    new, its weights drawn from torch's global generator and scaled down so that the first steps
    hardly disturb the encoder.

    Args:
        drop_path: stochastic depth of the last block; 0 is none, whatever timm has by default.
        head_scale: factor on the new head of a ViT.
        where: file of its weights, for the error.

    Source: MFM, arXiv:2206.07706, fine-tuning after BEiT: mean pooling, `fc_norm`, drop path 0.1,
        head scaled by 0.001.

    Raises:
        InputError: the encoder is of another architecture, or its architecture does not support
            stochastic depth.
    """
    args = _timm_args(timm_args, encoder, num_classes)
    if drop_path > 0.0 or _takes(encoder, "drop_path_rate"):
        args["drop_path_rate"] = drop_path  # even 0: some architectures have another default
    try:
        model = create_model(timm_name, args)
    except InputError as error:
        if "argument 'drop_path_rate'" in str(error) and drop_path > 0.0:
            raise InputError(
                f"drop_path: {drop_path}; '{timm_name}' has no stochastic depth; set it to 0"
            ) from error
        raise
    head = model.get_classifier()  # type: ignore[operator]
    new = {key for key, value in model.state_dict(keep_vars=True).items() if _is_in(value, head)}
    unused: set[str] = set()
    if has_patch_tokens(model):
        if getattr(model, "fc_norm", None) is not None:  # CaiT and ConViT keep their norm
            new |= {"fc_norm.weight", "fc_norm.bias"}
            unused = {"norm.weight", "norm.bias"} - model.state_dict().keys()
        with torch.no_grad():
            head.weight *= head_scale
            head.bias *= head_scale
    load_state(
        model,
        encoder.state_dict(),
        where=where,
        may_miss=frozenset(new),
        may_ignore=frozenset(unused),
    )
    return model


def save_classifier(
    folder: Path,
    model: nn.Module,
    encoder: EncoderInfo,
    classes: list[str],
    size: int,
    wnids: list[str] | None = None,
) -> ClassifierInfo:
    """Write `classifier.safetensors` and `classifier.json`, each atomically.

    Args:
        model: what `create_classifier` made, trained.
        classes: names, in the order of the logits.
        size: side of the training images in pixels.
        wnids: WordNet ids of the classes, if the training data has them.
    """
    info = ClassifierInfo(
        timm_name=encoder.timm_name,
        timm_args=_timm_args(encoder.timm_args, model, len(classes)),
        classes=classes,
        mean=encoder.mean,
        std=encoder.std,
        input_size=[3, size, size],
        run=encoder.run,
        sha256=write_weights(folder, KIND, model),
        wnids=wnids,
    )
    write_card(folder, KIND, info)
    return info


def load_classifier(folder: Path) -> tuple[nn.Module, ClassifierInfo]:
    """Make the classifier that `folder` holds; every key must fit.

    Raises:
        InputError: a file is missing, damaged or for another architecture.
    """
    info = read_card(folder, KIND, ClassifierInfo)
    if len(info.classes) != info.timm_args.get("num_classes"):
        raise InputError(
            f"{folder / 'classifier.json'}: expected num_classes {len(info.classes)} in timm_args, "
            f"got {info.timm_args.get('num_classes')}; run the {KIND.maker} again"
        )
    state = read_weights(folder, KIND, info.sha256)
    model = create_stored(folder / "classifier.json", info.timm_name, info.timm_args)
    load_state(model, state, where=folder / "classifier.safetensors")
    return model, info


def _timm_args(timm_args: dict[str, Any], network: nn.Module, num_classes: int) -> dict[str, Any]:
    pooling = {"global_pool": "avg"} if has_patch_tokens(network) else {}
    return {**timm_args, "num_classes": num_classes, **pooling}


def _takes(network: nn.Module, argument: str) -> bool:
    classes = [cls for cls in type(network).__mro__ if cls is not object]
    return any(argument in inspect.signature(cls).parameters for cls in classes)


def _is_in(value: object, module: nn.Module) -> bool:
    return any(value is parameter for parameter in module.parameters())
