"""What `pip install .` and `make setup` install."""

import json
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

import folk
from folk.evidence.core.shipped import shipped

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
LARGEST = 1_000_000_000  # bytes

Call = Callable[..., subprocess.CompletedProcess[str]]
PLUGINS = {
    "folk/slurm/plugin": "snakemake_executor_plugin_folk_slurm",
    "folk/cli/plugin": "snakemake_logger_plugin_folk",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def environment_with(wheel: Path, folder: Path, *options: str) -> Path:
    """A new environment with the wheel in it."""
    subprocess.run([UV, "venv", "-q", "-p", sys.executable, folder], check=True)
    install = [UV, "pip", "install", "-q", "-p", folder, *options, wheel]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def caller(environment: Path, cwd: Path) -> Call:
    """Call a command of an environment in a folder outside of the clone."""
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    hidden = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}

    def call(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [environment / "bin" / words[0], *words[1:]],
            cwd=cwd,
            env={**hidden, "PATH": path, "OMP_NUM_THREADS": "1", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, which borrows all other packages of this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    environment_with(wheel, folder, "--no-deps", "--offline")
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder that a .pth file adds: the .pth files in it, such as ours of the clone, do not count.
    borrowed = Path(pytest.__file__).parents[1]
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    return folder


@pytest.fixture
def call(environment: Path, tmp_path: Path) -> Call:
    return caller(environment, tmp_path)


def copy_fashion(folder: Path) -> None:
    shutil.copytree(ROOT / "results/fashion", folder / "results/fashion")


def test_a_wheel_holds_all_files_of_the_package_the_plugins_and_the_repository(wheel: Path):
    files = [p.relative_to(ROOT) for p in ROOT.glob("folk/**/*") if p.is_file()]
    names = {str(path) for path in files if "__pycache__" not in path.parts}
    for folder, plugin in PLUGINS.items():
        assert f"{folder}/{plugin}/__init__.py" in names
    wanted = {
        next((name.removeprefix(f"{f}/") for f in PLUGINS if name.startswith(f"{f}/")), name)
        for name in names
    }
    tracked = ["git", "ls-files", "Snakefile", "requirements.lock", "config", "workflow"]
    listed = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True, check=True)
    wanted |= {f"folk/shipped/{name}" for name in listed.stdout.split()}
    profiles = [name for name in listed.stdout.split() if name.startswith("workflow/profiles/")]
    wanted |= {f"folk/shipped/{name.removeprefix('workflow/')}" for name in profiles}
    assert {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name} == wanted


def test_the_command_prints_the_version():
    command = Path(sys.executable).with_name("folk")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"folk {folk.__version__}\n"


def test_snakemake_finds_the_plugins_where_the_project_is_installed():
    # Snakemake looks for names in the folders of the path, and into no other kind of install.
    assert set(PLUGINS.values()) <= {module.name for module in pkgutil.iter_modules()}


def test_the_installed_command_runs_the_code_of_the_wheel(call: Call, environment: Path):
    where = call("python", "-c", "import folk; print(folk.__file__)").stdout

    assert where.startswith(str(environment))
    assert call("folk", "--version").stdout == f"folk {folk.__version__}\n"


def test_the_installed_command_prints_where_the_workflow_is(call: Call):
    there = Path(call("folk", "path").stdout.strip())

    assert (there / "Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()
    assert (there / "profiles/default/profile.yaml").is_file()


def test_what_does_not_come_with_the_package_is_never_taken_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("config/a.yaml", "results/demo/cells.parquet"):
        file = tmp_path / "clone" / name
        file.parent.mkdir(parents=True)
        file.touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("folk.evidence.core.shipped.SHIPPED", tmp_path / "clone")

    assert shipped(Path("config/a.yaml")) == tmp_path / "clone/config/a.yaml"
    assert shipped(Path("results/demo/cells.parquet")) == Path("results/demo/cells.parquet")
    assert shipped(Path()) == Path()


def test_in_a_clone_the_workflow_is_that_of_the_clone():
    done = subprocess.run([sys.executable, "-m", "folk", "path"], capture_output=True, text=True)

    assert done.stdout == f"{ROOT}\n"


def test_a_shell_completes_the_installed_command(call: Call):
    typed = {"_FOLK_COMPLETE": "complete_bash", "COMP_WORDS": "folk ver", "COMP_CWORD": "1"}

    assert call("folk", **typed).stdout.split() == ["verify"]


def test_a_new_study_is_that_of_the_package_under_another_name(call: Call, tmp_path: Path):
    done = call("folk", "new", "mine", "--from", "fashion")

    command = 'snakemake -s "$(folk path)/Snakefile" --configfile study.yaml'
    assert done.stdout == f"cd mine && {command}\n"
    whole = (ROOT / "config/fashion.yaml").read_text()
    written = (tmp_path / "mine/study.yaml").read_text()
    assert written == whole.replace("\nstudy: fashion\n", "\nstudy: mine\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["mine"],
            "mine/study.yaml: exists already; choose another name, or delete the file",
        ),
        (
            ["My"],
            "My: a name may have only a-z, 0-9 and '-', and starts with a letter or digit",
        ),
        (
            ["a", "--from", "fashoin"],
            "--from fashoin: unknown study; did you mean 'fashion'?",
        ),
    ],
)
def test_a_new_study_overwrites_nothing_and_says_what_is_wrong(call: Call, words, line):
    call("folk", "new", "mine")

    done = call("folk", "new", *words)

    assert (done.returncode, done.stderr) == (2, f"error: {line}\n")


