"""Encoders by timm name: creation, forward pass, storage.

A stored encoder is `encoder.safetensors`, with the keys of a plain
`timm.create_model(timm_name, num_classes=0, **timm_args)`, its metadata in `encoder.json`, and
timm's own `config.json`, so that `timm.create_model("local-dir:FOLDER", pretrained=True)` opens it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import timm
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from folk.evidence.core.errors import InputError, brief_with_type, nearest
from folk.evidence.core.files import write_json
from folk.models.stored import (
    Kind,
    load_state,
    read_card,
    read_weights,
    write_card,
    write_weights,
)

KIND = Kind("encoder", maker="pre-training")
# Keys of a card that need one value per color.
Colors = Annotated[list[float], Field(min_length=3, max_length=3)]
Size = Annotated[list[int], Field(min_length=3, max_length=3)]


@dataclass(frozen=True)
class Features:
    """Features of a batch of images.

    Attributes:
        map: [b, c, h', w'], one vector per patch or position, after the encoder's last norm.
        class_token: [b, c], or None where the encoder has none.
    """

    map: Tensor
    class_token: Tensor | None

    def pooled(self, which: Literal["cls", "mean"]) -> Float[Tensor, "b c"]:
        """Return one vector per image; the mean of the map where there is no class token."""
        if which == "cls" and self.class_token is not None:
            return self.class_token
        return self.map.mean(dim=(2, 3))


@dataclass(frozen=True)
class EncoderInfo:
    """Content of `encoder.json`.

    Attributes:
        timm_name: name of the architecture.
        timm_args: further arguments of `timm.create_model`, in addition to `num_classes=0`.
        mean: of each color, for images in [0, 1].
        std: of each color.
        input_size: colors, height and width of the images it was trained on.
        num_features: length of a pooled feature.
        method: how it was trained.
        run: name of its run.
        sha256: of `encoder.safetensors`.
    """

    timm_name: str
    timm_args: dict[str, Any]
    mean: Colors
    std: Colors
    input_size: Size
    num_features: int
    method: str
    run: str
    sha256: str


def create_encoder(timm_name: str, timm_args: dict[str, Any]) -> nn.Module:
    """Make an encoder without classifier; its weights follow torch's global generator.

    Raises:
        InputError: unknown timm name, or an argument that the architecture does not take.
    """
    return create_model(timm_name, {**timm_args, "num_classes": 0})


def create_stored(path: Path, timm_name: str, timm_args: dict[str, Any]) -> nn.Module:
    """Make the timm model that a card names.

    Raises:
        InputError: as `create_model`; the line names the card.
    """
    try:
        return create_model(timm_name, timm_args)
    except InputError as error:
        line = str(error).replace("encoder.timm_", "timm_", 1)  # the key as the card has it
        raise InputError(f"{path}: {line}") from error


def create_model(timm_name: str, timm_args: dict[str, Any]) -> nn.Module:
    """Make a timm model, never with downloaded weights.

    Raises:
        InputError: unknown timm name, or an argument that the architecture does not take.
    """
    if not timm.is_model(timm_name):
        raise InputError(
            f"encoder.timm_name: unknown timm model '{timm_name}'{_nearest_model(timm_name)}"
        )
    try:
        model: nn.Module = timm.create_model(timm_name, pretrained=False, **timm_args)
    except (TypeError, ValueError, AssertionError, ArithmeticError, LookupError, RuntimeError,
            AttributeError) as error:  # fmt: skip
        raise InputError(
            f"encoder.timm_args: invalid arguments {timm_args} for '{timm_name}': "
            f"{brief_with_type(error)}"
        ) from error
    return model


def encode(encoder: nn.Module, images: Float[Tensor, "b 3 h w"]) -> Features:
    """Run an encoder on normalized images.

    Patch tokens (ViT, BEiT, EVA), maps with channels first (ResNet) and last (Swin) all give a map.

    Raises:
        InputError: the encoder gives neither patch tokens nor a map.
    """
    features: Tensor = encoder.forward_features(images)  # type: ignore[operator]
    if isinstance(getattr(encoder, "norm", None), nn.Identity) and hasattr(encoder, "fc_norm"):
        # timm has the last norm there where its own model pools the mean, as BEiT's and EVA's.
        features = encoder.fc_norm(features)  # type: ignore[operator]
    if has_patch_tokens(encoder):
        num_prefix = int(encoder.num_prefix_tokens)  # type: ignore[arg-type]
        has_class = getattr(encoder, "cls_token", None) is not None
        grid = encoder.patch_embed.dynamic_feat_size(images.shape[-2:])  # type: ignore[operator,union-attr]
        patches = features[:, num_prefix:].transpose(1, 2)
        patches = patches.reshape(*patches.shape[:2], *grid)
        return Features(patches, features[:, 0] if has_class else None)
    if getattr(features, "ndim", 0) != 4:
        raise InputError(
            f"encoder.timm_name: {type(encoder).__name__} gives neither patch tokens nor a feature "
            "map; take a ViT, a Swin or a ResNet"
        )
    if getattr(encoder, "output_fmt", "NCHW") == "NHWC":
        return Features(features.permute(0, 3, 1, 2), None)
    return Features(features, None)


def has_patch_tokens(encoder: nn.Module) -> bool:
    """Return True if patch tokens of one width pass through all blocks, as in ViT, BEiT and EVA.

    timm gives such encoders one interface, whatever their class: a patch embedding that knows its
    grid, and the number of tokens before the patches.
    """
    embedding = getattr(encoder, "patch_embed", None)
    counts_prefix = isinstance(getattr(encoder, "num_prefix_tokens", None), int)
    return counts_prefix and hasattr(embedding, "dynamic_feat_size") and hasattr(encoder, "blocks")


def check_size(encoder: nn.Module, size: int, key: str) -> None:
    """Check that images of `size` x `size` pixels reach the encoder whole.

    Args:
        key: key of the recipe that has the size, for the error.

    Raises:
        InputError: the patches are not square, do not cover the image, or the encoder takes images
            of another size only.
    """
    embedding = getattr(encoder, "patch_embed", None)
    patch = getattr(embedding, "patch_size", None)
    if embedding is None or patch is None:
        return
    height, width = patch if isinstance(patch, tuple) else (patch, patch)
    if height != width:
        raise InputError(
            f"encoder.timm_args: patches of {height} x {width} pixels; expected square ones"
        )
    if size % height and not getattr(embedding, "dynamic_img_pad", False):
        below, above = size // height * height, (size // height + 1) * height
        take = f"{below} or {above}" if below else f"{above}"
        raise InputError(
            f"{key}: {size} is no multiple of the encoder's patch, {height}; take {take}"
        )
    own = getattr(embedding, "img_size", None)
    if own is not None and getattr(embedding, "strict_img_size", False) and own != (size, size):
        raise InputError(
            f"{key}: {size}; the encoder takes images of {own[0]} pixels only; set it to {own[0]}, "
            "or encoder.timm_args.img_size of the pre-training"
        )


def try_images(
    network: nn.Module, size: int, key: str, run: Callable[[Tensor], object] | None = None
) -> None:
    """Run a network once on an image of zeros, on torch's default device.

    Args:
        network: an encoder, or a network that has one.
        key: key of the recipe that has the size, for the error.
        run: runs the network; None calls it.

    Raises:
        InputError: as `check_size`, or the network cannot take such an image. On the meta device,
            which lacks some operations, the network's own error instead.
    """
    check_size(network, size, key)
    images = torch.zeros(1, 3, size, size)
    network.eval()
    try:
        (run or network)(images)
    except InputError:
        raise
    except Exception as error:
        if images.is_meta:
            raise
        raise InputError(
            f"{key}: {size}; {type(network).__name__} takes no such images "
            f"({brief_with_type(error)}); choose another size or encoder"
        ) from error


def stride_of(encoder: nn.Module) -> int:
    """Return the pixels per position of the last feature map, along one side."""
    return int(encoder.feature_info[-1]["reduction"])  # type: ignore[index]


def init_like_beit(encoder: nn.Module, std: float = 0.02) -> None:
    """Initialize a ViT as MFM does before pre-training, from torch's global generator.

    Weights, class token and position embedding follow a normal distribution cut at one standard
    deviation, biases are 0; the output projections of block l (from 1) are divided by sqrt(2 l), so
    that deep blocks start near the identity.

    MFM's blocks have no key bias. timm's have; it shifts all scores of a query alike, and softmax
    does not see that, so the functions are the same.

    Source: MFM, arXiv:2206.07706, Jiahao000/MFM@c9194b1, models/vision_transformer.py, after BEiT.

    Raises:
        InputError: the encoder is not a plain ViT.
    """
    if not isinstance(encoder, timm.models.VisionTransformer):
        raise InputError(
            f"encoder.init: 'beit' needs a plain ViT, got {type(encoder).__name__}; set it to timm"
        )
    _init_layers_like_beit(encoder, std)
    for name in ("cls_token", "pos_embed"):
        token = getattr(encoder, name, None)
        if token is not None:
            trunc_normal(token, std)
    _shrink_outputs(encoder.blocks)


def init_blocks_like_beit(blocks: nn.Sequential, std: float = 0.02) -> None:
    """Initialize transformer blocks alone; see `init_like_beit`."""
    _init_layers_like_beit(blocks, std)
    _shrink_outputs(blocks)


def trunc_normal(tensor: Tensor, std: float = 0.02) -> None:
    """Fill a tensor from a normal distribution that is cut at one standard deviation."""
    nn.init.trunc_normal_(tensor, std=std, a=-std, b=std)


def _init_layers_like_beit(module: nn.Module, std: float) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            trunc_normal(layer.weight, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


@torch.no_grad()
def _shrink_outputs(blocks: Iterable[Any]) -> None:
    for number, block in enumerate(blocks, start=1):
        block.attn.proj.weight /= math.sqrt(2.0 * number)
        block.mlp.fc2.weight /= math.sqrt(2.0 * number)


def save_encoder(
    folder: Path,
    encoder: nn.Module,
    *,
    timm_name: str,
    timm_args: dict[str, Any],
    mean: list[float],
    std: list[float],
    input_size: list[int],
    method: str,
    run: str,
) -> EncoderInfo:
    """Write `encoder.safetensors`, `encoder.json` and `config.json`, each atomically."""
    info = EncoderInfo(
        timm_name=timm_name,
        timm_args=timm_args,
        mean=mean,
        std=std,
        input_size=input_size,
        num_features=int(encoder.num_features),  # type: ignore[arg-type]
        method=method,
        run=run,
        sha256=write_weights(folder, KIND, encoder),
    )
    write_card(folder, KIND, info)
    config = {
        "architecture": timm_name.partition(".")[0],  # without the name of timm's own weights
        "num_classes": 0,
        "num_features": info.num_features,
        "model_args": timm_args,
        "pretrained_cfg": {"input_size": input_size, "mean": mean, "std": std},
    }
    write_json(folder / "config.json", config)
    return info


def read_encoder_info(folder: Path) -> EncoderInfo:
    """Read `encoder.json`.

    Raises:
        InputError: the file is missing or invalid.
    """
    return read_card(folder, KIND, EncoderInfo)


def load_weights(folder: Path) -> tuple[EncoderInfo, dict[str, Tensor]]:
    """Read a stored encoder's description and weights and check that they belong together.

    Raises:
        InputError: a file is missing, or the weights do not match their description.
    """
    info = read_encoder_info(folder)
    return info, read_weights(folder, KIND, info.sha256)


def load_encoder(folder: Path) -> tuple[nn.Module, EncoderInfo]:
    """Make the encoder that `folder` holds; every key must fit.

    Raises:
        InputError: a file is missing, damaged or for another architecture.
    """
    info, state = load_weights(folder)
    args = {**info.timm_args, "num_classes": 0}
    encoder = create_stored(folder / "encoder.json", info.timm_name, args)
    load_state(encoder, state, where=folder / "encoder.safetensors")
    return encoder, info


def _nearest_model(name: str) -> str:
    hint = nearest(name, timm.list_models())
    # A list of more than a thousand names does not help.
    return hint if hint.startswith("; did") else "; see timm.list_models()"
