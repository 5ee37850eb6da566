"""What is wrong with a site file is told before a job is submitted, a line for each problem."""

import dataclasses
import string
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_executor_plugin_slurm.utils import set_gres_string
from typer.testing import CliRunner

from folk.cli.app import app
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import load_study
from folk.slurm.ask import Ask, ask_of, submitted_stages
from folk.slurm.check import site_problems
from folk.slurm.duration import parse_minutes, spell_minutes
from folk.slurm.queues import ask_slurm, read_gpus, read_partitions, sbatch_options
from folk.slurm.site import EXAMPLE, GpuQueue, Site, load_site
from folk.stages.table import STAGES
from tests.slurm.driver import run_driver
from tests.slurm.fake_slurm import ENFORCED, NO_ACCOUNTING, SINFO, FakeSlurm
from tests.slurm.lab import Lab
from tests.workflow.conftest import Copy, copy_repository

PREPARE = Ask("prepare", nodes=1, gpus=0, cpus=16, mem_mb=16000, runtime=720)
PRETRAIN = Ask("pretrain", 1, gpus=8, cpus=96, mem_mb=500000, runtime=10080, continues=True)
COST = Ask("cost", nodes=1, gpus=1, cpus=12, mem_mb=64000, runtime=60)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", fake.path)
    return fake


@pytest.fixture
def write(tmp_path: Path):
    def site(text: str):
        path = tmp_path / "cluster.yaml"
        path.write_text(text, encoding="utf-8")
        return load_site(path)

    return site


def said(file, *asks: Ask) -> list[str]:
    """The problems without the folder of the test."""
    return [line.rpartition("/")[2] for line in site_problems(file, asks, ask_slurm())]


GOOD = """\
account: vision
cpu: {partition: cpu}
gpu: {partition: gpu, gpu_model: a100, longest_runtime: 1-00:00:00}
"""


def test_a_good_site_has_nothing_to_mend(slurm: FakeSlurm, write):
    assert said(write(GOOD), PREPARE, PRETRAIN, COST) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "account: vision",
            "account: visio",
            "cluster.yaml:1: account: unknown account 'visio'; did you mean 'vision'?",
        ),
        (
            "partition: cpu",
            "partition: cpus",
            "cluster.yaml:2: cpu.partition: unknown partition 'cpus'; did you mean 'cpu'?",
        ),
        (
            "a100",
            "l40s",
            "cluster.yaml:3: gpu.gpu_model: unknown GPU 'l40s' in partition 'gpu';"
            " known: a100, v100",
        ),
        (
            "a100",
            "v100",
            "cluster.yaml:3: gpu.partition: 'pretrain' needs 8 GPUs, 96 CPUs, 500000 MB on one"
            " node, partition 'gpu' has none such (at most 4 GPUs, 96 CPUs, 1000000 MB);"
            " name another, or lower 'resources' of the study",
        ),
        (
            ", longest_runtime: 1-00:00:00",
            "",
            "cluster.yaml:3: gpu.longest_runtime: 'pretrain' needs up to 7-00:00:00, partition"
            " 'gpu' ends jobs after 1-00:00:00; write \"1-00:00:00\" here, and it continues in"
            " another job",
        ),
        (
            "partition: cpu",
            "partition: old",
            "cluster.yaml:2: cpu.partition: partition 'old' is down or takes no jobs; name another",
        ),
    ],
)
def test_a_problem_is_one_line_with_its_place(slurm: FakeSlurm, write, old, new, line):
    assert old in GOOD
    assert said(write(GOOD.replace(old, new)), PREPARE, PRETRAIN, COST) == [line]


def test_a_gpu_model_that_cannot_be_submitted_is_refused_with_its_line(write):
    with pytest.raises(InputError, match=r"cluster.yaml:3: gpu.gpu_model: .*letters, digits"):
        write(GOOD.replace("a100", "nvidia_a100-sxm4-80gb"))


class Resources(dict):
    """Resources of a job, as values by name and as attributes."""

    __getattr__ = dict.get


@given(model=st.text(string.ascii_letters + string.digits + "_.,@+-:/ é", min_size=1, max_size=12))
def test_every_gpu_model_that_a_site_takes_the_executor_takes_too(model):
    try:
        queue = GpuQueue(gpu_model=model)
    except ValueError:
        return
    for gres in (False, True):
        site = Site(gpu=queue.model_copy(update={"gres": gres}))
        given = {"gpu": PRETRAIN.gpus, **site.resources(PRETRAIN)}
        job = SimpleNamespace(resources=Resources(given))
        option = set_gres_string(job).strip()
        assert option == (f"--gres=gpu:{model}:8" if gres else f"--gpus={model}:8")


