"""A training that is not what its log says is found at the stated rate, and an honest one never."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from folk.evidence.audit.chain import Job
from folk.evidence.audit.replay import Draw, judged, problem_of_log, tensor_digests
from folk.evidence.core.digest import sha256_of
from folk.evidence.core.errors import InputError
from folk.evidence.core.replay_log import ANSWER, LOG, REQUEST, STATES, Cadence, link, read_log
from folk.training import replay as replaying
from folk.training.loop import Plan
from folk.training.optimizer import create_optimizer
from tests.faults.table import fault
from tests.training.test_loop import WORLD, Toy

UPDATES, CADENCE = 20, Cadence(every=1, keep=10)
SEGMENTS = CADENCE.segments(UPDATES)  # ten of two updates


class Logged(Toy):
    """A toy training with a log; at one update, it may do what its recipe does not say."""

    def __init__(
        self, work: Path, at: int = -1, fraud: str = "", optimizer: str = "adamw", **changes: Any
    ) -> None:
        super().__init__(work, **changes)
        groups = [{"params": [weight]} for weight in self.model.parameters()]
        self.optimizer = create_optimizer(optimizer, groups, lr=0.1, betas=(0.9, 0.999), eps=1e-8)
        work.mkdir(exist_ok=True)
        live = lambda _step, _values: None  # noqa: E731
        self.plan = Plan(work, "a", UPDATES, 5, UPDATES, 0.0, live, CADENCE)
        self.at, self.fraud = at, fraud

    def batches(self, start: int) -> Iterator[Tensor]:
        for step, batch in enumerate(super().batches(start), start=start):
            yield batch + 0.01 if step == self.at and self.fraud == "other data" else batch

    def update(self, step: int, batch: Tensor) -> dict[str, Tensor]:
        fraud = self.fraud if step == self.at else ""
        if fraud == "a skipped update":
            return {"loss": torch.zeros(())}
        rate = self.optimizer.param_groups[0]["lr"]
        if fraud == "another rate":
            self.optimizer.param_groups[0]["lr"] = 0.99 * rate
        scalars = super().update(step, batch)
        self.optimizer.param_groups[0]["lr"] = rate
        if fraud == "an exchanged state":  # and the training went on from it
            with torch.no_grad():
                self.model.weight[0, 0] = torch.nextafter(self.model.weight[0, 0], torch.ones(()))
        return scalars


ONE_SEGMENT = ["a skipped update", "another rate", "other data", "an exchanged state"]


def replayed(work: Path, states: Path, segment: tuple[int, int], **changes: Any) -> Any:
    """Answer an audit's request with the honest training, or one that has `changes`."""
    work.mkdir(exist_ok=True)
    request = {"states": str(states), "stretch": segment, "steps": CADENCE.steps(UPDATES)}
    (work / REQUEST).write_text(json.dumps(request))
    with pytest.raises(SystemExit):
        Logged(work, **changes).run()
    return json.loads((work / ANSWER).read_text())


def sealed(work: Path) -> Job:
    """Make the record of a training, as far as the audit reads it here."""
    files = [work / LOG, *(work / STATES).iterdir()]
    outputs = [
        {"name": f.relative_to(work).as_posix(), "path": f.as_posix(), "sha256": sha256_of(f)}
        for f in files
    ]
    runtime = {"replay": {"every": CADENCE.every, "keep": CADENCE.keep}}
    record = {"recipe": {"runtime": runtime}, "metrics": {}, "outputs": outputs}
    return Job(work / "record.json", record)


@dataclass
class Audited:
    """What the audit finds in a training, and in each of its segments."""

    problem: str | None
    found: dict[tuple[int, int], tuple[str, str]]  # word and sentence

    @property
    def accused(self) -> list[tuple[int, int]]:
        return [segment for segment, (word, _) in self.found.items() if word != "ok"]

    def is_accused(self, segments: int, seed: int) -> bool:
        drawn = Draw((), segments, seed).of(SEGMENTS)
        return self.problem is not None or bool({*drawn} & {*self.accused})


