"""Pre-training: FOLK, MFM, or any filter with or without distillation."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from folk.data.dataset import ImageDataset
from folk.data.shards import PreparedData
from folk.data.transforms import unit_range, view_transforms
from folk.filters import FILTERS
from folk.filters.base import FrequencyFilter
from folk.filters.rng import BatchRng
from folk.methods.degradations import DEGRADATIONS, Degradation
from folk.methods.distillation import DistillationHead, PlainHead, cancel_last_layer_gradients
from folk.methods.losses import WeightMatrix, removed_count
from folk.methods.student_teacher import (
    Distillation,
    FrequencyModel,
    MaskedFrequencyModel,
    Reconstruction,
    RestorationModel,
    StudentTeacher,
)
from folk.models.encoder import create_encoder, init_like_beit, save_encoder
from folk.models.external import load_external
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
from folk.stages.optimization import check_batch_norm_batch, optimizer_and_schedule
from folk.stages.recipes.pretrain import Distillation as DistillationSection
from folk.stages.recipes.pretrain import Method, PretrainRecipe
from folk.training.distributed import World
from folk.training.optimizer import weight_decay_groups
from folk.training.randomness import derived_seed, seed_all
from folk.training.schedules import (
    cosine,
    current_rate,
    teacher_temperature,
)

Live = Callable[[int, dict[str, float]], None]
Batch = dict[str, Any]


@dataclass
class Parts:
    """Everything that one update touches."""

    model: nn.Module  # wrapped for several processes
    inner: FrequencyModel
    corruption: FrequencyFilter | Degradation
    optimizer: torch.optim.Optimizer
    schedule: Any  # timm's Scheduler
    updates: int
    updates_per_epoch: int


def pretrain(
    recipe: PretrainRecipe,
    *,
    dataset: Path,
    work: Path,
    run: str,
    seed: int,
    identity: str,
    world: World,
    live: Live,
) -> dict[str, float]:
    """Train one encoder and leave it in `work` as encoder.safetensors with encoder.json.

    After distillation that is the student's or the teacher's, as the recipe has it; the other one
    lies beside it, in a folder of that name.

    Args:
        recipe: how.
        dataset: folder of the prepared data set; labels are not read.
        work: folder of the growing state; the results are left there too.
        run: name of the run, for encoder.json.
        seed: feeds every random number of the run.
        identity: digest of everything that decides the result.
        world: this process among those of its job.
        live: told every line of the history.

    Returns:
        final metrics.
    """
    data = PreparedData.open(dataset)
    seed_all(seed, "initial weights")
    encoder = create_encoder(recipe.encoder.timm_name, recipe.encoder.timm_args)
    if recipe.encoder.init == "beit":
        init_like_beit(encoder)
    metrics = {"parameters": float(sum(p.numel() for p in encoder.parameters()))}
    model: FrequencyModel | None = None
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
        model = build_model(recipe.method, encoder)
        metrics |= _train(recipe, model, data, work, seed, identity, world, live)
    else:
        (work / "metrics.jsonl").touch()

    if world.is_main:
        for folder, trained in encoder_folders(recipe, encoder, model).items():
            (work / folder).mkdir(exist_ok=True)
            save_encoder(
                work / folder,
                trained,
                timm_name=recipe.encoder.timm_name,
                timm_args=recipe.encoder.timm_args,
                mean=MEAN if checkpoint is None else checkpoint.mean,
                std=STD if checkpoint is None else checkpoint.std,
                input_size=[3, recipe.views.size, recipe.views.size],
                method=method_name(recipe),
                run=run,
            )
        corruption = None if recipe.method is None else build_corruption(recipe.method)
        save_examples(work / "examples.npz", data, recipe.views.size, corruption, model)
    return metrics


def encoder_folders(
    recipe: PretrainRecipe, encoder: nn.Module, model: FrequencyModel | None
) -> dict[str, nn.Module]:
    """The encoders that are saved, by their folder in the run's; "" is the one that is measured."""
    if not isinstance(model, StudentTeacher):
        return {"": encoder}
    assert recipe.method is not None
    assert recipe.method.distillation is not None
    both = {"student": encoder, "teacher": model.teacher_encoder}
    measured = both.pop(recipe.method.distillation.encoder)
    return {"": measured, **both}


