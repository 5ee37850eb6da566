"""The parts of self-distillation: projection head, centering, and a teacher that follows."""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn.functional import linear, normalize


class NormedLinear(nn.Module):
    """A linear layer without bias whose rows have length `gain`.

    The same function as weight normalization, written as one normalization of the weight.

    Attributes:
        gain: learned length of each row; None when all lengths are fixed to 1.
    """

    def __init__(self, in_features: int, out_features: int, learn_gain: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        bound = in_features**-0.5  # what `nn.Linear`, which DINO wraps, starts with
        nn.init.uniform_(self.weight, -bound, bound)
        self.gain = nn.Parameter(torch.ones(out_features)) if learn_gain else None

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Project onto the rows."""
        # In float32 even under autocast: the losses divide logits by 0.04.
        with torch.autocast(x.device.type, enabled=False):
            scores: Tensor = linear(x.float(), normalize(self.weight, dim=-1))
        return scores if self.gain is None else scores * self.gain


class DistillationHead(nn.Module):
    """DINO's head: an encoder's feature -> prototype logits.

    Three-layer perceptron with GELU, bottleneck, L2 normalization, weight-normed last layer.

    Args:
        in_features: length of the encoder's feature.
        out_features: number of prototypes.
        hidden: width of the perceptron.
        bottleneck: width before the last layer.
        learn_gain: let the rows of the last layer change their length.

    Source: DINO, arXiv:2104.14294, appendix C: hidden 2048, bottleneck 256, 65,536 outputs, last
        layer without bias, its gain fixed by default.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int = 65536,
        hidden: int = 2048,
        bottleneck: int = 256,
        learn_gain: bool = False,
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(in_features, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        _init_linear_layers(self.mlp)
        self.last_layer = NormedLinear(bottleneck, out_features, learn_gain)

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Return one logit per prototype."""
        # Lengths are taken in float32: the squares of half precision overflow or vanish.
        direction = normalize(self.mlp(features).float(), dim=-1)
        logits: Tensor = self.last_layer(direction)
        return logits


class PlainHead(nn.Module):
    """A plain three-layer perceptron: an encoder's feature -> prototype logits.

    Args:
        in_features: length of the encoder's feature.
        out_features: number of prototypes.
        hidden: width of the two hidden layers.

    Source: the other reading of FOLK, arXiv:2409.10362, main text, whose head has three layers;
        DINO counts its weight-normed output layer apart.
    """

    def __init__(self, in_features: int, out_features: int = 65536, hidden: int = 2048) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(in_features, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.last_layer = nn.Linear(hidden, out_features)
        _init_linear_layers(self)

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Return one logit per prototype."""
        hidden = self.mlp(features)
        with torch.autocast(features.device.type, enabled=False):  # as in `NormedLinear`
            logits: Tensor = self.last_layer(hidden.float())
        return logits


def cancel_last_layer_gradients(head: DistillationHead | PlainHead) -> None:
    """Drop the last layer's gradients; called between `backward` and the optimizer's step.

    Source: DINO's code freezes the last layer during the first epoch, which keeps the outputs
        from collapsing before the features mean anything.
    """
    for parameter in head.last_layer.parameters():
        parameter.grad = None


class Centering(nn.Module):
    """Running mean of the teacher's outputs, the same on every process.

    Attributes:
        center: [k], subtracted from the teacher's logits so that no prototype wins for all images.

    Source: DINO, arXiv:2104.14294, Eq. 4; momentum 0.9.
    """

    center: Tensor
    _sum: Tensor
    _parts: Tensor

    def __init__(self, out_features: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(out_features))
        # Tensors, not a list, so that torch.compile makes one graph.
        self.register_buffer("_sum", torch.zeros(out_features), persistent=False)
        self.register_buffer("_parts", torch.zeros(()), persistent=False)

    @torch.no_grad()
    def observe(self, teacher_logits: Float[Tensor, "b k"]) -> None:
        """Remember a part of the batch; the parts of all processes are equally large."""
        self._sum += teacher_logits.float().mean(dim=0)
        self._parts += 1.0

    @torch.no_grad()
    def move(self) -> None:
        """Move towards the mean of what was observed since the last call, by all processes."""
        mean = self._sum / self._parts
        self._sum.zero_()
        self._parts.zero_()
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(mean)
            mean /= distributed.get_world_size()
        self.center.lerp_(mean, 1.0 - self.momentum)


@torch.no_grad()
def ema_update(
    teacher: Iterable[nn.Parameter], student: Iterable[nn.Parameter], momentum: float
) -> None:
    """Move each parameter of the teacher towards the student's: m * teacher + (1 - m) * student."""
    followers: list[Tensor] = list(teacher)
    leaders: list[Tensor] = [parameter.detach() for parameter in student]
    assert len(followers) == len(leaders), "teacher and student differ"
    torch._foreach_lerp_(followers, leaders, 1.0 - momentum)


def cosine(update: int, updates: int, start: float, end: float) -> float:
    """Half cosine from `start` at update 0 to `end` at update `updates - 1`.

    Source: facebookresearch/dino@7c446df utils.py, the form of its teacher momentum.
    """
    done = min(1.0, update / max(1, updates - 1))
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * done))


def teacher_temperature(epoch: int, warmup_epochs: int, start: float, end: float) -> float:
    """Softmax temperature of the teacher: linear over the warm-up epochs, constant within each.

    Args:
        epoch: from 0.
        warmup_epochs: N; epoch 0 has `start` and epoch N - 1 has `end`. With 1 the first epoch
            alone has `start`, with 0 none has.
        start: temperature of epoch 0.
        end: temperature after the warm-up.

    Source: facebookresearch/dino@7c446df main_dino.py, DINOLoss: N values from start to end.
    """
    if epoch >= warmup_epochs:
        return end
    return start + (end - start) * epoch / max(1, warmup_epochs - 1)


def _init_linear_layers(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