def audited(work: Path, again: Path, **changes: Any) -> Audited:
    lines, states = read_log(work / LOG), work / STATES
    found = {
        segment: judged(lines, segment, replayed(again, states, segment, **changes), moved=False)
        for segment in SEGMENTS
    }
    return Audited(problem_of_log(sealed(work), lines), found)


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    """Every fraud at one update of every segment, audited whole."""
    folder, found = tmp_path_factory.mktemp("frauds"), {}
    for fraud in ONE_SEGMENT:
        for place, (start, end) in enumerate(SEGMENTS):
            work = folder / f"{fraud} {place}"
            # The last update of a segment leaves the logged state of its end to be exchanged.
            Logged(work, at=end - 1 if place % 2 else start, fraud=fraud).run()
            found[fraud, place] = audited(work, folder / f"again {fraud} {place}")
    return found


@fault(
    "Hostile input",
    "a training that skipped updates, or had another rate, other data or an exchanged checkpoint "
    "in one of the stretches between its kept states",
    "accused when `verify --replay` draws that stretch: segments drawn / segments kept",
)
@pytest.mark.parametrize("drawn", [1, 3, 8])
def test_a_fraud_in_one_segment_is_caught_with_the_stated_probability(trainings, drawn):
    rng, trials = random.Random(drawn), 400
    caught = 0
    for seed in range(trials):
        training = trainings[rng.choice(ONE_SEGMENT), rng.randrange(len(SEGMENTS))]
        caught += training.is_accused(drawn, seed)
    stated = drawn / len(SEGMENTS)

    assert abs(caught / trials - stated) < 3 * (stated * (1 - stated) / trials) ** 0.5


@pytest.mark.parametrize("fraud", ONE_SEGMENT)
def test_the_segment_of_a_fraud_is_accused_and_no_other(trainings, fraud):
    for place, segment in enumerate(SEGMENTS):
        training = trainings[fraud, place]
        assert training.problem is None, "its log is consistent: only a replay can tell"
        assert training.accused == [segment]


@pytest.mark.parametrize("bad", [2, 5])
def test_frauds_in_several_segments_are_caught_as_combinations_say(trainings, bad):
    rng, trials, drawn = random.Random(bad), 400, 3
    caught = 0
    for seed in range(trials):
        places = rng.sample(range(len(SEGMENTS)), bad)
        caught += any(trainings[ONE_SEGMENT[0], p].is_accused(drawn, seed) for p in places)
    stated = 1 - comb(len(SEGMENTS) - bad, drawn) / comb(len(SEGMENTS), drawn)

    assert abs(caught / trials - stated) < 3 * (stated * (1 - stated) / trials) ** 0.5


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    work = tmp_path_factory.mktemp("honest") / "work"
    Logged(work).run()
    return work


@pytest.mark.parametrize("optimizer", ["adamw", "lamb", "sgd"])
def test_an_honest_training_is_never_accused(tmp_path, optimizer):
    Logged(tmp_path / "work", optimizer=optimizer).run()
    found = audited(tmp_path / "work", tmp_path / "again", optimizer=optimizer)

    assert found.problem is None
    assert {says for _, says in found.found.values()} == {"the same bit by bit"}


def as_files(work: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in [work / LOG, *(work / STATES).iterdir()]}


@pytest.mark.parametrize("die_at", [1, 4, 7, 19])
def test_a_killed_and_resumed_training_leaves_the_same_log_and_states(honest, tmp_path, die_at):
    with pytest.raises(KeyboardInterrupt):
        Logged(tmp_path, die_at=die_at).run()
    with (tmp_path / LOG).open("a") as file:  # lines after the checkpoint, one cut by the kill
        file.write(json.dumps({"step": die_at + 1, "state": "", "on": {}, "before": ""}) + "\n")
        file.write('{"step": 1')
    (tmp_path / STATES / f"{UPDATES}.safetensors").write_text("of an earlier start")
    Logged(tmp_path).run()

    assert as_files(tmp_path) == as_files(honest)


