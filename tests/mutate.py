"""`make mutate`: do the tests of the parts that decide numbers notice when the code is wrong?

    python -m tests.mutate                          all parts, a sample of each
    python -m tests.mutate metrics --sample all     one part, every mutant
    python -m tests.mutate --seed 1                 another sample
    python -m tests.mutate --list                   the mutants that survived last time, as diffs

mutmut makes the mutants and runs them, each against those of the part's own tests that call the
mutated function. Nothing else is run: neither other parts' tests nor those that start processes
or train. The work lies in build/mutate/<part>, a copy of what the tests need.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import scipy.stats
from mutmut.stats import status_by_exit_code
from rich.console import Console
from rich.table import Table

from folk.evidence.core.files import write_json

OUT = Path("build/mutate")
TRIES = 3
NOTICED = ("killed", "timeout", "segfault", "suspicious")
# Each starts processes, which mutmut does not follow, or takes ten seconds.
LEFT_OUT = (
    "tests/methods/test_methods.py::test_a_few_steps_of_folk_learn_and_the_teacher_moves",
    "tests/record/test_record.py::test_a_job_killed_from_outside_leaves_its_trace",
)


@dataclass(frozen=True)
class Part:
    """What is mutated, and the tests that should notice."""

    mutated: tuple[str, ...]
    tests: tuple[str, ...]


PARTS = {
    "methods": Part(
        ("folk/methods/*",),
        (
            "tests/methods",
            *(f"tests/conformance/test_{what}.py" for what in ("masks", "losses", "heads")),
        ),
    ),
    "metrics": Part(
        ("folk/evidence/results/metrics/*",),
        (
            "tests/metrics",
            "tests/conformance/test_statistics.py",
            "tests/report/test_random_verdicts.py",  # of intervals too
        ),
    ),
    "provenance": Part(("folk/evidence/record/*",), ("tests/record",)),
    "verdicts": Part(
        ("folk/evidence/results/verdicts.py", "folk/evidence/results/claims.py"),
        (
            "tests/report/test_verdicts.py",
            "tests/report/test_random_verdicts.py",
            "tests/report/test_judged_cells.py",
            "tests/report/test_claims.py",
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description="Mutate the code.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; else all")
    parser.add_argument("--sample", default="100", help="mutants of each part, or `all`")
    # Everybody draws the same mutants of the same code. Who has written tests for those that were
    # missed must ask others how good the tests are now.
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="at the same time")
    parser.add_argument("--list", action="store_true", help="show the survivors of the last run")
    given = parser.parse_args()
    parts = given.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for part in parts:
        if given.list:
            _show(part)
        else:
            _run(part, given.sample, given.seed, given.children)
    if not given.list:
        Console(width=None if sys.stdout.isatty() else 120).print(_table(parts))


def _run(part: str, sample: str, seed: int, children: int) -> None:
    folder = OUT / part
    _lay_out(PARTS[part], folder)
    # A name that nothing has: mutmut makes all mutants, times the tests, and runs no mutant.
    _mutmut(folder, children, "none")
    timed = (folder / "mutants/mutmut-stats.json").is_file()
    assert timed, f"{folder}: the tests failed without mutants; see {folder / 'mutmut.log'}"
    every = sorted(_statuses(folder))
    count = len(every) if sample == "all" else min(int(sample), len(every))
    chosen = sorted(random.Random(seed).sample(every, count))
    found, left = _statuses(folder), chosen
    # A mutant of what answers signals may end mutmut itself; it goes on with those that are left.
    for _ in range(TRIES):
        _mutmut(folder, children, *left)
        found = _statuses(folder)
        left = [name for name in chosen if found[name] == "not checked"]
        if not left:
            break
    assert not left, f"{folder}: {len(left)} were not run; see {folder / 'mutmut.log'}"
    missed = {name: found[name] for name in chosen if found[name] not in NOTICED}
    said = {"mutants": len(every), "tested": count, "noticed": count - len(missed)}
    write_json(OUT / f"{part}.json", {**said, "missed": missed})


def _lay_out(part: Part, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    files = [Path(name) for name in listed.stdout.splitlines() if Path(name).is_file()]
    for path in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / path)
    tops = {path.parts[0] for path in files} - {"folk", "tests", "pyproject.toml"}
    left_out = [f"--deselect={test}" for test in LEFT_OUT]
    selection = ["-m", "not slow and not slurm and not soak and not long and not gpu"]
    values = {
        "source_paths": ["folk"],
        "only_mutate": list(part.mutated),
        "also_copy": sorted(tops),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "--hypothesis-profile=mutants"],
        "pytest_add_cli_args_test_selection": [*selection, *left_out, *part.tests],
        "timeout_multiplier": 4.0,
        "use_git_change_detection": False,
    }
    # TOML writes these values as JSON does.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "[tool.mutmut]", *lines, ""]))


def _mutmut(folder: Path, children: int, *names: str) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children), *names]
    # One thread, because processes are forked; no checks of shapes, which would notice instead.
    alone = {"OMP_NUM_THREADS": "1", "FOLK_WITHOUT_SHAPES": "1"}
    with (folder / "mutmut.log").open("ab") as log:
        subprocess.run(
            command, cwd=folder, env=os.environ | alone, stdout=log, stderr=log, check=False
        )


def _statuses(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for meta in (folder / "mutants").rglob("*.meta"):
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        found |= {name: status_by_exit_code[code] for name, code in codes.items()}
    return found


def _show(part: str) -> None:
    for name, status in json.loads((OUT / f"{part}.json").read_text())["missed"].items():
        print(f"--- {name}: {status}", flush=True)
        subprocess.run([sys.executable, "-m", "mutmut", "show", name], cwd=OUT / part, check=False)


def _table(parts: list[str]) -> Table:
    table = Table("part", "mutants", "tested", "noticed", "share %", "95 % interval")
    for part in parts:
        said = json.loads((OUT / f"{part}.json").read_text())
        tested, noticed = said["tested"], said["noticed"]
        between = scipy.stats.binomtest(noticed, tested).proportion_ci(method="wilson")
        whole = tested == said["mutants"]
        reach = "all tested" if whole else f"{100 * between.low:.0f} to {100 * between.high:.0f}"
        share = f"{100 * noticed / tested:.1f}"
        table.add_row(part, str(said["mutants"]), str(tested), str(noticed), share, reach)
    return table


if __name__ == "__main__":
    main()
