"""Degradations of MFM's restoration baselines: super-resolution, deblurring and denoising.

Each takes images in [0, 1], the whole batch at once and on its device, and leaves values that may
lie outside [0, 1]: whether what the encoder sees is clipped is a switch of the reconstruction.

Where there are too many random numbers to send to the device, each image has a generator there
that a draw seeds.

Their attributes are their keys in a recipe, which is checked without torch.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jaxtyping import Float, Int

from folk.evidence.core.errors import InputError
from folk.evidence.core.ranges import Count, Positive
from folk.filters.base import BatchRng, Images, Tensor

if TYPE_CHECKING:
    from torch.nn import Module

    from folk.methods.base import Method, Reconstruction
else:
    Module = Method = Reconstruction = Any  # as in `folk.filters.base`


class Degradation(ABC):
    """A pretext task: a degradation of images, which a network then undoes.

    Attributes:
        kind: the name in a recipe.
    """

    kind: ClassVar[str]

    @abstractmethod
    def __call__(self, images: Images, rng: BatchRng) -> Images:
        """Return the degraded images, in float32; `images` are in [0, 1]."""

    def build(self, encoder: Module, reconstruction: Reconstruction) -> Method:
        """Make the method that learns from it: MFM's restoration unless overridden."""
        from folk.methods.restoration import Restoration

        return Restoration(encoder, self, reconstruction)


@dataclass(frozen=True)
class SuperResolution(Degradation):
    """SR: the image made smaller and large again, bicubic, clipped while it is small.

    Attributes:
        factor: side of the image over side of the small one.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, configs: factor 8 at 224 px, bicubic
        without antialiasing, clipped after both steps.
    """

    kind: ClassVar[str] = "sr"

    factor: Count = 8

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
class Deblur(Degradation):
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

    sigma: Positive = 5.0
    min_size: Count = 7
    max_size: Count = 21

    def __post_init__(self) -> None:
        smallest, largest = self.min_size, self.max_size
        if smallest % 2 == 0 or largest % 2 == 0 or smallest > largest:
            raise InputError(
                f"min_size {smallest} and max_size {largest} must be odd, the first not larger"
            )

    def __call__(self, images: Images, rng: BatchRng) -> Images:
        """Draw a kernel size for each image and blur it."""
        from torch.nn.functional import conv2d, pad

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
        weights = kernels.to(images.device, non_blocking=True).repeat_interleave(colors, dim=0)
        planes = pad(images.float(), [reach] * 4, mode="reflect").flatten(0, 1)[None]
        planes = conv2d(planes, weights[:, None, :, None], groups=count * colors)
        planes = conv2d(planes, weights[:, None, None, :], groups=count * colors)
        return planes.view(count, colors, height, width)


@dataclass(frozen=True)
class Denoise(Degradation):
    """Gaussian noise, another value for each color of each pixel.

    Attributes:
        level: standard deviation of the noise, of 255.

    Source: MFM, arXiv:2206.07706; Jiahao000/MFM@c9194b1, configs: 75 of 255, not clipped.
    """

    kind: ClassVar[str] = "denoise"

    level: Positive = 75.0

    def __call__(self, images: Images, rng: BatchRng) -> Images:
        """Draw the noise and add it."""
        import torch

        from folk.filters.rng import draw_per_image

        noise = draw_per_image(
            rng.integers(2**62),
            lambda own: torch.randn(images.shape[1:], generator=own),
            images.device,
        )
        return images.float() + self.level / 255.0 * noise


def gaussian_kernels(sizes: Int[Tensor, "b"], sigma: float, width: int) -> Float[Tensor, "b width"]:
    """Lines of Gaussians that are cut off at their own size; each sums to 1.

    Args:
        sizes: of each kernel, pixels, odd.
        sigma: before the cut, pixels.
        width: of the result, odd; smaller kernels are padded with zeros.
    """
    import torch

    offset = torch.arange(width) - width // 2
    lines = torch.exp(-0.5 * (offset / sigma).square()) * (offset.abs() <= sizes[:, None] // 2)
    normal: Tensor = lines / lines.sum(dim=1, keepdim=True)
    return normal


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    from torch.nn.functional import interpolate

    resized: Tensor = interpolate(
        images.float(), size=size, mode="bicubic", align_corners=False, antialias=False
    )
    return resized