def other_machine(**changes: Any) -> Callable[[Any], dict[str, Any]]:
    mine = replaying.machine(WORLD)
    return lambda _world: mine | changes


class OtherSums(Logged):
    """The last bits of each update are another machine's."""

    def update(self, step: int, batch: Tensor) -> dict[str, Tensor]:
        scalars = super().update(step, batch)
        with torch.no_grad():
            self.model.weight *= 1 + 1e-6
        return scalars


@pytest.mark.parametrize("changes", [{"processes": 4}, {"threads": 64}, {"repeatable": False}])
def test_a_training_that_went_on_elsewhere_is_compared_within_the_tolerance(
    tmp_path, monkeypatch, changes
):
    work = tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        Logged(work, die_at=7).run()
    with monkeypatch.context() as patch:
        patch.setattr(replaying, "machine", other_machine(**changes))
        OtherSums(work).run()
    found = audited(work, tmp_path / "again")
    steps = [line["step"] for line in read_log(work / LOG)]

    assert (found.problem, found.accused) == (None, [])
    assert steps.count(7) == 2, "the change of machine has its line"
    says = [says for _, says in found.found.values()]
    assert ["bit by bit" in one for one in says] == [True] * 3 + [False] * 7


def test_the_same_machine_has_no_tolerance(tmp_path):
    OtherSums(tmp_path / "work").run()

    assert audited(tmp_path / "work", tmp_path / "again").accused == SEGMENTS


