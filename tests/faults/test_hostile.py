"""What somebody sends us is a claim: nothing of it runs, leads out of the study, or leaks."""

import ast
import json
import os
import pickle
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from folk.data.shards import PreparedData
from folk.evidence.adapters.mlflow_mirror import LiveMirror, sync_study
from folk.evidence.adapters.rocrate_export import export_crate
from folk.evidence.audit import again
from folk.evidence.audit.adopt import adopt
from folk.evidence.audit.chain import Chain
from folk.evidence.audit.seal import write_seal
from folk.evidence.core.digest import sha256_of
from folk.evidence.core.errors import InputError
from folk.evidence.core.secrets import without_secrets
from folk.evidence.record.environment import code_moved_since
from folk.evidence.record.schema import read_record
from folk.evidence.report import examples
from folk.evidence.study.study import load_study
from folk.models.encoder import create_encoder
from folk.models.external import load_external
from folk.stages.table import STAGES
from folk.training.checkpoint import load_checkpoint
from tests.faults.table import fault
from tests.toy import RESULTS, command, do, edit, git, opened

ROOT = Path(__file__).parents[2]
STUDY = Path("config/demo.yaml")
ENCODER = RESULTS / "pretrain/folk-s0/encoder.safetensors"
RECORD = ENCODER.with_name("record.json")


def workflow() -> None:
    """What a crate takes along of the workflow."""
    Path("workflow").mkdir()
    Path("Snakefile").write_text("")


# Pickles.


