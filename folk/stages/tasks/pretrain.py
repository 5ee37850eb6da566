"""Pre-training: FOLK, MFM, or any filter with or without distillation."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from folk.data.dataset import ImageDataset
from folk.data.repeated import LEARNED
from folk.data.shards import PreparedData
from folk.data.transforms import batch_views, view_transforms
from folk.evidence.core.errors import InputError
from folk.filters.rng import BatchRng
from folk.filters.table import FILTERS
from folk.methods.base import Method, Reconstruction
from folk.methods.degradations import Degradation
from folk.methods.distillation import DistillationHead, PlainHead
from folk.methods.folk import FOLK, Distillation
from folk.methods.losses import WeightMatrix
from folk.methods.mfm import MFM
from folk.methods.table import DEGRADATIONS
from folk.models.encoder import (
    check_size,
    create_encoder,
    encode,
    init_like_beit,
    save_encoder,
    try_images,
)
from folk.models.external import load_external
from folk.models.heads import ReconstructionHead
from folk.stages.examples import save_examples
from folk.stages.images import (
    MEAN,
    STD,
    autocast,
    cache_bytes,
    micro_batches,
    whole_batches,
)
from folk.stages.loop import train_on
from folk.stages.monitor import OnlineKnn, warning_of_collapse
from folk.stages.optimization import check_batch_norm_batch, optimizer_and_schedule
from folk.stages.pretrain import Distillation as DistillationSection
from folk.stages.pretrain import Method as MethodSection
from folk.stages.pretrain import PretrainRecipe
from folk.stages.task import Task
from folk.training.distributed import World
from folk.training.optimizer import weight_decay_groups
from folk.training.randomness import derived_seed, seed_all
from folk.training.schedules import current_rate

Batch = dict[str, Any]


@dataclass
class Parts:
    """Everything that one update touches."""

    model: nn.Module  # the method, wrapped for several processes
    method: Method
    optimizer: torch.optim.Optimizer
    schedule: Any  # timm's Scheduler
    updates: int
    updates_per_epoch: int


def pretrain(task: Task[PretrainRecipe]) -> dict[str, float]:
    """Train one encoder and leave it in `work` as encoder.safetensors with encoder.json.

    After distillation that is the student's or the teacher's, as the recipe has it; the other one
    is next to it, in a folder of that name. Labels serve the online k-NN alone.
    """
    recipe, work = task.recipe, task.work
    data = PreparedData.open(task.folder("dataset"))
    seed_all(task.seed, "initial weights")
    encoder = _new_encoder(recipe)
    metrics = {"parameters": float(sum(p.numel() for p in encoder.parameters()))}
    method: Method | None = None
    checkpoint = recipe.encoder.checkpoint
    if checkpoint is not None:
        load_external(
            encoder,
            Path(checkpoint.path),
            sha256=checkpoint.sha256,
            entry=checkpoint.entry,
            prefix=checkpoint.prefix,
            ignore=tuple(checkpoint.ignore),
        )

    if recipe.method is not None:
        method = build_method(recipe.method, encoder)
        metrics |= _train(task, method, data)
    else:
        (work / "metrics.jsonl").touch()

    if task.world.is_main:
        trained = {"student": encoder}
        if isinstance(method, FOLK):
            trained["teacher"] = method.teacher_encoder
        for folder, which in recipe.encoders().items():
            (work / folder).mkdir(exist_ok=True)
            save_encoder(
                work / folder,
                trained[which],
                timm_name=recipe.encoder.timm_name,
                timm_args=recipe.encoder.timm_args,
                mean=MEAN if checkpoint is None else checkpoint.mean,
                std=STD if checkpoint is None else checkpoint.std,
                input_size=[3, recipe.views.size, recipe.views.size],
                method=method_name(recipe),
                run=task.name,
            )
        save_examples(work / "examples.npz", data, recipe.views.size, method)
    return metrics


def method_name(recipe: PretrainRecipe) -> str:
    """Name a method in a few words, such as `com-rcom + reconstruction + distillation`."""
    if recipe.method is None:
        return "none" if recipe.encoder.checkpoint is None else "external"
    part = recipe.method.filter or recipe.method.degradation
    assert part is not None
    parts = [part.kind]
    if recipe.method.reconstruction.weight > 0.0:
        parts.append("reconstruction")
    if recipe.method.distillation is not None:
        parts.append("distillation")
    return " + ".join(parts)


def check_fit(recipe: PretrainRecipe) -> None:
    """Check that encoder and reconstruction head take the views."""
    encoder = _new_encoder(recipe)
    head, size = None, recipe.views.size
    if recipe.method is not None:
        depth = recipe.method.reconstruction.decoder_depth
        head = ReconstructionHead.for_encoder(encoder, depth).eval()

    def rebuild(images: Tensor) -> None:
        features = encode(encoder, images)
        if head is None:
            return
        side = head(features.map, features.class_token).shape[-1]
        if side != size:
            raise InputError(
                f"views.size: {size}; {type(encoder).__name__} and the reconstruction head give "
                f"{side} pixels; take {side}"
            )

    try_images(encoder, size, "views.size", rebuild)


def state_size(recipe: PretrainRecipe) -> int:
    """Compute the bytes of a training's state with two moments of a weight; none is allocated."""
    if recipe.method is None:
        return 0
    with torch.device("meta"):
        method = build_method(recipe.method, _new_encoder(recipe))
    trained = sum(p.nbytes for p in method.parameters() if p.requires_grad)
    return sum(int(value.nbytes) for value in method.state_dict().values()) + 2 * trained


