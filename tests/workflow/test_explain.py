"""Every cell of a finished study explains itself, and does it quickly and without torch."""

import json
import os

import pytest

from tests.workflow.conftest import Copy

pytestmark = pytest.mark.slow

EXPLAIN = ("-m", "folk", "explain", "config/tiny.yaml")
HEAVY = ("torch", "torchvision", "timm", "mlflow", "pandas", "scipy.stats", "snakemake")


@pytest.fixture(scope="module")
def claims(finished_study: Copy):
    """What each cell of the study says of itself, by cell."""
    done = finished_study.run(*EXPLAIN, "--all", "--json")
    assert done.returncode == 0, done.stderr
    return {claim["cell"]: claim for claim in json.loads(done.stdout) if "cell" in claim}


def test_every_cell_of_every_table_is_explained(finished_study, claims):
    listed = json.loads(finished_study.run(*EXPLAIN, "--json").stdout)

    assert [each["cell"] for each in listed if "cell" in each] == list(claims)
    assert listed[-1] == {"claim": "claims/rises", "verdict": "undecided here"}
    assert len(claims) == 8 * 2 + 1 + 2  # two rows of eight columns, one quoted, two of costs
    assert [cell for cell, claim in claims.items() if claim["contradicted"]] == []


def test_the_claim_of_the_study_is_judged_again_from_its_cells(finished_study):
    done = finished_study.run(*EXPLAIN, "claims/rises", "--json")

    assert done.returncode == 0, done.stderr
    claim = json.loads(done.stdout)
    assert [cell["id"] for cell in claim["cells"]] == ["main/scratch/full", "main/folk/full"]
    assert claim["judged"]["verdict"] == "undecided here"
    assert claim["established"]


def test_every_number_but_those_of_cost_is_derived_again(claims):
    parts = [
        (cell, part)
        for cell, claim in claims.items()
        for run in claim["runs"]
        for part in run["parts"]
    ]

    assert {part["stage"] for _, part in parts} == {
        "finetune", "probe", "segment", "robustness", "cost",
    }  # fmt: skip
    for cell, part in parts:
        if part["stage"] == "cost":
            assert part["derived"] is None
        else:
            assert part["derived"] == pytest.approx(part["stated"], abs=1e-6), cell


def test_every_chain_goes_back_to_the_images_and_all_of_its_bytes_are_read(claims):
    for cell, claim in claims.items():
        if claim["number"]["quoted"]:
            continue
        chain = {job["id"]: job for job in claim["chain"]}
        assert claim["chain"][0]["stage"] == "prepare", cell
        assert set(claim["parents"]) <= set(chain)
        assert all(set(job["parents"]) <= set(chain) for job in chain.values())
        states = {f["state"] for job in chain.values() for f in (*job["inputs"], *job["outputs"])}
        assert states <= {"same", "no digest"}, cell
        assert {job["today"]["recipe"]["today"] for job in chain.values()} == {"same"}
        assert {job["today"]["code"] for job in chain.values()} == {"same"}


def test_one_cell_is_explained_quickly_and_without_torch_mlflow_and_pandas(finished_study):
    code = (
        "import sys, folk.cli.app as app; sys.argv = ['folk', *sys.argv[1:]]\n"
        "try: app.app(standalone_mode=False)\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    started = os.times()
    done = finished_study.run("-c", code, "explain", "config/tiny.yaml", "--all")
    used = os.times().children_user - started.children_user

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert used < 5.0  # seconds of a core; about 1.3 alone, and the wall clock is of the neighbors


def test_an_edited_table_and_a_wrong_name_have_their_own_statuses(finished_copy):
    copy = finished_copy
    path = copy.folder / "results/tiny/finetune/folk-s0/full/metrics.json"
    stated = json.loads(path.read_text())
    path.write_text(json.dumps(stated | {"top1_last": 0.99}))

    edited = copy.run(*EXPLAIN, "main/folk/full")
    others = copy.run(*EXPLAIN, "--all")
    wrong = copy.run(*EXPLAIN, "main/folk/ful")

    assert edited.returncode == 1
    assert edited.stdout.splitlines()[1] == "Contradicted"
    assert others.returncode == 1
    lines = [line.split()[:2] for line in others.stdout.splitlines()]
    assert [cell for word, cell in lines if word == "CONTRADICTED"] == [
        "main/folk/full", "main/folk/avg", "main/folk/contrast", "main/folk/pgd", "claims/rises",
    ]  # fmt: skip
    assert wrong.returncode == 2
    assert "did you mean 'main/folk/full'?" in wrong.stderr
