"""Every parser of ours, each with a valid file, inputs of all sorts, and how it is called."""

import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from folk.data.datasets.members import open_archive
from folk.data.shards import PreparedData
from folk.data.splits import read_list
from folk.evidence.adapters.mlflow_replay import history_of
from folk.evidence.audit.chain import Job
from folk.evidence.audit.seal import Seal, digest_of, read_seal
from folk.evidence.core.canonical import chain_digest
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import parsed_settings
from folk.evidence.record.adopted import read_adopted
from folk.evidence.record.record import OPEN_NAME, _earlier_starts, _last_step
from folk.evidence.record.schema import read_record, record_id
from folk.evidence.report.curve_drawings import read_histories
from folk.evidence.results.evidence import read_json
from folk.evidence.results.published import load_published, numbers_file, papers_file
from folk.evidence.study.study import load_study
from folk.slurm import states
from folk.slurm.duration import parse_minutes
from folk.slurm.ledger import Ledger, Submission, progress_of
from folk.slurm.queues import read_gpus, read_partitions
from folk.slurm.site import load_site
from folk.stages.table import STAGES, load_recipe
from folk.training.history import History
from tests.faults.mangled import Bytes, mangled, mangled_json, mangled_yaml

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Parser:
    """A parser of ours.

    Attributes:
        name: for the test's id.
        inputs: bytes of all sorts.
        read: puts the bytes where the parser looks, below a folder, and calls it.
        refusal: what it may raise, as documented.
    """

    name: str
    inputs: Bytes
    read: Callable[[bytes, Path], object]
    refusal: type[Exception] = InputError


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def put_and_read(data: bytes, folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return put_and_read


def _text(read: Callable[[str], object]) -> Callable[[bytes, Path], object]:
    """Of parsers that are given text: what SLURM or snakemake print, or an argument."""
    return lambda data, folder: read(data.decode("utf-8", "replace"))


def _study(path: Path) -> object:
    study = load_study(path, STAGES)
    return [list(study.runs()), study.cells(), list(study.entries()), study.unused_stages()]


def _recipe(stage: str) -> Callable[[Path], object]:
    return lambda path: load_recipe(stage, path).model_dump(mode="json")


def _beside_its_base(data: bytes, folder: Path) -> object:
    (folder / "demo-mfm.yaml").write_text(RECIPE, encoding="utf-8")
    return _file("changed.yaml", _recipe("pretrain"))(data, folder)


def _beside(read: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: read(path.parent)


def _open_record(path: Path) -> object:
    return _earlier_starts(path.parent, "i")


def _progress(path: Path) -> object:
    return progress_of(str(path.parent)).step, _last_step(path)


def _history(path: Path) -> object:
    history = History(path, 1)
    history.close()
    return history.values("loss")


def _record(path: Path) -> object:
    record = read_record(path)
    return Job(path, record).edited, list(history_of(path, record))


def _seal(path: Path) -> object:
    seal = read_seal(path)
    return seal and seal.holds


def _submissions(path: Path) -> object:
    return [(found.shown, found.age, set(found.outputs)) for found in Ledger(path.parent).owed()]


def _slurm(ask: Callable[[], object]) -> Callable[[str], object]:
    def answer(text: str) -> object:
        said = subprocess.CompletedProcess([], 0, text, "")
        known = patch.object(states.shutil, "which", return_value="/usr/bin/sacct")
        with known, patch.object(states.subprocess, "run", return_value=said):
            return ask()

    return answer


def _archive(path: Path) -> object:
    with open_archive(path) as files:
        return [member.read() for member in files]


def _tar(mode: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as tar:
        for name in ("./n01440764/a.JPEG", "n01440764/b.JPEG"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    return held.getvalue()


def _zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("validation/a.jpg", "validation/b.jpg"):
            archive.writestr(name, b"abc" * 9)
    return held.getvalue()


def _list(path: Path) -> object:
    return read_list(path, [f"train/{number}" for number in range(9)])


_SHA, _MD5 = "a" * 64, "b" * 32
_TIME = "2026-01-02T03:04:05.000006Z"
_FILE = {"name": "encoder", "path": "results/x/encoder.safetensors", "size": 3}
RECORD: dict[str, Any] = {
    "format": 2,
    "id": "",
    **{"study": "demo", "stage": "pretrain", "run": "folk-s0", "evaluation": None},
    **{"scale": "demo", "smoke": False, "seed": 0, "outcome": "finished", "error": None},
    **{"started": _TIME, "ended": "2026-01-02T03:04:09.000006Z", "seconds": 4.0},
    "argv": ["python", "-m", "folk", "--threads", "2"],
    "recipe": {"optim": {"epochs": 3}},
    "recipe_digest": "d1",
    "code": {
        **{"fingerprint": _SHA, "commit": None, "dirty": False, "dirty_diff_sha256": None},
    },
    "environment": {
        **{"python": "3.11.7", "packages": {"torch": "2"}, "lock_sha256": _SHA},
        **{"platform": "Linux", "variables": {"WORLD_SIZE": "1"}},
    },
    "hardware": {"host": "h", "cpu": None, "cores": 2, "memory_bytes": 9, "gpus": []},
    "scheduler": {"kind": "slurm", "job_id": "17"},
    "inputs": [{**_FILE, "sha256": _SHA, "md5": _MD5, "record": None}],
    "outputs": [{**_FILE, "sha256": _SHA, "md5": _MD5}],
    "metrics": {"loss": 0.25},
    "restarts": [],
    "parents": [],
}
RECORD["id"] = record_id(RECORD)

SEAL: dict[str, Any] = {
    **{"format": 1, "study": "demo", "scale": "demo", "records": {"a/record.json": _SHA}},
    **{"failed": {}, "files": {"cells.parquet": _SHA}, "parent": None, "digest": ""},
}
SEAL["chain"] = chain_digest(SEAL["records"], SEAL["failed"])
SEAL["digest"] = digest_of(asdict(Seal(**SEAL)))

DATASET = {
    **{"format": 1, "name": "scenes", "kind": "scenes", "classes": ["a", "b"]},
    **{"segmentation_classes": None, "counts": {"train": 2}, "image_size": [32, 32]},
    **{"shards": {}, "wnids": ["n01440764", "n01443537"]},
}
SUBMISSION = Submission(
    "17", "folk", "pretrain", "run=a", {"a": "d"}, "log", "w", 3, "2026-01-02T00:00:00+00:00"
)
NUMBERS = b"""\
id,paper,table,row,column,metric,unit,printed,value,margin,certainty,epoch,source,note
a,folk,1,r,c,top1,%,83.60,83.6,0.3,paper,last,page 9,"a, b"
b,folk,1,r,d,top1,%,,,,unknown,,nowhere,
"""
PAPERS = """\
certainty: {paper: read in the paper, unknown: nobody has seen it}
papers: {folk: {title: FOLK, venue: ECCV 2024}}
statements:
  - {id: s, paper: folk, place: page 1, kind: order, says: it rises, numbers: [a], certainty: paper,
     source: page 1}
"""
SITE = """\
account: vision
cpu: {partition: short, longest_runtime: 1-00:00:00, extra: --mail-type=FAIL}
gpu: {partition: long, gpu_model: a100, longest_runtime: 120}
"""
RECIPE = (ROOT / "config/recipes/pretrain/demo-mfm.yaml").read_text(encoding="utf-8")
STUDY = (ROOT / "config/demo.yaml").read_text(encoding="utf-8")
HISTORY = b"".join(
    json.dumps({"step": step, "epoch": step / 2, "time": 1767.5 + step, "loss": 0.5}).encode()
    + b"\n"
    for step in (1, 2)
)
SINFO = b"""short*|short|up|1-00:00:00|1-4|2|8|15000|gpu:a100:4(S:0-1)
long|long|up|infinite|1-infinite|1|4|900|(null)
"""
SQUEUE = b"""17|RUNNING|folk|/home/me/study|pretrain folk-s0
18|CANCELLED+|folk|/home/me/study|
"""
SACCT = b"17|CANCELLED by 1000|folk\n17|COMPLETED|folk\n"


def _numbers(path: Path) -> object:
    papers_file(path.parent).write_text(PAPERS, encoding="utf-8")
    return load_published(path.parent)


def _papers(path: Path) -> object:
    numbers_file(path.parent).write_bytes(NUMBERS)
    return load_published(path.parent)


PARSERS = (
    Parser("study", mangled_yaml(STUDY), _file("study.yaml", _study)),
    Parser("recipe", mangled_yaml(RECIPE), _file("recipe.yaml", _recipe("pretrain"))),
    Parser(
        "recipe with a base",
        mangled_yaml("base: demo-mfm\nassume: {optim.lr: none}\noptim: {lr: 2e-3, epochs: 3}\n"),
        _beside_its_base,
    ),
    Parser("published numbers", mangled(NUMBERS), _file("numbers.csv", _numbers)),
    Parser("papers", mangled_yaml(PAPERS), _file("papers.yaml", _papers)),
    Parser("site", mangled_yaml(SITE), _file("cluster.yaml", load_site)),
    Parser(
        "setting", mangled(b"optim.epochs=[1, 2e-4]"), _text(lambda t: parsed_settings([t, "a=1"]))
    ),
    Parser("record", mangled_json(RECORD), _file("record.json", _record)),
    Parser(
        "open record", mangled_json({**RECORD, "identity": "i"}), _file(OPEN_NAME, _open_record)
    ),
    Parser("seal", mangled_json(SEAL), _file("seal.json", _seal)),
    Parser(
        "adopted",
        mangled_json({"records": [{"path": "a", "id": _SHA}]}),
        _file("adopted.json", _beside(read_adopted)),
    ),
    Parser("data set", mangled_json(DATASET), _file("dataset.json", _beside(PreparedData.open))),
    Parser("json of a result", mangled_json({"top1_last": 0.5}), _file("metrics.json", read_json)),
    Parser("history", mangled(HISTORY), _file("metrics.jsonl", _history)),
    Parser("history, for a figure", mangled(HISTORY), _file("metrics.jsonl", read_histories)),
    Parser("progress", mangled_json({"step": 3}), _file("progress.json", _progress)),
    Parser(
        "submission",
        mangled_json(asdict(SUBMISSION)),
        _file("jobs/17.json", _submissions),
        ValueError,
    ),
    Parser("list of images", mangled(b"train/1\ntrain/2\n3\n"), _file("list.txt", _list)),
    Parser("duration", mangled(b"2-12:30:00"), _text(parse_minutes), ValueError),
    Parser("sinfo", mangled(SINFO), _text(read_partitions)),
    Parser("gres", mangled(b"gpu:a100:4(S:0-1),gpu:2"), _text(read_gpus)),
    Parser("squeue", mangled(SQUEUE), _text(_slurm(states.in_queue)), states.NoAnswerError),
    Parser(
        "sacct",
        mangled(SACCT),
        _text(_slurm(lambda: states.in_accounts(["17"]))),
        states.NoAnswerError,
    ),
    Parser("tar", mangled(_tar("w:")), _file("a.tar", _archive)),
    Parser("tar.gz", mangled(_tar("w:gz")), _file("a.tar.gz", _archive)),
    Parser("zip", mangled(_zip()), _file("a.zip", _archive)),
)