def _new_encoder(recipe: PretrainRecipe) -> nn.Module:
    encoder = create_encoder(recipe.encoder.timm_name, recipe.encoder.timm_args)
    check_size(encoder, recipe.views.size, "views.size")
    if recipe.encoder.init == "beit":
        init_like_beit(encoder)
    return encoder


def build_method(method: MethodSection, encoder: nn.Module) -> Method:
    """The method that a recipe describes, around an encoder."""
    values = method.reconstruction.model_dump(exclude={"weight_matrix"})
    matrix = method.reconstruction.weight_matrix
    weights = None if matrix is None else WeightMatrix(**matrix.model_dump())
    reconstruction = Reconstruction(**values, weight_matrix=weights)
    if method.degradation is not None:
        degradation: Degradation = _part(DEGRADATIONS, method.degradation)
        return degradation.build(encoder, reconstruction)
    frequency_filter = _part(FILTERS, method.filter)
    section = method.distillation
    if section is None:
        return MFM(encoder, frequency_filter, reconstruction)
    settings = {field.name: getattr(section, field.name) for field in fields(Distillation)}
    head = build_head(section, int(encoder.num_features))  # type: ignore[arg-type]
    return FOLK(encoder, frequency_filter, head, Distillation(**settings), reconstruction)


def _part(known: Mapping[str, Callable[..., Any]], section: Any) -> Any:
    """The filter or the degradation of a kind, with the values of its section."""
    return known[section.kind](**section.model_dump(exclude={"kind", "code"}))


def build_head(section: DistillationSection, in_features: int) -> DistillationHead | PlainHead:
    """The distillation head that a recipe describes."""
    if section.head == "plain_mlp3":
        return PlainHead(in_features, section.out_dim, section.hidden_dim)
    return DistillationHead(
        in_features,
        section.out_dim,
        section.hidden_dim,
        section.bottleneck_dim,
        learn_gain=not section.norm_last_layer,
    )


def build_parts(
    recipe: PretrainRecipe, method: Method, world: World, updates_per_epoch: int
) -> Parts:
    """Build what an update changes, on its device: model, optimizer and schedule.

    Raises:
        InputError: a share of a batch that batch norm cannot use.
    """
    assert recipe.optim is not None
    world.place(method).train()
    batch, max_batch = recipe.optim.batch, recipe.runtime.max_batch
    check_batch_norm_batch(method, batch, max_batch, world, method.num_views)
    trained = [m for m in method.children() if any(p.requires_grad for p in m.parameters())]
    groups = weight_decay_groups(trained, recipe.optim.weight_decay)
    optimizer, schedule = optimizer_and_schedule(recipe.optim, groups, updates_per_epoch)
    return Parts(
        world.wrap(method, recipe.runtime.compile),
        method,
        optimizer,
        schedule,
        updates_per_epoch * recipe.optim.epochs,
        updates_per_epoch,
    )


def pretrain_update(
    parts: Parts, recipe: PretrainRecipe, world: World, seed: int, step: int, batch: Batch
) -> dict[str, Tensor]:
    """Make one update of any method.

    Args:
        seed: of the run. Random numbers depend on it and the update alone, so a resumed run repeats
            them; those of the filter do not even depend on how the batch is shared out.
        batch: under "image" as many views of each image as the method asks for; then, where its
            teacher sees other ones, those.

    Returns:
        scalars for the history, still on the device.

    Source: FOLK, arXiv:2409.10362, Sec. 3.2.2 and Fig. 3; MFM, arXiv:2206.07706, Fig. 2.
    """
    assert recipe.optim is not None
    method, epoch = parts.method, step / parts.updates_per_epoch
    parts.schedule.step_update(step)
    seed_all(seed, "update", step, world.rank)
    assert recipe.method is not None
    spatial = recipe.method.has_spatial_views
    views = batch_views(batch, world.device, and_spatial=spatial)
    count = len(views[0])
    rng = BatchRng(derived_seed(seed, "filter", step), world.size * count, world.share(count))
    corrupted = method.corrupt(views, rng)

    parts.optimizer.zero_grad(set_to_none=True)
    scalars = _backward(parts, recipe, world, int(epoch), views, corrupted)
    method.after_backward(epoch)
    clip_grad = recipe.optim.clip_grad
    if clip_grad is not None:
        scalars["grad_norm"] = nn.utils.clip_grad_norm_(parts.model.parameters(), clip_grad)
    parts.optimizer.step()
    method.after_step(step, parts.updates)
    scalars["lr"] = torch.tensor(current_rate(parts.optimizer.param_groups))
    return scalars


