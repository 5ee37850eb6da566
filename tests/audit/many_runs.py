"""A finished, sealed study of as many runs as asked for; only its first run was really done."""

import json
from collections.abc import Mapping
from hashlib import md5
from pathlib import Path
from typing import Any

from folk.evidence.audit.findings import Verification
from folk.evidence.audit.seal import write_seal
from folk.evidence.audit.today import RecipeToday
from folk.evidence.audit.verify import verify
from folk.evidence.core.digest import digest_file
from folk.evidence.record.failures import READERS, record_paths
from folk.evidence.record.fingerprint import code_fingerprint
from folk.evidence.record.record import open_record
from folk.evidence.record.schema import record_id
from folk.evidence.report.render import render_report
from folk.evidence.study.study import Study, load_study
from folk.stages.table import STAGES
from tests.audit.conftest import (
    NUMBERS,
    PUBLISHED,
    RESULTS,
    TOLD,
    finetune,
    predict,
    prepare,
    pretrain,
    scaffold,
)
from tests.toy import digest_of

STUDY_PATH = Path("config/toy.yaml")
FIRST = "r0-s0"
ENCODER = {"encoder": {"checkpoint": None}}  # figures ask for it


def fill(rows: int, seeds: int, images: int = 20) -> None:
    """Make the study in the current folder: rows times seeds runs, each with one evaluation."""
    scaffold(_study(rows, seeds), NUMBERS)
    prepare(digest_file(Path("images.tar")).md5)
    (RESULTS / "prepare/scenes/dataset.json").write_text('{"shards": {}, "classes": []}')
    pretrain(FIRST, 0)
    finetune(FIRST, "full", 0, 0)
    places = [RESULTS / "prepare/scenes", RESULTS / "pretrain" / FIRST,
              RESULTS / "finetune" / FIRST / "full"]  # fmt: skip
    data, *of_run = [json.loads((place / "record.json").read_text()) for place in places]
    ids = {(RESULTS / "prepare/scenes").as_posix(): _write(data, {}, 0)}
    for row in range(rows):
        for seed in range(seeds):
            run, hits = f"r{row}-s{seed}", (7 * row + 3 * seed) % images
            _results(run, hits, images)
            for record in of_run:
                again = json.loads(json.dumps(record).replace(FIRST, run))
                again["metrics"] |= {"top1_last": hits / images} if again["evaluation"] else {}
                place = Path(again["outputs"][0]["path"]).parent.as_posix()
                ids[place] = _write(again, ids, seed)
    report()


def report() -> None:
    """Render, note and seal, as the end of a run does."""
    study = load_study(STUDY_PATH, STAGES)
    inputs = {f"record {number}": path for number, path in enumerate(record_paths(RESULTS))}
    for stage in READERS:
        with open_record(
            RESULTS / "work" / stage, study="toy", stage=stage, run=None, evaluation=None, argv=[],
            recipe={}, recipe_digest=digest_of({}), seed=None, inputs=inputs, scale="demo",
            code=code_fingerprint("folk.cli.report", Path()),
        ) as record:  # fmt: skip
            if stage == "report":
                written = render_report(study, STUDY_PATH, RESULTS, PUBLISHED, {})
            else:
                written = [RESULTS / "tracked.json"]
                written[0].write_text("{}")
            outputs = {path.relative_to(RESULTS).as_posix(): path for path in written}
            record.finish(outputs, {}, RESULTS / stage / "record.json")
    write_seal(study, STUDY_PATH, RESULTS)


def audit(**options: Any) -> Verification:
    """Verify the study in the current folder."""
    study = load_study(STUDY_PATH, STAGES)
    return verify(study, STUDY_PATH, RESULTS, PUBLISHED, recipes(study), **options)


def recipes(study: Study) -> dict[tuple[str, str], RecipeToday]:
    """Today's recipe of each entry, which are all alike but for the archive."""
    archive = {"files": {"images": {"file": "images.tar", "md5": md5(b"images").hexdigest()}}}
    told = TOLD | ENCODER
    return {
        (stage, name): RecipeToday(
            "a.yaml",
            told | ({"archive": archive} if stage == "prepare" else {}),
            told,
            None,
            None,
            {},
        )
        for stage, name, _ in study.entries()
    }


def _study(rows: int, seeds: int) -> str:
    names = [f"r{row}" for row in range(rows)]
    encoders = "\n".join(
        f"  {name}: {{label: {name}, recipe: demo, data: scenes, seeds: {list(range(seeds))}}}"
        for name in names
    )
    return f"""
study: toy
title: Many runs
scale: demo
data: {{scenes: {{recipe: demo}}}}
encoders:
{encoders}
evaluations: {{full: {{stage: finetune, recipe: demo, data: scenes}}}}
tables:
  main:
    title: Main
    rows: [{", ".join(names)}]
    columns: {{full: {{label: full, evaluation: full, metric: top1_last}}}}
"""


def _results(run: str, hits: int, images: int) -> None:
    encoder, measured = RESULTS / "pretrain" / run, RESULTS / "finetune" / run / "full"
    for folder in (encoder, measured):
        folder.mkdir(parents=True, exist_ok=True)
    (encoder / "encoder.safetensors").write_text(f"weights of {run}")
    (encoder / "metrics.json").write_text(json.dumps({"loss": 0.5}))
    metrics = {"top1_last": hits / images, "top1_best": 0.9, "images_per_second": 50.0}
    (measured / "metrics.json").write_text(json.dumps(metrics))
    predict(measured, hits, images)


def _write(record: dict[str, Any], ids: Mapping[str, str], seed: int) -> str:
    """Write the record of a job whose files are there, with their digests; its id."""
    for entry in [*record["inputs"], *record["outputs"]]:
        found = digest_file(Path(entry["path"]))
        entry |= {"size": found.size, "sha256": found.sha256, "md5": found.md5}
        if entry in record["inputs"] and entry["record"]:
            entry["record"] = ids[Path(entry["path"]).parent.as_posix()]
    record["parents"] = sorted({entry["record"] for entry in record["inputs"] if entry["record"]})
    record["recipe"] |= ENCODER
    record["recipe_digest"] = digest_of(record["recipe"])
    if record["stage"] != "prepare":
        record["seed"] = seed
        record["argv"][record["argv"].index("--seed") + 1] = str(seed)
    record["id"] = record_id(record)
    place = Path(record["outputs"][0]["path"]).parent
    (place / "record.json").write_text(json.dumps(record, indent=2))
    return str(record["id"])
