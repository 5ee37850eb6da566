"""Command `embed`, which stores the features of a folder of images."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from folk.evidence.core.errors import InputError


def embed(
    images: Annotated[Path, typer.Argument(help="folder of images, with its sub-folders")],
    encoder: Annotated[
        Path, typer.Option(help="folder of an encoder, such as results/demo/pretrain/folk-s0")
    ],
    out: Annotated[Path, typer.Option(help="parquet file to write: key and feature of each image")],
    feature: Annotated[
        Literal["cls", "mean", "cls-and-mean"],
        typer.Option(help="class token, mean over patches or positions, or both"),
    ] = "cls",
    batch: Annotated[int, typer.Option(min=1, help="images at once")] = 64,
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(help="cpu or cuda", show_default="cuda where there is a GPU"),
    ] = None,
) -> None:
    """Write the features of a folder of images to parquet.

    Images are resized and normalized as the encoder's `encoder.json` states. The file's metadata
    have the encoder's sha256, its run, the feature and the versions.
    """
    import torch

    from folk.stages.embedding import embed as embed_folder

    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise InputError("--device cuda: torch finds no GPU here; take cpu")
    on = torch.device(device or ("cuda" if has_gpu else "cpu"))
    count, length = embed_folder(images, encoder, out, feature=feature, batch=batch, device=on)
    Console(stderr=True, soft_wrap=True).print(
        f"{out}: {count} images, {length} numbers each", highlight=False, markup=False
    )
