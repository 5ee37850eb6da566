"""The walls of the house stand: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

# Arrows point down this list only; rooms in one tuple do not know each other.
ROOMS = [
    ("cli",),
    ("cluster",),
    ("tasks",),
    ("training",),
    ("methods",),
    ("models",),
    ("data",),
    ("tracking",),
    ("audit",),
    ("recipes",),
    ("plan",),
    ("provenance",),
    ("report",),
    ("metrics",),
    ("study",),
    ("yaml_model", "adopted"),
    ("json_file",),
    ("failures", "files", "ranges", "canonical", "secrets", "yaml_text"),
    ("errors",),
]
HEIGHT = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}
WITHOUT_TORCH = (
    "cluster",
    "audit",
    "recipes",
    "plan",
    "provenance",
    "report",
    "metrics",
    "study",
    "yaml_model",
    "yaml_text",
    "adopted",
    "failures",
    "files",
    "json_file",
    "secrets",
)


def imports() -> list[tuple[str, str, str]]:
    """(file, room, imported module) of every import in the package."""
    found = []
    for path in sorted(Path("folk").rglob("*.py")):
        room = path.relative_to("folk").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [(str(path), room, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.append((str(path), room, node.module))
    return found


def test_arrows_point_down():
    wrong = [
        f"{path} imports {module}"
        for path, room, module in imports()
        if module.startswith("folk.")
        and room not in ("__main__", "__init__")
        and module.split(".")[1] != room
        and HEIGHT[module.split(".")[1]] <= HEIGHT[room]
    ]
    assert wrong == []


def test_the_cluster_knows_the_study_and_nothing_that_computes():
    known = {
        module.split(".")[1]
        for _, room, module in imports()
        if room == "cluster" and module.startswith("folk.")
    }
    assert known <= {
        "cluster",
        "study",
        "yaml_model",
        "yaml_text",
        "json_file",
        "canonical",
        "errors",
        "files",
    }


def test_only_tracking_knows_mlflow():
    assert {room for _, room, module in imports() if module.split(".")[0] == "mlflow"} == {
        "tracking"
    }


def test_only_the_command_line_and_the_tasks_see_a_recipe():
    rooms = {room for _, room, module in imports() if module.startswith("folk.recipes")}
    assert rooms == {"cli", "tasks", "recipes"}


def test_the_package_knows_nothing_of_snakemake():
    assert [path for path, _, module in imports() if module.split(".")[0] == "snakemake"] == []


def test_only_the_watch_knows_the_executor_plugin():
    users = {path for path, _, module in imports() if module.startswith("snakemake_")}
    assert users == {"folk/cluster/watch.py"}


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_an_auditor_needs_no_torch(room):
    wrong = [
        path
        for path, where, module in imports()
        if where == room and module.split(".")[0] in ("torch", "torchvision", "timm", "mlflow")
    ]
    assert wrong == []


def test_reading_commands_start_without_torch_and_mlflow():
    code = (
        "import sys, folk.cli.app, folk.report.render, folk.provenance.versioning,"
        "folk.audit.seal, folk.audit.adopt;"
        "print([m for m in ('torch', 'timm', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
