"""What `pip install .` and `make setup` install."""

import pkgutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import folk

ROOT = Path(__file__).parents[1]
PLUGINS = {
    "folk/slurm/plugin": "snakemake_executor_plugin_folk_slurm",
    "folk/cli/plugin": "snakemake_logger_plugin_folk",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


def test_a_wheel_holds_all_files_of_the_package_and_the_plugins_beside_it(wheel: ZipFile):
    files = [p.relative_to(ROOT) for p in ROOT.glob("folk/**/*") if p.is_file()]
    names = {str(path) for path in files if "__pycache__" not in path.parts}
    for folder, plugin in PLUGINS.items():
        assert f"{folder}/{plugin}/__init__.py" in names
    wanted = {
        next((name.removeprefix(f"{f}/") for f in PLUGINS if name.startswith(f"{f}/")), name)
        for name in names
    }
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == wanted


def test_the_command_prints_the_version():
    command = Path(sys.executable).with_name("folk")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"folk {folk.__version__}\n"


def test_snakemake_finds_the_plugins_where_the_project_is_installed():
    # Snakemake looks for names in the folders of the path, and into no other kind of install.
    assert set(PLUGINS.values()) <= {module.name for module in pkgutil.iter_modules()}