def test_a_site_without_the_option_gpus_gets_gres_for_each_node(slurm: FakeSlurm, write):
    site = write(GOOD.replace("gpu_model: a100", "gpu_model: a100, gres: true")).site
    nodes = dataclasses.replace(PRETRAIN, nodes=2)

    assert site.resources(nodes) | {"runtime": 0} == {
        "slurm_account": "vision", "slurm_partition": "gpu", "gres": "gpu:a100:8", "gpu": 0,
        "runtime": 0,
    }  # fmt: skip
    options = sbatch_options(site, nodes)
    assert "--gres=gpu:a100:8" in options
    assert not [option for option in options if option.startswith("--gpus")]


def test_headings_of_clusters_are_no_partitions():
    text = "CLUSTER: victini\ncpu*|cpu|up|1-00:00:00|1-4|4|64|256000|(null)\n\n"

    assert list(read_partitions(text)) == ["cpu"]
    with pytest.raises(InputError, match="SLURM_CLUSTERS: mew, victini; a study runs on one"):
        read_partitions(text + text.replace("victini", "mew"))


def test_all_problems_are_told_at_once(slurm: FakeSlurm, write):
    file = write("account: none\ncpu: {partition: x}\ngpu: {partition: y}\n")
    assert len(said(file, PREPARE, PRETRAIN)) == 3
    assert len(said(file, PREPARE)) == 2  # of what has jobs


def test_a_study_may_not_ask_for_more_nodes_than_a_job_may_have(slurm: FakeSlurm, write):
    several = Ask("pretrain", 6, gpus=8, cpus=96, mem_mb=500000, runtime=60, continues=True)
    (line,) = said(write(GOOD), several)
    assert "on each of 6 nodes, partition 'gpu' has only 4 such" in line


def test_what_cannot_go_on_in_another_job_is_not_cut(slurm: FakeSlurm, write):
    long = Ask("prepare", nodes=1, gpus=0, cpus=1, mem_mb=1000, runtime=5000)
    file = write("cpu: {partition: cpu, longest_runtime: 60}\n")

    assert file.site.runtime(long) == 5000
    (line,) = said(file, long)
    assert "'prepare' needs 3-11:20:00, partition 'cpu' ends jobs after 2-00:00:00" in line
    assert "lower resources.prepare.runtime of the study" in line


def test_no_file_is_well_where_the_defaults_do(slurm: FakeSlurm, tmp_path: Path):
    file = load_site(tmp_path / "none.yaml")
    assert file.site.resources(PREPARE) == {}
    assert said(file, PREPARE) == []

    slurm.says("sacctmgr", "")
    slurm.says("scontrol", ENFORCED)
    first, second = said(file, PREPARE)
    assert first == "cluster.example.yaml and fill it in"
    assert second.endswith("account: missing; SLURM requires an account here")


def test_a_default_account_is_one(slurm: FakeSlurm, write):
    slurm.says("scontrol", ENFORCED)  # and sacctmgr names the user's accounts
    assert said(write("cpu: {partition: cpu}\n"), PREPARE) == []


def test_a_site_without_accounting_is_fine(slurm: FakeSlurm, write):
    slurm.says("sacctmgr", "", NO_ACCOUNTING, 1)
    slurm.says("scontrol", "AccountingStorageEnforce = none\n")
    assert said(write(GOOD.replace("account: vision\n", "")), PREPARE, PRETRAIN) == []


def test_without_a_default_partition_one_must_be_named(slurm: FakeSlurm, write):
    slurm.says("sinfo", SINFO.replace("*", ""))
    (line,) = said(write("account: vision\n"), PREPARE)
    assert line.endswith("SLURM has no default partition; name one; known: cpu, gpu, old")


def test_a_controller_that_is_away_is_said(slurm: FakeSlurm):
    away = "slurm_load_partitions: Unable to contact slurm controller (connect failure)\n"
    slurm.says("sinfo", "", away, 1)
    with pytest.raises(InputError, match=r"does not answer: slurm_load_partitions: Unable"):
        ask_slurm()


