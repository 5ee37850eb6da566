"""A few pictures as the student saw and rebuilt them, for the report and for the eye."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from folk.data.dataset import PictureDataset
from folk.data.shards import PreparedData
from folk.data.transforms import eval_transform, unit_range
from folk.files import whole_file
from folk.methods.masking import ComRComFilter, FrequencyFilter, RadialFilter, apply_filter
from folk.methods.student_teacher import MaskedFrequencyModel

NUM_EXAMPLES = 6


def save_examples(
    path: Path,
    data: PreparedData,
    size: int,
    frequency_filter: FrequencyFilter | None,
    model: MaskedFrequencyModel | None,
) -> None:
    """Write an .npz that anyone can look at without this package.

    It holds `pictures` [n, h, w, 3] uint8 from the validation split; and, for each side of the
    filter named in `names` [k], `keep` [k, n, h, w] bool with the mean colour in the middle,
    `filtered` and `reconstructed` [k, n, h, w, 3] uint8. Without a filter k is 0.
    """
    pictures = PictureDataset(data.split("val"), eval_transform(resize=size, crop=size))
    count = min(NUM_EXAMPLES, len(pictures))
    # Drawn, because evenly spaced places can hit one class alone.
    chosen = np.random.default_rng(0).permutation(len(pictures))[:count]
    images = unit_range(torch.stack([pictures[int(index)]["image"] for index in chosen]))
    names: list[str] = []
    keeps, filtered, reconstructed = [], [], []
    for name, one_sided in _sides(frequency_filter):
        keep = one_sided(images, torch.Generator().manual_seed(0))
        names.append(name)
        keeps.append(centred(keep[:, 0], size).numpy())
        if model is None:
            seen = apply_filter(images, keep)
        else:  # a filtered picture may leave [0, 1] where the recipe does not clip it
            settings = model.reconstruction
            seen = apply_filter(images, keep, settings.clamp, settings.inverse).clamp(0.0, 1.0)
        filtered.append(_bytes(seen))
        if model is not None:
            with torch.no_grad():
                rebuilt = model.reconstruct(images, keep) * model.std + model.mean
            reconstructed.append(_bytes(rebuilt.clamp(0.0, 1.0)))
    shape = (0, count, size, size)
    with whole_file(path) as aside, aside.open("wb") as file:
        np.savez_compressed(
            file,
            pictures=_bytes(images),
            names=np.array(names, dtype=np.str_),
            keep=np.stack(keeps) if keeps else np.zeros(shape, dtype=bool),
            filtered=np.stack(filtered) if filtered else np.zeros((*shape, 3), dtype=np.uint8),
            reconstructed=(
                np.stack(reconstructed) if reconstructed else np.zeros((*shape, 3), dtype=np.uint8)
            ),
        )


def centred(keep: Bool[Tensor, "b h w_half"], width: int) -> Bool[Tensor, "b h w"]:
    """A mask of the half spectrum as people draw it: whole, with the mean colour in the middle."""
    height = keep.shape[-2]
    rows = torch.arange(height)[:, None]
    columns = torch.arange(width)[None, :]
    mirrored = columns > width // 2
    stored_row = torch.where(mirrored, -rows % height, rows)
    stored_column = torch.where(mirrored, width - columns, columns)
    whole: Tensor = torch.fft.fftshift(keep[:, stored_row, stored_column], dim=(-2, -1))
    return whole


def _sides(frequency_filter: FrequencyFilter | None) -> list[tuple[str, FrequencyFilter]]:
    """Both sides of a filter's coin, and each threshold, as filters without a coin."""
    match frequency_filter:
        case RadialFilter() as radial:
            return [
                ("low-pass", dataclasses.replace(radial, low_pass_prob=1.0)),
                ("high-pass", dataclasses.replace(radial, low_pass_prob=0.0)),
            ]
        case ComRComFilter() as com_rcom:
            return [
                (
                    f"{name} {threshold:g}",
                    dataclasses.replace(com_rcom, p_com=p_com, thresholds=(threshold,)),
                )
                for threshold in com_rcom.thresholds
                for name, p_com in (("Com", 1.0), ("RCom", 0.0))
            ]
    return []


def _bytes(images: Tensor) -> np.ndarray:
    return (images * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
