"""How long `verify` takes, and how fast it hashes; by hand, on an idle machine.

    .venv/bin/python -m tests.audit.bench_verify runs 100 300 1000
    .venv/bin/python -m tests.audit.bench_verify hashing --gigabytes 2

`runs` makes studies of so many runs, two records each, and verifies them. `hashing` reads large
files as `verify` does and with `sha256sum` on all cores, one after the other, several times. Both
print JSON. Files are made in a temporary folder (TMPDIR says where) and are in memory when timed.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from folk.audit.hashing import sha256_of_all
from tests.audit.many_runs import audit, fill

_SEEDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    runs = kinds.add_parser("runs")
    runs.add_argument("counts", type=int, nargs="+", help=f"numbers of runs, by {_SEEDS}")
    runs.add_argument("--pictures", type=int, default=1000, help="in each evaluation")
    hashing = kinds.add_parser("hashing")
    hashing.add_argument("--gigabytes", type=float, default=2.0)
    hashing.add_argument("--files", type=int, default=8)
    hashing.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    if given.kind == "runs":
        said: Any = [_verified(count, given.pictures) for count in given.counts]
    else:
        said = _hashed(int(given.gigabytes * 1e9), given.files, given.rounds)
    about = {"cores": len(os.sched_getaffinity(0)), "load_before": round(load, 2)}
    print(json.dumps({given.kind: said, **about}, indent=2))


def _verified(runs: int, pictures: int) -> dict[str, float]:
    with _folder():
        fill(runs // _SEEDS, _SEEDS, pictures)
        seconds, found = _timed(audit)
        assert not found.wrong, found.wrong[0]
        return {"runs": runs, "records": found.checked.records, "seconds": round(seconds, 3)}


def _hashed(size: int, files: int, rounds: int) -> dict[str, Any]:
    with _folder() as folder:
        paths = [folder / f"{number}.bin" for number in range(files)]
        for path in paths:
            _write(path, size // files)
        jobs = str(len(os.sched_getaffinity(0)))
        command = ["xargs", "-0", "-n1", f"-P{jobs}", "sha256sum"]
        names = "\0".join(map(str, paths)).encode()

        def of_coreutils() -> dict[Path, str | None]:
            done = subprocess.run(command, input=names, capture_output=True, check=True)
            pairs = (line.split(maxsplit=1) for line in done.stdout.decode().splitlines())
            return {Path(name): digest for digest, name in pairs}

        ours, theirs = [], []
        for _ in range(rounds):
            mine, found = _timed(lambda: sha256_of_all(paths))
            other, expected = _timed(of_coreutils)
            assert found == expected
            ours.append(mine)
            theirs.append(other)
    ratios = [other / mine for mine, other in zip(ours, theirs, strict=True)]
    return {
        "verify_gb_per_s": round(size / statistics.median(ours) / 1e9, 3),
        "sha256sum_gb_per_s": round(size / statistics.median(theirs) / 1e9, 3),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def _write(path: Path, size: int) -> None:
    with path.open("wb") as file:
        while size > 0:
            file.write(os.urandom(min(size, 2**24)))
            size -= 2**24


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="folk-bench-") as name, contextlib.chdir(name):
        yield Path(name)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


if __name__ == "__main__":
    main()
