"""The loop resumes exactly, stops honestly, and never mistakes another training for its own."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from folk.evidence.core.errors import InputError
from folk.training.checkpoint import load_checkpoint, save_checkpoint
from folk.training.distributed import World
from folk.training.history import read_history
from folk.training.loop import NonFiniteLossError, Plan, StoppedError, train
from folk.training.randomness import derived_seed, seed_all
from tests.faults.table import fault

WORLD = World(0, 1, torch.device("cpu"))


class Toy:
    """A training small enough to be repeated many times."""

    def __init__(self, work: Path, identity: str = "a", die_at: int | None = None) -> None:
        seed_all(0, "weights")
        self.model = nn.Linear(4, 1)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        self.die_at = die_at
        self.made: list[int] = []
        self.plan = Plan(work, identity, 12, 4, 2, 0.0, lambda _step, _values: None)

    def batches(self, start: int) -> Iterator[Tensor]:
        for step in range(start, 99):  # more than are wanted, as epochs give them
            generator = torch.Generator().manual_seed(derived_seed(0, "batch", step))
            yield torch.randn(8, 4, generator=generator)

    def update(self, step: int, batch: Tensor) -> dict[str, Tensor]:
        if step == self.die_at:
            raise KeyboardInterrupt
        seed_all(0, "update", step)
        self.made.append(step)
        noise = torch.randn(8, 1)
        loss = (self.model(batch) - batch.sum(dim=1, keepdim=True) - noise).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def run(self):
        parts = {"model": self.model, "optimizer": self.optimizer}
        measure = lambda epoch: {"measured": float(epoch)}  # noqa: E731
        return train(self.plan, WORLD, parts, self.batches, self.update, measure)


@fault(
    "Processes",
    "a training that is cut off at any update",
    "the next start goes on from the checkpoint and ends with the same weights, to the bit",
    lost="what came after the last checkpoint",
)
@pytest.mark.parametrize("die_at", [1, 4, 5, 11])
def test_an_interrupted_training_ends_as_the_uninterrupted_one(tmp_path, die_at):
    whole = Toy(tmp_path / "whole")
    history = whole.run()
    with pytest.raises(KeyboardInterrupt):
        Toy(tmp_path / "cut", die_at=die_at).run()
    resumed = Toy(tmp_path / "cut")
    resumed_history = resumed.run()

    assert resumed.made[0] == die_at  # nothing is done twice with a checkpoint at every update
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    strip = lambda line: {k: v for k, v in line.items() if k in ("step", "loss", "measured")}  # noqa: E731
    assert [strip(x) for x in resumed_history.lines] == [strip(x) for x in history.lines]


def test_a_checkpoint_of_another_training_is_not_continued(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Toy(tmp_path, identity="a", die_at=6).run()
    other = Toy(tmp_path, identity="b")
    other.run()

    assert other.made == list(range(12))


@fault(
    "Numbers",
    "a loss that is NaN",
    "refused, by update and epoch; the last good checkpoint stands; the next start ends at once",
    lost="the updates after the last checkpoint",
)
def test_a_loss_that_is_not_finite_stops_and_names_the_update(tmp_path):
    toy = Toy(tmp_path)
    real = toy.update

    def update(step: int, batch: Tensor) -> dict[str, Tensor]:
        scalars = real(step, batch)
        return {"loss": scalars["loss"] * (float("nan") if step >= 5 else 1.0)}

    toy.update = update  # type: ignore[method-assign]
    message = r"loss of update 6 \(epoch 2\) is not finite; .*checkpoint\.pt \(update 5\)"
    with pytest.raises(NonFiniteLossError, match=message):
        toy.run()
    again = Toy(tmp_path)
    with pytest.raises(NonFiniteLossError, match=r"diverged\.json: an earlier start .*update 6 "):
        again.run()
    other = Toy(tmp_path, identity="b")  # another recipe, say
    other.run()

    assert again.made == []
    assert other.made == list(range(12))


def test_a_training_goes_on_from_its_checkpoint_when_the_note_of_its_end_is_removed(tmp_path):
    (tmp_path / "diverged.json").write_text("half a no")  # not what we write
    toy = Spoilt(tmp_path, spoilt_at=5)
    with pytest.raises(NonFiniteLossError):
        toy.run()
    (tmp_path / "diverged.json").unlink()
    whole, resumed = Toy(tmp_path / "whole"), Toy(tmp_path)
    whole.run()
    resumed.run()

    assert resumed.made[0] == 5
    assert torch.equal(whole.model.weight, resumed.model.weight)


class Spoilt(Toy):
    """One update has an infinite gradient, though its loss is finite."""

    def __init__(self, work: Path, spoilt_at: int) -> None:
        super().__init__(work)
        step = self.optimizer.step

        def spoilt() -> None:
            if self.made[-1] == spoilt_at:
                self.model.weight.grad.fill_(float("inf"))
            step()

        self.optimizer.step = spoilt  # type: ignore[method-assign]


@fault(
    "Numbers",
    "a gradient that is infinite although the loss is finite, in the last update too",
    "refused before the spoilt weights become the checkpoint or the result",
    lost="the updates after the last checkpoint",
)
@pytest.mark.parametrize("spoilt_at", [5, 11])
def test_weights_that_are_not_finite_are_neither_checkpointed_nor_kept(tmp_path, spoilt_at):
    message = rf"model\.weight after update {spoilt_at + 1} .*\(update {spoilt_at}\)"
    with pytest.raises(NonFiniteLossError, match=message):
        Spoilt(tmp_path, spoilt_at).run()

    update, state = load_checkpoint(tmp_path / "checkpoint.pt", "a") or (0, {})
    assert update == spoilt_at
    assert state["model"]["weight"].isfinite().all()


@fault(
    "Numbers",
    "a norm of the gradient that is infinite",
    "refused, by the update where it was",
    lost="the updates after the last checkpoint",
)
def test_a_gradient_that_is_not_finite_stops_and_names_the_update(tmp_path):
    toy = Toy(tmp_path)
    real = toy.update

    def update(step: int, batch: Tensor) -> dict[str, Tensor]:
        norm = torch.tensor(float("inf") if step == 2 else 1.0)
        return real(step, batch) | {"grad_norm": norm}

    toy.update = update  # type: ignore[method-assign]
    with pytest.raises(NonFiniteLossError, match=r"gradient of update 3 \(epoch 1\)"):
        toy.run()


@fault(
    "Processes",
    "SIGTERM in the middle of a training",
    "it saves a checkpoint and ends with status 75; the next start goes on from there",
)
def test_a_signal_saves_and_asks_to_come_again(tmp_path):
    toy = Toy(tmp_path)
    real = toy.update

    def update(step: int, batch: Tensor) -> dict[str, Tensor]:
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(step, batch)

    toy.update = update  # type: ignore[method-assign]
    with pytest.raises(StoppedError) as stopped:
        toy.run()
    resumed = Toy(tmp_path)
    resumed.run()

    assert stopped.value.code == 75
    assert resumed.made[0] == 7


@fault(
    "Processes",
    "Ctrl-C in the middle of a training",
    "it saves a checkpoint and ends with status 75; the next start goes on from there",
)
def test_ctrl_c_saves_and_a_second_one_does_not_wait(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    for times, ended, goes_on_at in ((1, StoppedError, 7), (2, KeyboardInterrupt, 6)):
        toy = Toy(tmp_path / str(times))
        real = toy.update

        def update(step: int, batch: Tensor, times: int = times, real=real) -> dict[str, Tensor]:
            if step == 6:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
            return real(step, batch)

        toy.update = update  # type: ignore[method-assign]
        with pytest.raises(ended):
            toy.run()
        resumed = Toy(tmp_path / str(times))
        resumed.run()
        assert resumed.made[0] == goes_on_at
        assert signal.getsignal(signal.SIGINT) is before


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "a", 3, {"x": torch.ones(2)})
    assert load_checkpoint(path, "a")[0] == 3
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(InputError, match=r"checkpoint\.pt: damaged"):
        load_checkpoint(path, "a")


@fault(
    "Processes",
    "a kill in the middle of a line of metrics.jsonl",
    "the half line is dropped",
    lost="that line, if no checkpoint came after it",
)
def test_a_half_written_line_of_the_history_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": 2.0}) + '\n{"step": 2, "lo')

    assert read_history(path) == [{"step": 1, "loss": 2.0}]