def method_name(recipe: PretrainRecipe) -> str:
    """What was learned, in a few words, such as `com-rcom + reconstruction + distillation`."""
    if recipe.method is None:
        return "none" if recipe.encoder.checkpoint is None else "external"
    part = recipe.method.filter or recipe.method.degradation
    assert part is not None
    parts = [part.kind, "reconstruction"]
    if recipe.method.distillation is not None:
        parts.append("distillation")
    return " + ".join(parts)


def build_corruption(method: Method) -> FrequencyFilter | Degradation:
    """The filter or the degradation that a recipe describes."""
    if method.filter is not None:
        return FILTERS[method.filter.kind](**method.filter.model_dump(exclude={"kind"}))
    assert method.degradation is not None
    values = method.degradation.model_dump(exclude={"kind"})
    return DEGRADATIONS[method.degradation.kind](**values)


def build_model(method: Method, encoder: nn.Module) -> FrequencyModel:
    """One or two branches around an encoder, as a recipe describes them."""
    settings = method.reconstruction
    matrix = settings.weight_matrix
    reconstruction = Reconstruction(
        **settings.model_dump(exclude={"weight_matrix"}),
        weight_matrix=None if matrix is None else WeightMatrix(**matrix.model_dump()),
    )
    section = method.distillation
    if method.degradation is not None:
        return RestorationModel(encoder, MEAN, STD, reconstruction)
    if section is None:
        return MaskedFrequencyModel(encoder, MEAN, STD, reconstruction)
    return StudentTeacher(
        encoder,
        MEAN,
        STD,
        reconstruction,
        Distillation(section.alpha, section.reduce, section.feature, section.student_temperature),
        build_head(section, int(encoder.num_features)),  # type: ignore[arg-type]
        section.center_momentum,
    )


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
    recipe: PretrainRecipe, inner: FrequencyModel, world: World, updates_per_epoch: int
) -> Parts:
    """What one update touches, on its device: model, filter, optimizer and schedule.

    Raises:
        InputError: a share of a batch that batch norm cannot use.
    """
    assert recipe.method is not None
    assert recipe.optim is not None
    inner.to(world.device).train()
    check_batch_norm_batch(
        inner,
        batch=recipe.optim.batch,
        max_batch=recipe.runtime.max_batch,
        world=world,
        views=recipe.method.num_views,
    )
    trained = [module for module in inner.children() if _is_trained(module)]
    groups = weight_decay_groups(trained, recipe.optim.weight_decay)
    optimizer, schedule = optimizer_and_schedule(recipe.optim, groups, updates_per_epoch)
    return Parts(
        world.wrap(inner, recipe.runtime.compile),
        inner,
        build_corruption(recipe.method),
        optimizer,
        schedule,
        updates_per_epoch * recipe.optim.epochs,
        updates_per_epoch,
    )


