"""`folk plan` counts the jobs that snakemake would run, and says what each number rests on."""

import json
import shutil

import pytest

from folk.evidence.record.schema import read_record, record_id, write_record
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES

pytestmark = pytest.mark.slow


def plan(copy, *arguments, study="config/tiny.yaml"):
    return copy.run("-m", "folk", "plan", study, *arguments)


def planned(copy, *arguments, **options):
    done = plan(copy, "--json", *arguments, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_paper_study_is_priced_without_data_by_what_it_asks_for(clean_copy):
    found = planned(clean_copy, study="config/paper.yaml")

    study = load_study(clean_copy.folder / "config/paper.yaml", STAGES)
    asked, jobs = study.resources_of("pretrain"), len(list(study.runs()))
    pretrain = found["stages"]["pretrain"]["to_do"]
    assert pretrain["jobs"] == jobs
    hours = pytest.approx(jobs * asked.gpu * asked.runtime / 60)
    assert pretrain["gpu_hours"] == {"value": hours, "from": {"upper bound": jobs}}
    assert found["stages"]["prepare"]["to_do"]["disk_bytes"]["from"] == {
        "not counted": len(study.data)
    }
    total = found["total"]["to_do"]
    assert total["energy_kwh_assumed"]["value"] == pytest.approx(total["gpu_hours"]["value"] * 0.4)
    chain = found["longest_chain"]["to_do"]
    stages = [job["name"].split()[0] for job in chain["jobs"]]
    assert stages[:3] == ["prepare", "pretrain", "finetune"]
    assert stages[-1] == "report"
    assert chain["hours"]["value"] == sum(job["hours"]["value"] for job in chain["jobs"])


def test_a_study_that_asks_for_too_much_is_refused_with_one_line(clean_copy):
    done = plan(clean_copy, "--max-gpu-hours", "100", study="config/paper.yaml")

    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "GPU-hours are still to be done, more than --max-gpu-hours 100" in line
    assert plan(clean_copy, "--max-gpu-hours", "0").returncode == 0  # the tiny study asks for none


def test_a_finished_study_is_wholly_measured_and_has_nothing_to_do(finished_study):
    found = planned(finished_study)

    assert found["total"]["to_do"]["jobs"] == 0
    assert found["longest_chain"]["to_do"]["jobs"] == []
    for stage, sums in found["stages"].items():
        if stage not in ("report", "track"):
            count = sums["all"]["jobs"]
            assert sums["all"]["cpu_hours"]["from"] == {"measured": count}, stage
            assert sums["all"]["disk_bytes"]["from"] == {"measured": count}, stage
    record = read_record(finished_study.folder / "results/tiny/prepare/scenes/record.json")
    hours = found["stages"]["prepare"]["all"]["cpu_hours"]["value"]
    assert hours == pytest.approx(record["seconds"] / 3600)
    assert found["total"]["all"]["gpu_hours"]["value"] == 0
    assert "Nothing to be done." in plan(finished_study).stdout


def test_another_seed_takes_what_the_first_took(finished_copy):
    finished_copy.edit("config/tiny.yaml", "seeds: [0]\n    set", "seeds: [0, 1]\n    set")

    found = planned(finished_copy)

    jobs = {stage: sums["to_do"]["jobs"] for stage, sums in found["stages"].items()}
    again = finished_copy.planned()
    assert jobs == {stage: again[stage] for stage in jobs}
    for stage in ("pretrain", "finetune", "probe", "segment", "robustness"):
        rest = found["stages"][stage]["to_do"]
        assert rest["cpu_hours"]["from"] == {"measured": rest["jobs"]}, stage
        assert rest["disk_bytes"]["from"] == {"measured": rest["jobs"]}, stage


def test_another_recipe_or_encoder_is_other_work(finished_copy):
    finished_copy.edit("config/recipes/segment/demo.yaml", "power: 1.0", "power: 0.9")
    finished_copy.edit("config/recipes/pretrain/demo-mfm.yaml", "depth: 2", "depth: 3")

    found = planned(finished_copy)

    for stage in ("pretrain", "finetune", "segment"):
        rest = found["stages"][stage]["to_do"]
        assert rest["jobs"] == found["stages"][stage]["all"]["jobs"]
        assert rest["cpu_hours"]["from"] == {"upper bound": rest["jobs"]}, stage
    assert found["stages"]["finetune"]["to_do"]["disk_bytes"]["from"] == {"estimate": 4}
    assert found["stages"]["prepare"]["all"]["cpu_hours"]["from"] == {"measured": 1}


def test_a_pretraining_that_never_ran_is_priced_by_its_timed_steps(finished_copy):
    shutil.rmtree(finished_copy.folder / "results/tiny/pretrain/folk-s0")
    finished_copy.edit("config/tiny.yaml", "seeds: [0]\n    set", "seeds: [1]\n    set")
    folder = finished_copy.folder / "results/tiny/cost/folk-s0/cost"
    hours = json.loads((folder / "metrics.json").read_text())["hours_total"]

    found = planned(finished_copy)["stages"]["pretrain"]["to_do"]

    assert found["jobs"] == 1
    assert found["cpu_hours"]["from"] == {"scaled from measured steps": 1}
    assert found["cpu_hours"]["value"] == pytest.approx(hours)


def test_a_trial_run_prices_nothing(finished_copy):
    path = finished_copy.folder / "results/tiny/split/few/record.json"
    record = read_record(path) | {"smoke": True}
    write_record(path, record | {"id": record_id(record)})

    found = planned(finished_copy)["stages"]["split"]["all"]

    assert found["cpu_hours"]["from"] == {"upper bound": 1}


def test_a_bad_study_is_refused(clean_copy):
    clean_copy.edit("config/tiny.yaml", "recipe: demo-folk", "recipe: demo-flok")
    done = plan(clean_copy)
    assert done.returncode == 2
    assert "did you mean 'demo-folk'" in done.stderr
    assert "Traceback" not in done.stderr