def _backward(
    parts: Parts,
    recipe: PretrainRecipe,
    world: World,
    epoch: int,
    views: list[Tensor],
    corrupted: list[Tensor],
) -> dict[str, Tensor]:
    """Losses of a batch and the gradient of `loss`, in as many pieces as memory asks for."""
    assert recipe.optim is not None
    method = parts.method
    total: dict[str, Tensor] = {}
    slices = list(micro_batches(len(views[0]), recipe.runtime.max_batch))
    removed = _removed(method, views, corrupted, world, len(slices))
    for number, piece in enumerate(slices, start=1):
        shown = [view[piece] for view in views], [each[piece] for each in corrupted]
        # Processes exchange the gradient once, with the last piece.
        wait = number < len(slices) and world.size > 1
        with parts.model.no_sync() if wait else contextlib.nullcontext():  # type: ignore[operator]
            with autocast(world, recipe.optim.precision):
                losses = parts.model(*shown, removed, **method.scheduled(epoch))
            (losses["loss"] / len(slices)).backward()
        for name, value in losses.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value.detach() / len(slices)
    return total


def _removed(
    method: Method, views: list[Tensor], corrupted: list[Tensor], world: World, num_slices: int
) -> list[Tensor] | None:
    """Return the divisors of the micro-batches' losses, so that cutting a batch changes nothing.

    Only masks that remove differently much from each image make a difference, and only where the
    batch is cut.
    """
    if world.size == 1 and num_slices == 1:
        return None
    counts = method.removed(views, corrupted)
    if not counts:
        return None
    return list(world.sum(torch.stack(counts)) / (world.size * num_slices))


def _train(task: Task[PretrainRecipe], method: Method, data: PreparedData) -> dict[str, float]:
    recipe, world, seed = task.recipe, task.world, task.seed
    assert recipe.method is not None
    assert recipe.optim is not None
    optim = recipe.optim
    splits = [name for name in LEARNED if data.counts.get(name)]
    images = ImageDataset(
        data.split(splits),
        view_transforms(
            recipe.views.augment,
            **recipe.views.model_dump(exclude={"augment"}),
            num_views=recipe.method.num_views,
            and_spatial=recipe.method.has_spatial_views,
        ),
        seed=derived_seed(seed, "views"),
        cache_bytes=cache_bytes(recipe.runtime.cache_mb),
    )
    updates_per_epoch = whole_batches(len(images), optim.batch, f"{data.folder}: training images")
    parts = build_parts(recipe, method, world, updates_per_epoch)
    history = train_on(
        replace(task, live=warning_of_collapse(task.live, updates_per_epoch)),
        images,
        lambda step, batch: pretrain_update(parts, recipe, world, seed, step, batch),
        _online_knn(task, method, data, len(images)),
        parts={"model": method, "optimizer": parts.optimizer},
        updates=parts.updates,
        updates_per_epoch=updates_per_epoch,
    )
    method.cpu().eval()
    last: dict[str, Any] = next((line for line in reversed(history.lines) if "loss" in line), {})
    final = {name: value for name, value in last.items() if name.startswith("loss")}
    return {
        **final,
        "updates": float(parts.updates),
        "epochs": float(optim.epochs),
        "images": float(len(images)),
    }


def _online_knn(
    task: Task[PretrainRecipe], method: Method, data: PreparedData, images_per_epoch: int
) -> Callable[[int], dict[str, float]] | None:
    """Make what measures the encoder after an epoch, in the main process; None for nothing."""
    recipe, world = task.recipe, task.world
    every = recipe.runtime.knn_every
    if not every:
        return None
    knn = OnlineKnn(data, recipe.views.size, images_per_epoch) if world.is_main else None
    assert recipe.optim is not None
    is_teacher = isinstance(method, FOLK) and recipe.encoders()[""] == "teacher"
    encoder = method.get_submodule("teacher_encoder" if is_teacher else "encoder")
    batch = recipe.runtime.max_batch or max(1, recipe.optim.batch // world.size)
    precision = recipe.optim.precision

    def measured(epoch: int) -> dict[str, float]:
        if knn is None or not knn.is_possible or epoch % every:
            return {}
        return knn(encoder, method, batch=batch, precision=precision, world=world)

    return measured
