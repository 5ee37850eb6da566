"""Pre-training and fine-tuning can be audited by replays, in one process and in several."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from folk.evidence.audit.checks.files import check_files
from folk.evidence.audit.replay import Draw, check_logs, check_replayed, trainings_of
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import sha256_of
from folk.evidence.core.replay_log import read_log
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES, load_recipe
from folk.stages.tasks.pretrain import state_size
from tests.toy import DEMO, RESULTS, edit, folk, prepare_scenes

ROOT = Path(__file__).parents[2]
STUDY = DEMO + "evaluations: {full: {stage: finetune, recipe: demo-full, data: scenes}}\n"
SHORT = {
    "optim.epochs": 2, "optim.batch": 4, "optim.warmup_epochs": 0.5, "runtime.workers": 0,
    "runtime.replay.every": 2, "runtime.replay.keep": 3,
}  # fmt: skip
DATA = RESULTS / "prepare/scenes/dataset.json"
RUN, EVALUATION = RESULTS / "pretrain/folk-s0", RESULTS / "finetune/folk-s0/full"


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Path("config").mkdir()
    Path("config/demo.yaml").write_text(STUDY)
    assert prepare_scenes(DATA.parent).returncode == 0


def command(stage: str, recipe: str, out: Path, *more: object) -> list[str]:
    settings = SHORT | ({"runtime.knn_every": 0} if stage == "pretrain" else {})
    words = [w for key, value in settings.items() for w in ("--set", f"{key}={json.dumps(value)}")]
    given = ["--recipe", ROOT / f"config/recipes/{stage}/{recipe}.yaml", "--dataset", DATA]
    place = ["--out", out, "--work", RESULTS / "work" / out.relative_to(RESULTS)]
    named = ["--name", "folk-s0", "--seed", "0", "--study", "demo"]
    return [stage, *map(str, [*given, *place, *named, *more, *words])]


def findings(*trainings: str, segments: int = 1) -> list[tuple[str, str]]:
    study = Path("config/demo.yaml")
    subject = Subject(load_study(study, STAGES), study, RESULTS, Path("config/published"), {})
    draw = Draw(trainings, segments, 0)
    jobs = trainings_of(subject, draw)
    found = [*check_logs(subject, check_files(subject, None))]
    found += check_replayed(subject, jobs, draw, moved=False)
    return [(finding.word, finding.says) for finding in found]


def test_a_run_and_its_fine_tuning_replay_bit_by_bit(scenes):
    assert folk(*command("pretrain", "demo-folk", RUN)).returncode == 0
    more = ["--encoder", RUN / "encoder.safetensors", "--evaluation", "full"]
    assert folk(*command("finetune", "demo-full", EVALUATION, *more)).returncode == 0

    found = findings("folk-s0", "folk-s0/full", segments=2)
    assert [word for word, _ in found] == ["ok"] * 4, found
    assert all("the same bit by bit" in says for _, says in found)
    assert ["1 of 2 drawn of 3" in says for _, says in found] == [True, False] * 2
    recipe = load_recipe("pretrain", ROOT / "config/recipes/pretrain/demo-folk.yaml", {})
    on_disk = (RUN / "replay/10.safetensors").stat().st_size
    assert on_disk == pytest.approx(state_size(recipe), rel=0.01), "as `folk plan` has it"
    # What is stored belongs to the training: another encoder, with a record that agrees, does not.
    encoder = RUN / "encoder.safetensors"
    encoder.write_bytes(encoder.read_bytes()[:-1] + b"\0")
    entry = {"sha256": sha256_of(encoder)}
    edit(RUN / "record.json", lambda record: record["outputs"][0].update(entry), new_id=True)
    assert ("tampered", f"{encoder} is not in the training's last state") in findings("folk-s0")
    # A recipe that was not the one of the training does not lead to its states.
    edit(RUN / "record.json", lambda r: r["recipe"]["optim"].update(weight_decay=0.2), new_id=True)
    assert {word for word, _ in findings("folk-s0")} == {"tampered"}


@pytest.mark.slow
def test_a_run_of_two_processes_is_replayed_by_two(scenes):
    torchrun = ["-m", "folk.training.torchrun", "--standalone", "--local-addr", "127.0.0.1"]
    arguments = [*torchrun, "--nproc-per-node", "2", "-m", "folk"]
    arguments += command("pretrain", "demo-mfm", RUN)
    subprocess.run([sys.executable, *arguments], check=True)

    assert read_log(RUN / "replay.jsonl")[0]["on"]["processes"] == 2
    ((word, says),) = findings("folk-s0")
    assert (word, "the same bit by bit" in says) == ("ok", True), says
