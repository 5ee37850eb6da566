"""The table of `docs/faults.md`, made from the marks of the tests, so that no row lacks its test.

    python -m tests.faults.table            # is the page what the tests say? status 1 if not
    python -m tests.faults.table --write    # make it so

A test carries a row by `@fault(...)`, wherever it stands; a case of a parametrized test by
`pytest.param(..., marks=fault(...))`. What has no test stands in `EXCEPTIONS`, with the reason.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path("docs/faults.md")
KINDS = (
    "Processes",
    "Disk",
    "Bytes",
    "Images",
    "Numbers",
    "Config",
    "Services",
    "Hostile input",
    "Random",
)
NOTHING = "nothing"
# Kind, fault, what happens then and why no test meets it here.
EXCEPTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "Disk",
        "a full folder for temporary files (`TMPDIR`)",
        "needs a file system of its own; what grows is written beside the results, not there",
    ),
    (
        "Bytes",
        "a shard that is cut short while a job has it mapped",
        "the kernel ends the process (SIGBUS), which no reader can answer; a new start refuses it",
    ),
    (
        "Bytes",
        "a flipped bit inside an image of a shard, in training",
        "not seen there, since hashing all images at each start is too dear; `verify` names it, "
        "which is tested",
    ),
    (
        "Numbers",
        "a gradient scaler that overflows",
        "there is none: recipes know fp32 and bf16 alone",
    ),
    (
        "Numbers",
        "a loss that is not finite in one of several processes",
        "the processes agree before one of them ends; tested in one process only",
    ),
    (
        "Services",
        "a home folder that is read-only or missing, for `snakemake` itself",
        "it makes its cache there before it reads our file, and ends with its own words; set "
        "XDG_CACHE_HOME. Our commands and jobs need no home, which is tested",
    ),
    (
        "Services",
        "a DVC remote that is away during `dvc pull`",
        "the words are DVC's own; what `folk adopt` says afterwards is tested",
    ),
    (
        "Hostile input",
        "a stranger in the network between the processes of one job",
        "torch's processes trust each other and their network; a cluster must keep it closed",
    ),
    (
        "Hostile input",
        "markup in tags that MLflow's own pages show",
        "those pages are MLflow's; ours read nothing from it",
    ),
    (
        "Hostile input",
        "a secret shorter than 8 characters, in a variable without a telling name, or in a recipe",
        "it cannot be told from other words",
    ),
)

HEAD = """# Faults

For users and auditors: look up a fault, what happens then, and what is lost. `make soak` writes
this page from the tests; each row is a test that passes in CI, except long ones (long, soak).
*Refused* means one line with what, where and what to do, exit status 2, and no half-written file.
"""


@dataclass(frozen=True, order=True)
class Row:
    """One fault; `test` is where it is met, `where` what else the test needs."""

    kind: int
    test: str
    what: str
    happens: str
    lost: str
    needs: str


def fault(kind: str, what: str, happens: str, lost: str = NOTHING) -> pytest.MarkDecorator:
    """Mark a test as the meeting with a fault.

    Args:
        kind: one of `KINDS`.
        what: the fault.
        happens: what the user sees of it, and what comes of it.
        lost: the work that is lost at most.
    """
    assert kind in KINDS, kind
    return pytest.mark.fault(kind=kind, what=what, happens=happens, lost=lost)


class Collector:
    """Keeps the rows of the tests that pytest finds."""

    def __init__(self) -> None:
        self.rows: set[Row] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the marks of every test."""
        for item in session.items:
            marked = ("slurm", "long", "soak", "gpu")
            needs = ", ".join(name for name in marked if item.get_closest_marker(name))
            test = item.nodeid.split("[")[0]
            for mark in item.iter_markers("fault"):
                said = mark.kwargs
                kind = KINDS.index(said["kind"])
                self.rows.add(Row(kind, test, said["what"], said["happens"], said["lost"], needs))


def collect() -> list[Row]:
    """The rows of all tests, by kind and test. RuntimeError: pytest could not read them."""
    collector = Collector()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        status = pytest.main(["--collect-only", "-q", "tests"], plugins=[collector])
    if status != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest --collect-only tests ended with {status!r}")
    return sorted(collector.rows)


def page(rows: Iterable[Row]) -> str:
    """The whole page."""
    rows = list(rows)
    parts = [HEAD]
    for number, kind in enumerate(KINDS):
        held = [row for row in rows if row.kind == number]
        untested = [(what, why) for of, what, why in EXCEPTIONS if of == kind]
        if not held and not untested:
            continue
        parts.append(f"## {kind}\n")
        parts.append("| fault | what happens | lost work | test |\n| --- | --- | --- | --- |")
        for row in held:
            path, name = row.test.split("::", 1)
            where = f"[{name}](../{path})" + (f" ({row.needs})" if row.needs else "")
            said = [cell.replace("|", "\\|") for cell in (row.what, row.happens, row.lost, where)]
            parts.append(f"| {' | '.join(said)} |")
        parts += [f"| {what} | not tested: {why} | - | - |" for what, why in untested]
        parts.append("")
    return "\n".join(parts)


def main() -> int:
    """Compare the page with the tests, or write it."""
    parser = argparse.ArgumentParser(description="the table of docs/faults.md")
    parser.add_argument("--write", action="store_true", help="write it")
    wanted = page(collect())
    if parser.parse_args().write:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{PAGE} is not what the tests say: python -m tests.faults.table --write")
    return 1


if __name__ == "__main__":
    sys.exit(main())