@pytest.mark.slow
def test_a_new_study_is_planned_outside_of_a_clone(call: Call, environment: Path, tmp_path: Path):
    call("folk", "new", "mine", "--from", "fashion")
    snakefile = Path(call("folk", "path").stdout.strip(), "Snakefile")
    own = tmp_path / "mine/recipes/pretrain/fashion-mfm-com.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("base: fashion-mfm\n")  # which is the package's

    study = caller(environment, tmp_path / "mine")
    snakemake = ("python", "-m", "snakemake", "-s", str(snakefile))
    done = study(*snakemake, "--configfile", "study.yaml", "-np")

    assert done.returncode == 0, done.stderr
    assert "profiles/default for setting default" in done.stderr
    assert "--recipe recipes/pretrain/fashion-mfm-com.yaml" in done.stdout
    kept = snakefile.with_name("config") / "recipes/pretrain/fashion-mfm.yaml"
    assert f"--recipe {kept}" in done.stdout


@pytest.mark.slow
def test_the_cost_of_a_study_of_the_package_is_planned_outside_of_a_clone(call: Call):
    done = call("folk", "plan", "config/paper.yaml", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["study"] == "paper"


@pytest.mark.slow
def test_shipped_results_are_questioned_outside_of_a_clone(call: Call, tmp_path: Path):
    copy_fashion(tmp_path)

    verified = call("folk", "verify", "config/fashion.yaml")
    explained = call("folk", "explain", "config/fashion.yaml", "frozen/folk/knn")
    sealed = call("folk", "seal", "config/fashion.yaml", "--check")

    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"cannot compare with its version {folk.__version__}" in " ".join(
        verified.stdout.split()
    )
    assert explained.returncode == 0, explained.stdout + explained.stderr
    assert sealed.returncode == 0, sealed.stdout + sealed.stderr


@pytest.mark.slow
def test_a_study_runs_and_is_verified_outside_of_a_clone(call: Call, tmp_path: Path):
    # The environment may lie in a repository of the user's, whose commit is none of our code.
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copy(ROOT / "tests/workflow/tiny.yaml", tmp_path / "study.yaml")
    snakefile = f"{call('folk', 'path').stdout.strip()}/Snakefile"
    snakemake = ("python", "-m", "snakemake", "-s", snakefile, "--configfile", "study.yaml")

    done = call(*snakemake)
    verified = call("folk", "verify", "study.yaml")

    assert done.returncode == 0, done.stderr
    assert verified.returncode == 0, verified.stdout + verified.stderr
    record = json.loads((tmp_path / "results/tiny/prepare/scenes/record.json").read_text())
    assert record["code"]["version"] == folk.__version__
    assert record["code"]["commit"] is None
    again = call(*snakemake, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.slow
def test_an_empty_environment_gets_a_core_without_torch_below_one_gigabyte(
    wheel: Path, tmp_path: Path
):
    pinned = ("--constraint", str(ROOT / "requirements.lock"))
    environment = environment_with(wheel, tmp_path / "venv", *pinned)
    call = caller(environment, tmp_path)
    copy_fashion(tmp_path)

    packages = {path.name for path in environment.glob("lib/python*/site-packages/*")}
    sizes = [p.lstat().st_size for p in environment.rglob("*") if not p.is_symlink()]
    assert packages.isdisjoint({"torch", "timm", "torchvision", "mlflow", "dvc", "sklearn"})
    assert sum(sizes) < LARGEST
    for words in (
        ["--version"],
        ["verify", "config/fashion.yaml", "--sample", "0"],
        ["explain", "config/fashion.yaml", "frozen/folk/knn"],
        ["plan", "config/paper.yaml"],
    ):
        done = call("folk", *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("image", ["Containerfile", "folk.def"])
def test_an_image_is_made_by_the_one_script(image: str):
    script = "containers/install.sh"

    assert f"/opt/folk/{script}\n" in (ROOT / "containers" / image).read_text()
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["sh", "-n", script], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("debootstrap") is None,
    reason="needs root and debootstrap: apt-get install debootstrap",
)
def test_the_script_of_the_images_makes_an_environment_on_a_clean_debian(tmp_path: Path):
    root = tmp_path / "root"

    def inside(*words: str) -> str:
        kept = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
        done = subprocess.run(
            ["chroot", root, *words],
            env={"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **kept},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    try:
        command = ["debootstrap", "--variant=minbase", "bookworm", root]
        subprocess.run(command, check=True, capture_output=True)
        for name in ("etc/resolv.conf", "usr/local/share/ca-certificates"):  # to reach the network
            if (place := Path("/", name)).is_dir():
                shutil.copytree(place, root / name, dirs_exist_ok=True)
            else:
                shutil.copy(place, root / name)
        clone = ["git", "clone", "-q", "--depth", "1", ROOT.as_uri(), root / "opt/folk"]
        subprocess.run(clone, check=True)

        inside("/opt/folk/containers/install.sh")

        folk_there = "/opt/folk/.venv/bin/folk"
        assert folk.__version__ in inside(folk_there, "--version")
        assert "Study fashion" in inside(folk_there, "plan", "/opt/folk/config/fashion.yaml")
    finally:
        shutil.rmtree(root, ignore_errors=True)  # six gigabytes