def pretrain_update(
    parts: Parts, recipe: PretrainRecipe, world: World, seed: int, step: int, batch: Batch
) -> dict[str, Tensor]:
    """Update the student once, then move the teacher towards it.

    Args:
        batch: under "image" one view of each image, or two for distillation; then, where the
            teacher sees other ones, those.

    Returns:
        scalars for the history, still on the device.

    Source: FOLK, arXiv:2409.10362, Sec. 3.2.2 and Fig. 3: views u and v, student, teacher by EMA;
        with one view and no teacher this is MFM, arXiv:2206.07706, Fig. 2.
    """
    assert recipe.method is not None
    assert recipe.optim is not None
    section = recipe.method.distillation
    views = [unit_range(view.to(world.device, non_blocking=True)) for view in batch["image"]]

    # Schedule. Random numbers depend on the update alone, so a resumed run repeats them; those of
    # the filter do not even depend on how the batch is shared out.
    parts.schedule.step_update(step)
    seed_all(seed, "update", step, world.rank)
    share = world.share(len(views[0]))
    rng = BatchRng(derived_seed(seed, "filter", step), world.size * len(views[0]), share)
    temperature = []
    if section is not None:
        temperature = [
            teacher_temperature(
                step // parts.updates_per_epoch,
                section.teacher_temperature_warmup_epochs,
                section.teacher_temperature_start,
                section.teacher_temperature,
            )
        ]
        views = [*views, *views] if section.teacher_view == "full" else views

    # What is hidden of each image, and how much of the whole batch.
    drawn = views[: recipe.method.num_views]
    seen = _corrupted(parts, drawn, rng)
    slices = list(micro_batches(len(views[0]), recipe.runtime.max_batch))
    removed = _removed(parts, drawn, seen, world, len(slices))

    # Loss and gradient, in as many parts as memory asks for.
    parts.optimizer.zero_grad(set_to_none=True)
    total: dict[str, Tensor] = {}
    for number, part in enumerate(slices, start=1):
        wait = number < len(slices) and world.size > 1
        with parts.model.no_sync() if wait else contextlib.nullcontext():  # type: ignore[operator]
            shown = [each[part] for each in (*views, *seen)]
            with autocast(world, recipe.optim.precision):
                losses = parts.model(*shown, *temperature, *removed)
            (losses["loss"] / len(slices)).backward()
        for name, value in losses.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value.detach() / len(slices)

    # Update; the last layer of the distillation head waits for its turn.
    student_teacher = parts.inner if isinstance(parts.inner, StudentTeacher) else None
    epoch = step / parts.updates_per_epoch
    if student_teacher and section and epoch < section.freeze_last_layer_epochs:
        cancel_last_layer_gradients(student_teacher.distillation_head)
    if recipe.optim.clip_grad is not None:
        trained = [p for p in parts.model.parameters() if p.requires_grad]
        total["grad_norm"] = nn.utils.clip_grad_norm_(trained, recipe.optim.clip_grad)
    parts.optimizer.step()

    # The teacher follows.
    if student_teacher and section:
        student_teacher.centering.move()
        if (step + 1) % section.ema_every == 0:
            momentum = cosine(step, parts.updates, section.ema_start, section.ema_end)
            student_teacher.update_teacher(momentum)
    total["lr"] = torch.tensor(current_rate(parts.optimizer.param_groups))
    return total


def _corrupted(parts: Parts, views: list[Tensor], rng: BatchRng) -> list[Tensor]:
    """What was drawn for each view: masks, or spoiled images."""
    if isinstance(parts.inner, StudentTeacher):
        assert isinstance(parts.corruption, FrequencyFilter)
        u, v = views
        return [*parts.corruption.draw_pair(u, v, rng)]
    (view,) = views
    return [parts.corruption(view, rng)]


def _removed(
    parts: Parts, views: list[Tensor], seen: list[Tensor], world: World, num_slices: int
) -> list[Any]:
    """What each part's loss is divided by, so that the cuts of the batch do not show.

    Only masks that remove differently much from each image make a difference, and only where the
    batch is cut.
    """
    is_cut = world.size > 1 or num_slices > 1
    if not is_cut or not isinstance(parts.corruption, FrequencyFilter):
        return []
    counts = [removed_count(keep, view.shape[-1]) for keep, view in zip(seen, views, strict=True)]
    shares = world.sum(torch.stack(counts)) / (world.size * num_slices)
    return [tuple(shares)] if len(counts) > 1 else [shares[0]]


def _train(
    recipe: PretrainRecipe,
    inner: FrequencyModel,
    data: PreparedData,
    work: Path,
    seed: int,
    identity: str,
    world: World,
    live: Live,
) -> dict[str, float]:
    assert recipe.method is not None
    assert recipe.optim is not None
    optim = recipe.optim
    splits = [name for name in ("train", "unlabeled") if data.counts.get(name)]
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
    parts = build_parts(recipe, inner, world, updates_per_epoch)
    history = train_on(
        images,
        lambda step, batch: pretrain_update(parts, recipe, world, seed, step, batch),
        parts={"model": inner, "optimizer": parts.optimizer},
        updates=parts.updates,
        updates_per_epoch=updates_per_epoch,
        batch=optim.batch,
        runtime=recipe.runtime,
        work=work,
        seed=seed,
        identity=identity,
        world=world,
        live=live,
    )
    inner.cpu().eval()
    last = history.lines[-1] if history.lines else {}
    final = {name: value for name, value in last.items() if name.startswith("loss")}
    return {
        **final,
        "updates": float(parts.updates),
        "epochs": float(optim.epochs),
        "images": float(len(images)),
    }


def _is_trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