def test_no_slurm_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="sinfo: no such command"):
        ask_slurm()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cpu: {partitoin: cpu}", r"cluster.yaml:1: cpu.partitoin: unknown key; did you mean"),
        ("cpu: {extra: --mem=3}", r"cpu.extra: --mem comes from the keys of this file or"),
        ("cpu: {extra: -p x}", r"cpu.extra: -p comes from the keys of this file or"),
        (
            "gpu: {longest_runtime: soon}",
            r"longest_runtime: invalid duration 'soon'; write minutes",
        ),
        ("gpu: {longest_runtime: infinite}", r"longest_runtime: .*valid integer"),
        ("account: a b", r"cluster.yaml:1: account: "),
    ],
)
def test_a_wrong_key_or_value_is_refused(write, text, line):
    with pytest.raises(InputError, match=line):
        write(f"{text}\n")


def test_options_that_nobody_else_writes_may_be_added(write):
    file = write("cpu: {extra: --mail-type=FAIL --exclude=node-1 --open-mode=append}\n")
    assert file.site.resources(PREPARE)["slurm_extra"].startswith("--mail-type")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ("30:00", 30),
        ("8:00:00", 480),
        ("2-12", 3600),
        ("1-00:30", 1470),
        ("2-12:30:59", 3630),
        ("infinite", None),
    ],
)
def test_durations_are_read_as_slurm_writes_them(text, minutes):
    assert parse_minutes(text) == minutes
    assert minutes is None or parse_minutes(spell_minutes(minutes)) == minutes


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", {}),
        ("gpu:2", {"": 2}),
        ("gpu", {"": 1}),
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:A100-SXM4:4(S:0-1),gpu:1g.5gb:7,shard:8", {"a100-sxm4": 4, "1g.5gb": 7}),
        ("nvme:1,gpu:h100:8", {"h100": 8}),
    ],
)
def test_gpus_are_read_as_sinfo_writes_them(gres, gpus):
    assert read_gpus(gres) == gpus


def test_the_example_is_a_site_file_and_fits_the_paper_study():
    file = load_site(EXAMPLE)
    study = load_study(Path("config/paper.yaml"), STAGES)
    asks = {stage: ask_of(study, stage) for stage in submitted_stages(study)}

    assert file.site.resources(asks["pretrain"]) == {
        "slurm_account": "my-project",
        "slurm_partition": "gpu",
        "runtime": 1440,
    }
    assert "--gpus=8" in sbatch_options(file.site, asks["pretrain"])
    assert file.site.resources(asks["prepare"])["slurm_partition"] == "standard"


def test_the_command_prints_what_is_asked_and_submits_nothing(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/cluster.yaml").write_text(GOOD, encoding="utf-8")
    study = Path("config/paper.yaml").resolve()
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, ["cluster", str(study)], catch_exceptions=False)

    (row,) = [line for line in done.stdout.splitlines() if " pretrain " in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        *("pretrain", "vision", "gpu", "1", "8 GPUs, 96 CPUs, 500000 MB"),
        *("1-00:00:00", "would take it"),
    ]
    assert slurm.calls("sbatch")
    assert all("--test-only" in call for call in slurm.calls("sbatch"))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    folder = tmp_path / "copy"
    folder.mkdir()
    return copy_repository(folder)


def test_a_driver_ends_before_the_first_job_and_says_everything(lab: Lab, copy: Copy):
    text = "cpu: {partition: mian}\ngpu: {partition: high}\n"
    (copy.folder / "config/cluster.yaml").write_text(text, encoding="utf-8")
    before = lab.jobs()

    done = run_driver(lab, copy.folder, "--configfile", "config/tiny.yaml", seconds=180)

    assert done.returncode != 0
    assert "unknown partition 'mian'; did you mean 'main'?" in done.stdout
    assert lab.jobs().keys() <= before.keys()
    assert not list(copy.folder.glob("results/tiny/*/*/record.json"))


def test_jobs_go_where_the_site_says(lab: Lab, copy: Copy):
    text = "cpu: {partition: high, extra: --nice=7}\n"
    (copy.folder / "config/cluster.yaml").write_text(text, encoding="utf-8")

    done = run_driver(lab, copy.folder, "--configfile", "config/tiny.yaml", "--until", "prepare")

    assert done.returncode == 0, done.stdout
    listed = lab.run("squeue", "--noheader", "--states=all", "--format=%k %P %T")
    assert "rule_prepare_wildcards_scenes high COMPLETED" in listed
