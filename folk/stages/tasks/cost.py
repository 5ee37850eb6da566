"""Cost of a method: parameters, FLOPs, memory and time, without training."""

import statistics

import torch
from torch import nn

from folk.data.repeated import LEARNED
from folk.data.shards import PreparedData
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_json
from folk.evidence.core.yaml_model import parsed_settings
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.models.encoder import check_size, create_encoder
from folk.stages.cost import CostRecipe, CostStep
from folk.stages.images import whole_batches
from folk.stages.pretrain import PretrainRecipe
from folk.stages.recipes.load import load_typed, recipe_digest
from folk.stages.task import Task
from folk.stages.tasks.pretrain import build_method, build_parts, pretrain_update
from folk.training.distributed import World, set_numerics
from folk.training.history import History
from folk.training.meter import PeakMemory, count_flops, seconds_of
from folk.training.randomness import derived_seed, seed_all


def cost(task: Task[CostRecipe]) -> dict[str, float]:
    """Measure an encoder's forward pass and whole pre-training steps, on random images.

    A step is all of pre-training's work between two batches: filter, student, teacher, losses,
    gradients, optimizer. Reading and augmenting images is excluded; of the data set only its number
    of images is read. cost.json has the meaning of each number, metrics.jsonl each timed update.
    Several seeds are several measurements of one thing.

    Returns:
        `parameters` and `forward_gflops` of the encoder (an image); for the step, where the recipe
        asks for it, `step_parameters` (trained), `step_gflops` (an image), and of this machine
        `peak_memory_mib` at `batch` images, `seconds_per_update`, `images_per_second`,
        `seconds_per_epoch` and `hours_total` for the row's whole length on one such device.
        `on_gpu` is 1 or 0.

    Raises:
        InputError: the recipe measures a step, and the row is not pre-trained.
    """
    world, step, on_gpu = task.world, task.recipe.step, task.world.device.type == "cuda"
    assert world.size == 1, "costs are measured in one process"
    settings = parsed_settings(task.given["pretrain-set"], "--pretrain-set")
    row = load_typed(PretrainRecipe, task.file("pretrain-recipe"), settings)
    seed_all(task.seed, "cost")
    memory = PeakMemory(world.device)
    encoder = create_encoder(row.encoder.timm_name, row.encoder.timm_args)
    check_size(encoder, row.views.size, "views.size")
    metrics = {
        "parameters": float(sum(p.numel() for p in encoder.parameters())),
        "on_gpu": float(on_gpu),
    }
    history = History(task.work / "metrics.jsonl", 0)
    if step is not None:
        if row.method is None:
            raise InputError(
                f"cost of '{task.name}': the row is not pre-trained and has no step to measure; "
                "list the other rows in the evaluation's 'encoders', or set 'step: null'"
            )
        metrics |= _step(task, step, row, encoder, memory, history)
    metrics["forward_gflops"] = _forward_flops(encoder, row.views.size, world) / 1e9
    history.close()
    write_json(
        task.work / "cost.json",
        {
            "device": torch.cuda.get_device_name(world.device) if on_gpu else "CPU, see the record",
            "pretrain_recipe_digest": recipe_digest(row),
            "memory": memory.kind,
            "flops": "matrix products and convolutions, a multiply-add is two; a GFLOP is 1e9",
            "step": "on random images; reading and augmenting are not measured",
            "of_one_machine": sorted(OF_ONE_MACHINE & metrics.keys()),
        },
    )
    return metrics


def _forward_flops(encoder: nn.Module, size: int, world: World) -> int:
    encoder.to(world.device).eval()
    image = torch.rand(1, 3, size, size, device=world.device)
    with torch.no_grad():
        return count_flops(lambda: encoder(image))


def _step(
    task: Task[CostRecipe],
    section: CostStep,
    row: PretrainRecipe,
    encoder: nn.Module,
    memory: PeakMemory,
    history: History,
) -> dict[str, float]:
    assert row.method is not None
    assert row.optim is not None
    world, data = task.world, PreparedData.open(task.folder("dataset"))
    images = sum(data.counts.get(split, 0) for split in LEARNED)
    updates_per_epoch = whole_batches(images, row.optim.batch, f"{data.folder}: images")
    method = build_method(row.method, encoder)
    set_numerics(world.device.type == "cuda", row.runtime.deterministic)
    parts = build_parts(row, method, world, updates_per_epoch)
    draw = torch.Generator().manual_seed(derived_seed(task.seed, "images"))
    shape = (section.batch, 3, row.views.size, row.views.size)
    views = row.method.num_views * (2 if row.method.has_spatial_views else 1)
    batch = {
        "image": [
            torch.randint(256, shape, dtype=torch.uint8, generator=draw) for _ in range(views)
        ]
    }

    def update(step: int) -> None:
        pretrain_update(parts, row, world, task.seed, step % parts.updates, batch)

    for step in range(section.warmup):
        update(step)
    timed = []
    for step in range(section.warmup, section.warmup + section.updates):
        timed.append(seconds_of(lambda step=step: update(step), world.device))  # type: ignore[misc]
        values = {"seconds": timed[-1]}
        history.add(step + 1, (step + 1) / updates_per_epoch, values)
        task.live(step + 1, values)
    peak = memory.bytes()
    # After the clock and the memory, because the counter disturbs both.
    flops = count_flops(lambda: update(section.warmup + section.updates))
    # The median: now and then another process takes the machine for a moment.
    seconds = statistics.median(timed)
    a_image = seconds / section.batch
    per_epoch = a_image * updates_per_epoch * row.optim.batch
    trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
    return {
        "batch": float(section.batch),
        "step_parameters": float(trained),
        "step_gflops": flops / section.batch / 1e9,
        "peak_memory_mib": peak / 2**20,
        "seconds_per_update": seconds,
        "images_per_second": 1.0 / a_image,
        "seconds_per_epoch": per_epoch,
        "hours_total": per_epoch * row.optim.epochs / 3600.0,
    }
