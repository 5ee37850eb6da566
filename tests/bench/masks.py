"""Com/RCom masks from images, the draw included, against sorting every spectrum."""

import torch
from torch import Tensor

from folk.filters.com_rcom import BT601, ComRComFilter
from folk.filters.rng import BatchRng
from tests.bench.measure import Row, in_turns, seconds
from tests.conformance.test_masks import smooth_images

ROUNDS = 9


def rows() -> list[Row]:
    """On all cores and on one; 64 images of 224 px."""
    images = smooth_images(64, 224)
    chooses = ComRComFilter()

    def ours() -> Tensor:
        return chooses(images, BatchRng(0, len(images)))

    def by_sorting() -> Tensor:
        rng = BatchRng(0, len(images))
        is_com, which = rng.bernoulli(chooses.p_com), rng.integers(len(chooses.thresholds))
        gray = (images * torch.tensor(BT601)[:, None, None]).sum(dim=1)
        magnitude = torch.fft.fft2(gray).abs()
        ranked = magnitude.flatten(1).sort(dim=1).values
        places = [int((1.0 - share) * ranked.shape[1]) for share in chooses.thresholds]
        threshold = ranked.gather(1, torch.tensor(places)[which][:, None])
        return (magnitude > threshold[..., None]) == is_com[:, None, None]

    # But for last bits of conjugate pairs, which sorting the whole plane tears apart.
    same = ours()[:, 0] == by_sorting()[..., : 224 // 2 + 1]
    assert same.float().mean() > 0.9999
    cores, found = torch.get_num_threads(), []
    for threads in dict.fromkeys((cores, 1)):
        torch.set_num_threads(threads)
        mine, other = in_turns(seconds(ours), seconds(by_sorting), ROUNDS)
        note = f"threads: {threads}"
        found.append(
            Row("Com/RCom masks", "sorting every spectrum", "s", mine, other, reach=0.3, note=note)
        )
    torch.set_num_threads(cores)
    return found