def test_another_machine_does_not_excuse_a_skipped_update(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(replaying, "machine", other_machine(threads=64))
        Logged(tmp_path / "work", at=4, fraud="a skipped update").run()

    assert audited(tmp_path / "work", tmp_path / "again").accused == [(4, 6)]


def test_changed_code_makes_a_difference_stale(tmp_path):
    OtherSums(tmp_path / "work").run()
    lines = read_log(tmp_path / "work" / LOG)
    answer = replayed(tmp_path / "again", tmp_path / "work" / STATES, SEGMENTS[0])

    assert judged(lines, SEGMENTS[0], answer, moved=True)[0] == "stale"


def test_other_initial_weights_are_accused_whatever_is_drawn(tmp_path):
    training = Logged(tmp_path / "work")
    torch.nn.init.normal_(training.model.weight)
    training.run()

    assert audited(tmp_path / "work", tmp_path / "again").accused == SEGMENTS


def test_every_segment_of_a_made_up_log_is_accused(copy, tmp_path):
    made_up(copy)
    found = audited(copy, tmp_path / "again")

    assert found.problem is None, "its states and lines agree"
    assert found.accused == SEGMENTS


@pytest.mark.parametrize("other", ["recipe", "data"])
def test_every_segment_of_a_training_with_another_recipe_or_data_is_accused(tmp_path, other):
    training = Logged(tmp_path / "work")
    real, settings = training.batches, training.optimizer.param_groups[0]
    if other == "data":
        training.batches = lambda start: (b + 0.01 for b in real(start))  # type: ignore[method-assign]
    else:  # from the second update on, so that the initial state is that of the recipe
        update = training.update

        def with_more_decay(step: int, batch: Tensor) -> dict[str, Tensor]:
            settings["weight_decay"] = 0.02 if step else 0.01
            return update(step, batch)

        training.update = with_more_decay  # type: ignore[method-assign]
    training.run()

    assert audited(tmp_path / "work", tmp_path / "again").accused == SEGMENTS


def made_up(work: Path) -> None:
    """Write random states and a log that fits them."""
    for path in (work / STATES).iterdir():
        with torch.no_grad():
            tensors = load_file(path)
            outline = header_of(path)["__metadata__"]
        save_file({k: torch.rand_like(v) for k, v in tensors.items()}, path, outline)
    forge(work, {int(p.stem): sha256_of(p) for p in (work / STATES).iterdir()})


def header_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    header: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header


def forge(work: Path, states: dict[int, str]) -> None:
    """Give lines of a log other states, and chain them anew."""
    before, texts = "", []
    for line in read_log(work / LOG):
        line |= {"state": states.get(line["step"], line["state"]), "before": before}
        texts.append(json.dumps(line))
        before = link(texts[-1])
    (work / LOG).write_text("".join(f"{text}\n" for text in texts))


@pytest.fixture
def copy(honest, tmp_path):
    return Path(shutil.copytree(honest, tmp_path / "copy"))


def test_a_kept_state_that_was_exchanged_is_not_the_log_s(copy):
    shutil.copy(copy / STATES / "4.safetensors", copy / STATES / "6.safetensors")

    problem = problem_of_log(sealed(copy), read_log(copy / LOG))
    assert "after update 6" in str(problem)


@pytest.mark.parametrize("lost", [0, 3, UPDATES])
def test_a_log_that_lacks_a_line_is_not_that_of_its_recipe(copy, lost):
    texts, before = [], ""
    for line in read_log(copy / LOG):
        if line["step"] != lost:
            texts.append(json.dumps(line | {"before": before}))
            before = link(texts[-1])
    (copy / LOG).write_text("\n".join(texts))
    job = sealed(copy)
    job.record["metrics"]["updates"] = UPDATES

    assert problem_of_log(job, read_log(copy / LOG)) is not None


def test_an_edited_line_breaks_the_chain(copy):
    lines = (copy / LOG).read_text().splitlines()
    lines[5] = lines[5].replace(json.loads(lines[5])["state"], "0" * 64)
    (copy / LOG).write_text("\n".join(lines))

    with pytest.raises(InputError, match=r"replay\.jsonl:7: the chain is broken before update 6"):
        read_log(copy / LOG)


def test_a_shorter_training_than_recipe_and_data_make_is_accused(copy, tmp_path):
    answer = replayed(tmp_path / "again", copy / STATES, SEGMENTS[0]) | {"updates": 21}

    word, says = judged(read_log(copy / LOG), SEGMENTS[0], answer, moved=False)
    assert (word, "21 updates" in says) == ("tampered", True)


def test_a_log_cannot_begin_within_a_training(tmp_path):
    first = Logged(tmp_path, die_at=5)
    first.plan = replace(first.plan, replay=None)
    with pytest.raises(KeyboardInterrupt):
        first.run()

    with pytest.raises(InputError, match=r"runtime\.replay cannot change within a training"):
        Logged(tmp_path).run()


def test_the_digest_of_a_state_is_that_of_its_file(honest):
    for line in read_log(honest / LOG):
        path = honest / STATES / f"{line['step']}.safetensors"
        assert not path.is_file() or sha256_of(path) == line["state"]
    assert sorted(int(p.stem) for p in (honest / STATES).iterdir()) == [e for _, e in SEGMENTS]


def test_tensors_are_compared_without_torch(honest):
    path = honest / STATES / f"{UPDATES}.safetensors"
    digests = tensor_digests(path)

    assert digests.keys() == load_file(path).keys()
    assert tensor_digests(honest / LOG) == {}


@pytest.mark.parametrize(
    ("every", "keep", "updates", "kept"),
    [
        (10, 3, 95, [30, 60, 95]),
        (10, 99, 25, [10, 20, 25]),
        (100, 3, 25, [25]),
        (5, 1, 20, [20]),
    ],
)
def test_kept_states_are_spread_evenly_and_end_with_the_last(every, keep, updates, kept):
    assert Cadence(every=every, keep=keep).kept(updates) == kept