class Trap:
    """Something that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def trap(tmp_path):
    """A pickle that leaves a file where it runs; that it does so is proved first."""
    sprung = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()
    sprung.unlink()
    yield Trap(sprung)
    assert not sprung.exists(), "it ran"


@fault(
    "Hostile input",
    "a checkpoint of ours that is a pickle with code in it",
    "refused as damaged; nothing of it runs",
)
@pytest.mark.parametrize("bare", [False, True])
def test_a_checkpoint_never_runs(tmp_path, trap, bare):
    path = tmp_path / "checkpoint.pt"
    content = {"identity": "id", "update": 1, "state": trap}
    if bare:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)

    with pytest.raises(InputError, match=r"checkpoint\.pt: damaged checkpoint"):
        load_checkpoint(path, "id")


@fault(
    "Hostile input",
    "somebody else's weights that are a pickle with code in it, whatever the file is called",
    "refused: `expected only weights`; nothing of it runs",
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.bin", "w.npz"])
@pytest.mark.parametrize("bare", [False, True])
def test_external_weights_never_run(tmp_path, trap, name, bare):
    path = tmp_path / name
    if bare:
        path.write_bytes(pickle.dumps({"model": trap}))
    else:
        torch.save({"model": trap}, path)
    vit = {"img_size": 32, "patch_size": 16, "embed_dim": 12, "depth": 1, "num_heads": 2}
    encoder = create_encoder("vit_tiny_patch16_224", vit)

    with pytest.raises(InputError, match="expected only weights"):
        load_external(encoder, path, sha256=sha256_of(path))


@fault(
    "Hostile input",
    "examples.npz with a pickled array",
    "refused by its name; nothing of it runs",
)
def test_an_array_of_objects_is_never_unpickled(tmp_path, trap):
    path = tmp_path / "examples.npz"
    evil = np.empty(1, dtype=object)
    evil[0] = trap
    np.savez(path, images=evil, keep=evil, filtered=evil, reconstructed=evil, names=evil)

    with pytest.raises(InputError, match=r"examples\.npz: invalid examples .*allow_pickle=False"):
        examples._read(path, "x")


# The first unpickles arrays alone, from archives whose md5 is right; the second only writes.
NARROW = ("arrays.py", "miniature.py")
UNPICKLE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


@fault(
    "Hostile input",
    "a line of the package that would unpickle a file, or run text of one",
    "there is none: every call that could is named and bounded",
)
def test_no_line_of_the_package_unpickles():
    wrong = []
    for path in sorted((ROOT / "folk").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                unpickles = any(name.split(".")[0] in UNPICKLE for name in names)
                wrong += [where] if unpickles and path.name not in NARROW else []
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called.endswith("torch.load") and given.get("weights_only") != "True":
                wrong.append(where)
            if called.endswith(("np.load", "numpy.load")) and given.get("allow_pickle") != "False":
                wrong.append(where)
            if called in (
                "yaml.load",
                "yaml.unsafe_load",
                "yaml.full_load",
                "eval",
                "exec",
                "os.system",
                "pickle.load",
                "pickle.loads",
            ):
                wrong.append(where)
            if given.get("shell") == "True" or called.endswith("read_pickle"):
                wrong.append(where)
    assert wrong == []


# Records that speak of other places.

OUTSIDE = ["../../../etc/passwd", "/etc/passwd", "results/demo/pretrain/folk-s0/../../../../x",
           "results/other/x", "..", "a\0b"]  # fmt: skip


@fault(
    "Hostile input",
    "a record that speaks of a file outside of its folder (absolute, `..`, another study)",
    "the record is refused by name; no audit, adoption or export reads or touches that file",
)
@pytest.mark.parametrize("path", OUTSIDE)
def test_a_record_leads_nowhere(finished, path, monkeypatch):
    edit(RECORD, lambda record: record["outputs"][0].update(path=path), new_id=True)
    opened = []
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *a, **k: (opened.append(self), real(self, *a, **k))[1]
    )

    with pytest.raises(InputError, match=r"record\.json: (lists an output outside|invalid record)"):
        Chain(RESULTS).at(RECORD)
    with pytest.raises(InputError, match=r"record\.json: (lists an output outside|invalid record)"):
        adopt("demo", RESULTS, ["adopt"])
    with pytest.raises(InputError, match=r"record\.json: (lists an output outside|invalid record)"):
        export_crate(load_study(STUDY, STAGES), STUDY, Chain(RESULTS), Path("crate"))
    with pytest.raises(InputError, match=r"record\.json: (lists an output outside|invalid record)"):
        write_seal(load_study(STUDY, STAGES), STUDY, RESULTS)
    assert not [p for p in opened if p.name == "passwd"]
    assert not Path("crate").exists()
    assert not (RESULTS / "adopted.json").exists()


@fault(
    "Hostile input",
    "a data set that names a shard outside of its folder",
    "refused: `invalid shard name`",
)
@pytest.mark.parametrize("shard", ["../../x-00000.arrow", "/etc/x-00000.arrow"])
def test_a_shard_outside_of_the_data_set_is_not_opened(tmp_path, shard):
    said = {"format": 1, "name": "x", "kind": "folder", "classes": ["a"], "counts": {"train": 1},
            "segmentation_classes": None, "image_size": None, "sources": [],
            "shards": {shard: {"rows": 1, "bytes": 1, "sha256": "0" * 64}}}  # fmt: skip
    (tmp_path / "dataset.json").write_text(json.dumps(said))

    with pytest.raises(InputError, match=r"dataset\.json: invalid shard name '.*'"):
        PreparedData.open(tmp_path)


@fault(
    "Hostile input",
    "a record whose commit is an option of git (`--output=...`)",
    "refused: `code.commit`; git never gets it as an option",
)
def test_a_commit_is_never_an_option(finished):
    edit(RECORD, lambda record: record["code"].update(commit="--output=stolen"), new_id=True)
    with pytest.raises(InputError, match=r"record\.json: invalid record: code\.commit"):
        read_record(RECORD)

    git("init", "-q")
    git("add", "config")
    git("commit", "-qm", "x")
    assert code_moved_since(Path(), "--output=stolen") is None
    assert not Path("stolen").exists()


FINETUNE = command(  # that of the study that `finished` makes
    "finetune", "folk-s0", "full", (0, None),
    {
        "encoder": RESULTS / "pretrain/folk-s0/encoder.safetensors",
        "dataset": RESULTS / "prepare/scenes/dataset.json",
    },
)  # fmt: skip


@fault(
    "Hostile input",
    "`verify --deep` of a record with another command, or with variables such as LD_PRELOAD",
    "not run, and said so; only variables that a record may hold are set",
)
@pytest.mark.parametrize(
    "argv",
    [
        ["python", "-c", "open('sprung', 'w')", "--out", "x", "--work", "y"],
        ["python", "-m", "evil", "--out", "x", "--work", "y"],
        ["python", "-m", "folk", "adopt", "--out", "x", "--work", "y"],
        [*FINETUNE, "--out"],
    ],
)
def test_a_command_of_a_record_is_not_obeyed(finished, argv):
    path = RESULTS / "finetune/folk-s0/full/record.json"
    edit(path, lambda record: record.update(argv=argv), new_id=True)

    paths = {"--out": Path("out"), "--work": Path("work")}
    problem = again.rerun(Chain(RESULTS).at(path), STAGES["finetune"], paths)

    assert problem in {
        "not run: its command is not `python -m folk finetune ...`",
        "its command lacks --work, so it was not run",
    }
    assert not Path("sprung").exists()


def test_variables_of_a_record_are_not_obeyed(finished, monkeypatch):
    path = RESULTS / "finetune/folk-s0/full/record.json"
    argv = [*FINETUNE, "--out", "x", "--work", "y"]
    told = {"LD_PRELOAD": "evil.so", "PYTHONPATH": "evil", "OMP_NUM_THREADS": "3"}

    def change(record):
        record["argv"] = argv
        record["environment"]["variables"] = told

    edit(path, change, new_id=True)
    given = {}

    def run(_command, *, env, **_options):
        given.update(env)
        return subprocess.CompletedProcess([], 1, "", "stopped here")

    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr("folk.evidence.audit.again.subprocess.run", run)

    paths = {"--out": Path("out"), "--work": Path("work")}
    again.rerun(Chain(RESULTS).at(path), STAGES["finetune"], paths)

    assert given["OMP_NUM_THREADS"] == "3"
    assert not {"LD_PRELOAD", "PYTHONPATH"} & given.keys()


# Links.


@fault(
    "Hostile input",
    "a link among the results that leads to a file elsewhere",
    "its bytes are compared as any; no time stamp behind it is touched, no crate takes it along",
)
def test_what_a_link_leads_to_is_neither_touched_nor_given_away(finished, tmp_path_factory):
    workflow()
    private = tmp_path_factory.mktemp("home") / "private"
    private.write_text("a diary")
    os.utime(private, (1e9, 1e9))
    for link in (RESULTS / "tables/diary.md", RECORD.with_name("notes")):
        link.symlink_to(private)
    shutil.rmtree(RESULTS / "work")

    adopt("demo", RESULTS, ["adopt"])
    export_crate(load_study(STUDY, STAGES), STUDY, Chain(RESULTS), Path("crate"))

    assert private.stat().st_mtime == 1e9
    taken = [path.read_bytes() for path in Path("crate").rglob("*") if path.is_file()]
    assert taken
    assert b"a diary" not in taken


@fault(
    "Hostile input",
    "an encoder that is a link to other bytes",
    "named as changed, as if the bytes lay here",
)
def test_a_result_that_links_to_other_bytes_is_named(finished, tmp_path):
    (tmp_path / "elsewhere").write_text("weightS")
    ENCODER.unlink()
    ENCODER.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InputError, match=r"encoder\.safetensors: sha256 is"):
        adopt("demo", RESULTS, ["adopt"])


@fault(
    "Hostile input",
    "a folder of results that is a link itself, as on clusters, and a cache behind links",
    "taken as it is: adopted, exported, its time stamps set",
)
def test_results_behind_a_link_are_results(finished, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    shutil.rmtree(RESULTS / "work")
    shutil.move(ENCODER, scratch / "cached")
    ENCODER.symlink_to(scratch / "cached")
    shutil.move("results", scratch / "results")
    Path("results").symlink_to(scratch / "results")

    done = adopt("demo", RESULTS, ["adopt"])

    assert done.adopted == 3
    ended = json.loads(RECORD.read_text())["ended"]
    assert abs((scratch / "cached").stat().st_mtime - RECORD.stat().st_mtime) < 1
    assert ended[:4] == "20" + ended[2:4]


# Secrets.

PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "aws-hunter2-aws",
    "MLFLOW_TRACKING_PASSWORD": "mlflow-hunter2",
    "HF_TOKEN": "hf_hunter2hunter2",
    "GITHUB_TOKEN": "ghp_hunter2hunter2",
}
ADDRESS = "https://me:hunter2-in-url@127.0.0.1:9/x"


@fault(
    "Hostile input",
    "secrets in the environment, in argv, in the addresses of git, DVC and MLflow, in an edited "
    "file or an error",
    "none of them in a record, a kept diff, a log, the crate or the mirror of MLflow",
)
@pytest.mark.slow
def test_planted_secrets_are_nowhere(finished, monkeypatch, capsys):
    git("init", "-q")
    git("remote", "add", "origin", ADDRESS)
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("x")
    Path("script.py").write_text("x")
    git("add", "config", ".dvc", "script.py")
    git("commit", "-qm", "x")
    Path(".dvc/config").write_text(f"['remote \"r\"']\n url = {ADDRESS}\n password = hunter2-dvc\n")
    Path("script.py").write_text(f"token = '{PLANTED['HF_TOKEN']}'\nurl = '{ADDRESS}'\n")
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS)
    job = ("probe", "folk-s0", "e")
    argv = ["python", "-m", "folk", f"--x={ADDRESS}", PLANTED["GITHUB_TOKEN"]]
    with pytest.raises(RuntimeError), opened(*job, argv=argv):
        raise RuntimeError(f"no answer from {ADDRESS} with {PLANTED['MLFLOW_TRACKING_PASSWORD']}")
    place = do(*job[:2], {"it": "x"}, evaluation="e", argv=argv).parent
    workflow()
    export_crate(load_study(STUDY, STAGES), STUDY, Chain(RESULTS), Path("crate"))
    mirror = sync_study(RESULTS, None, "demo")
    assert mirror.error is None
    failed = sync_study(RESULTS, "nowhere" + ADDRESS, "demo")
    (RESULTS / "said").write_text(f"{failed}{failed.uri}{failed.error}")
    live = LiveMirror(ADDRESS, "demo", "x")
    with live._without_failing():
        raise RuntimeError(f"no answer from {ADDRESS}")
    shown = capsys.readouterr()

    assert place.joinpath("uncommitted.diff").is_file()
    assert "token = '***'" in place.joinpath("uncommitted.diff").read_text()
    kept = [path for folder in (RESULTS, Path("crate")) for path in folder.rglob("*")]
    texts = {path: path.read_bytes() for path in kept if path.is_file()}
    texts[Path("shown")] = (shown.out + shown.err).encode()
    assert any(path.name == "mlflow.db" for path in texts)
    assert {path for path, text in texts.items() if b"hunter2" in text} == set()


@fault(
    "Hostile input",
    "an error that names an address with a password",
    "the line is shown without it",
)
def test_a_line_is_shown_without_its_password():
    text = f"cannot reach {ADDRESS}, nor s3://key:hunter2@bucket/x; ask git@example.org"

    said = without_secrets(text, {"HF_TOKEN": "short", "MAX_TOKENS": "100000000"})

    assert "hunter2" not in said
    assert said.count("***@") == 2
    assert without_secrets("at https://u:p@q@host/x@y") == "at https://***@host/x@y"
    assert "git@example.org" in said
    assert without_secrets("100000000", {"MAX_TOKENS": "100000000"}) == "100000000"


# Servers.

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@fault(
    "Hostile input",
    "a server that listens to the whole network",
    "there is none: whatever the package, workflow, tests and docs start listens on loopback",
)
def test_no_server_listens_to_the_network():
    # It asks whether a port is free on any address, and listens on none.
    asks = "tests/slurm/lab.py"
    wrong = []
    folders = [
        p for name in ("folk", "workflow", "tests", "docs") for p in (ROOT / name).rglob("*")
    ]
    files = [p for p in folders if p.suffix in (".py", ".smk", ".md", ".yaml", ".toml")]
    everywhere = re.compile(r"0\.0\.0\.0|bind\(\(\"\"|INADDR_ANY")
    for path in [*files, ROOT / "Makefile", ROOT / "README.md", ROOT / "Snakefile"]:
        if path in (Path(__file__), ROOT / asks):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            elsewhere = "--host" in line and not any(name in line for name in LOOPBACK)
            if elsewhere or everywhere.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert wrong == []
