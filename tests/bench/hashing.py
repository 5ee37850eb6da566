"""`verify` reading large files, against sha256sum on all cores."""

import os
import subprocess
import tempfile
from pathlib import Path

from folk.evidence.core.digest import sha256_of_all
from tests.bench.measure import Row, in_turns, seconds

FILES, FILE_BYTES = 8, 2**27
ROUNDS = 7


def rows() -> list[Row]:
    """GB of a second, of files that are in memory; TMPDIR says where they lie."""
    cores = str(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="folk-bench-") as folder:
        paths = [Path(folder, f"{number}.bin") for number in range(FILES)]
        for path in paths:
            path.write_bytes(os.urandom(FILE_BYTES))
        names = "\0".join(map(str, paths)).encode()
        command = ["xargs", "-0", "-n1", f"-P{cores}", "sha256sum"]

        def of_coreutils() -> dict[Path, str]:
            done = subprocess.run(command, input=names, capture_output=True, check=True)
            pairs = (line.split(maxsplit=1) for line in done.stdout.decode().splitlines())
            return {Path(name): digest for digest, name in pairs}

        assert sha256_of_all(paths) == of_coreutils()
        times = in_turns(seconds(lambda: sha256_of_all(paths)), seconds(of_coreutils), ROUNDS)
    ours, baseline = ([FILES * FILE_BYTES / 1e9 / took for took in each] for each in times)
    against = f"sha256sum, {cores} at once"
    return [Row("verify's hashing", against, "GB/s", ours, baseline, reach=0.9, at_least=True)]
