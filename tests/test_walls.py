"""The walls of the house stand: who may import whom."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from folk.stages.table import STAGES

# Imports point down this list only; packages in one tuple do not know each other.
ROOMS = [
    ("cli",),
    ("slurm", "stages"),
    ("training",),
    ("methods",),
    ("filters", "models"),
    ("data",),
    ("evidence.adapters",),
    ("evidence.report",),
    ("evidence.audit",),
    ("evidence.plan",),
    ("evidence.results",),
    ("evidence.record", "evidence.study"),
    ("evidence.core",),
]
HEIGHT = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}
EVIDENCE = [room for room in HEIGHT if room.startswith("evidence.")]
TORCH = ("torch", "torchvision", "timm", "safetensors", "segmentation_models_pytorch")


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[1:3]) if parts[1] == "evidence" else parts[1]


@cache
def imports() -> list[tuple[str, str, str]]:
    """(file, package, imported module) of every import in `folk/` but its own two top files."""
    found = []
    for path in sorted(Path("folk").glob("*/**/*.py")):
        room = room_of(".".join(path.with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [(str(path), room, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.append((str(path), room, node.module))
    return found


def own_imports() -> list[tuple[str, str, str]]:
    """(file, package, imported package) of the imports that cross a wall."""
    return [
        (path, room, room_of(module))
        for path, room, module in imports()
        if module.startswith("folk.") and room_of(module) != room
    ]


def test_every_package_stands_in_the_list():
    rooms = {room for _, room, _ in imports()}

    assert rooms - {"evidence.__init__"} == set(HEIGHT)


def test_imports_point_down():
    wrong = [
        f"{path} imports {other}"
        for path, room, other in own_imports()
        if HEIGHT[other] <= HEIGHT[room]
    ]
    assert wrong == []


def test_the_evidence_never_imports_the_science():
    wrong = [
        f"{path} imports {other}"
        for path, room, other in own_imports()
        if room in EVIDENCE and other not in EVIDENCE
    ]
    assert wrong == []


def test_slurm_knows_the_study_and_nothing_that_computes():
    assert {other for _, room, other in own_imports() if room == "slurm"} <= {
        "evidence.core",
        "evidence.study",
    }


@pytest.mark.parametrize(
    ("name", "users"),
    [
        ("mlflow", "folk/evidence/adapters/"),
        ("snakemake", "nowhere"),
    ],
)
def test_one_place_alone_knows_a_tool(name, users):
    of_tool = {path for path, _, module in imports() if module.split(".")[0] == name}

    assert {path for path in of_tool if not path.startswith(users)} == set()
    assert bool(of_tool) == (users != "nowhere")


def test_only_the_watch_and_the_plugins_know_the_interfaces_of_snakemake():
    users = {path for path, _, module in imports() if module.startswith("snakemake_")}

    executor = "folk/slurm/plugin/snakemake_executor_plugin_folk_slurm/__init__.py"
    logger = "folk/cli/plugin/snakemake_logger_plugin_folk/__init__.py"
    assert users == {"folk/slurm/watch.py", executor, logger}


@pytest.mark.parametrize("room", [*EVIDENCE, "slurm"])
def test_the_evidence_and_slurm_need_no_torch(room):
    wrong = [
        path for path, where, module in imports() if where == room and module.split(".")[0] in TORCH
    ]
    assert wrong == []


def test_recipes_and_the_table_of_stages_need_no_torch():
    code = (
        "import sys, folk.stages.table, folk.stages.recipes.smoke, folk.stages.recipes.choices;"
        f"print([m for m in {TORCH} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_stage_is_named_in_its_own_files_alone():
    measuring = [stage for stage in STAGES.values() if stage.is_evaluation]
    wrong = [
        f"{path} names {stage.name}"
        for path in sorted(Path("folk").rglob("*.py"))
        for stage in measuring
        if f'"{stage.name}"' in path.read_text(encoding="utf-8")
        and path.name not in (f"{stage.name}.py", "table.py")
    ]
    assert wrong == [
        "folk/evidence/report/cost_drawings.py names cost",  # the name of a figure
        "folk/evidence/results/published.py names robustness",  # a kind of number
    ]


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (
            "folk.cli.app, folk.evidence.report.render, folk.evidence.adapters.dvc_stage,"
            "folk.evidence.adapters.mlflow_mirror, folk.evidence.audit.seal,"
            "folk.evidence.audit.adopt",
            {"torch", "timm", "mlflow"},
        ),
        (
            "folk.evidence.record.record, folk.evidence.record.environment as e, pathlib;"
            "assert e.environment(pathlib.Path())['packages']['torch']",
            {"torch", "mlflow", "jsonschema"},
        ),
        ("folk.cli.launch", {"torch", "numpy"}),
    ],
    ids=["what reads", "a record", "the launcher"],
)
def test_what_needs_no_heavy_package_starts_without(modules, heavy):
    code = f"import sys, {modules}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
