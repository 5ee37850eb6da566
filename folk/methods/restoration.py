"""MFM's restoration baselines: super-resolution, deblurring and denoising as pretext tasks.

Each takes images in [0, 1], the whole batch at once and on its device, and leaves values that may
lie outside [0, 1]: whether what the encoder sees is clipped is a switch of the reconstruction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad

from folk.evidence.core.errors import InputError
from folk.filters.rng import BatchRng, draw_per_image
from folk.methods.base import Losses, Method, Reconstruction
from folk.methods.settings import check_kernel_sizes

Images = Float[Tensor, "b c h w"]


@runtime_checkable
class Degradation(Protocol):
    """Spoils images without hiding a chosen set of frequencies."""

    kind: ClassVar[str]

    def __call__(self, images: Images, rng: BatchRng) -> Images:
        """Return the spoiled images, in float32; `images` are in [0, 1]."""
        ...


@dataclass(frozen=True)
class SuperResolution:
    """SR: the image made smaller and large again, bicubic, clipped while it is small.

    Attributes:
        factor: side of the image over side of the small one.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, configs: factor 8 at 224 px, bicubic
        without antialiasing, clipped after both steps.
    """

    kind: ClassVar[str] = "sr"

    factor: int = 8

    def __call__(self, images: Images, rng: BatchRng) -> Images:
        """Return the images without their details; nothing is drawn."""
        height, width = images.shape[-2:]
        if min(height, width) < self.factor:
            raise InputError(
                f"method.degradation.factor: {self.factor} leaves nothing of {height} x {width}"
                " pixels; lower it"
            )
        small = _resized(images, (height // self.factor, width // self.factor))
        return _resized(small.clamp(0.0, 1.0), (height, width))


@dataclass(frozen=True)
class Deblur:
    """Gaussian blur with a kernel that is cut off, so that its size decides how strong it is.

    With sigma 5 the effective standard deviation is 1.94 pixels at size 7 and 4.5 at size 21.

    Attributes:
        sigma: of the Gaussian before it is cut, pixels.
        min_size: of the kernel, pixels, odd; the size is drawn per image, each odd one alike.
        max_size: of the kernel, pixels, odd.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, configs: sigma 5, odd sizes 7 to 21,
        mirrored at the border as OpenCV does, not clipped.
    """

    kind: ClassVar[str] = "deblur"

    sigma: float = 5.0
    min_size: int = 7
    max_size: int = 21

    def __post_init__(self) -> None:
        check_kernel_sizes(self.min_size, self.max_size)

    def __call__(self, images: Images, rng: BatchRng) -> Images:
        """Draw a kernel size for each image and blur it."""
        count, colors, height, width = images.shape
        reach = self.max_size // 2
        if min(height, width) <= reach:
            raise InputError(
                f"method.degradation.max_size: a kernel of {self.max_size} does not fit"
                f" {height} x {width} pixels; lower it"
            )
        num_sizes = (self.max_size - self.min_size) // 2 + 1
        drawn = rng.integers(num_sizes)
        kernels = gaussian_kernels(self.min_size + 2 * drawn, self.sigma, self.max_size)
        # One group for each color of each image; a Gaussian is a product of two lines.
        weights = kernels.to(images.device).repeat_interleave(colors, dim=0)
        planes = pad(images.float(), [reach] * 4, mode="reflect").flatten(0, 1)[None]
        planes = conv2d(planes, weights[:, None, :, None], groups=count * colors)
        planes = conv2d(planes, weights[:, None, None, :], groups=count * colors)
        return planes.view(count, colors, height, width)


@dataclass(frozen=True)
class Denoise:
    """Gaussian noise, another value for each color of each pixel.

    Attributes:
        level: standard deviation of the noise, of 255.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, configs: 75 of 255, not clipped.
    """

    kind: ClassVar[str] = "denoise"

    level: float = 75.0

    def __call__(self, images: Images, rng: BatchRng) -> Images:
        """Draw the noise and add it."""
        noise = draw_per_image(
            rng.integers(2**62),
            lambda own: torch.randn(images.shape[1:], generator=own),
            images.device,
        )
        return images.float() + self.level / 255.0 * noise


DEGRADATIONS: dict[str, Callable[..., Degradation]] = {
    SuperResolution.kind: SuperResolution,
    Deblur.kind: Deblur,
    Denoise.kind: Denoise,
}


class Restoration(Method):
    """See a degraded image, predict the spectrum of the whole one.

    Args:
        encoder: a timm encoder without classifier.
        degradation: spoils the images.
        reconstruction: settings of the loss.
        mean: of each color, for the normalization of images in [0, 1].
        std: of each color.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, models/mfm.py and frequency_loss.py: the
        restoration tasks use MFM's head and the frequency loss over the complete spectrum.
    """

    def __init__(
        self,
        encoder: nn.Module,
        degradation: Degradation,
        reconstruction: Reconstruction | None = None,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
    ) -> None:
        super().__init__(encoder, reconstruction, mean, std)
        self.degradation = degradation

    def corrupt(self, views: list[Tensor], rng: BatchRng) -> list[Tensor]:
        """Degrade the images."""
        return [self.degradation(views[0], rng)]

    def forward(
        self,
        views: list[Float[Tensor, "b 3 h w"]],
        corrupted: list[Float[Tensor, "b 3 h w"]],
        removed: list[Tensor] | None = None,
    ) -> Losses:
        """Return `loss` and its parts.

        Args:
            views: the one view, in [0, 1].
            corrupted: the same degraded, in [0, 1] but for what the degradation adds.
            removed: nothing, since no frequency is removed as such.
        """
        (images,), (degraded,) = views, corrupted
        loss = self._reconstruction_loss(self.rebuild(degraded), images, None)
        return {"loss": loss, "loss/reconstruction": loss.detach()} | self._clipped_share(degraded)


def gaussian_kernels(sizes: Int[Tensor, "b"], sigma: float, width: int) -> Float[Tensor, "b width"]:
    """Lines of Gaussians that are cut off at their own size; each sums to 1.

    Args:
        sizes: of each kernel, pixels, odd.
        sigma: before the cut, pixels.
        width: of the result, odd; smaller kernels stand in its middle between zeros.
    """
    offset = torch.arange(width) - width // 2
    lines = torch.exp(-0.5 * (offset / sigma).square()) * (offset.abs() <= sizes[:, None] // 2)
    normal: Tensor = lines / lines.sum(dim=1, keepdim=True)
    return normal


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    resized: Tensor = interpolate(
        images.float(), size=size, mode="bicubic", align_corners=False, antialias=False
    )
    return resized
