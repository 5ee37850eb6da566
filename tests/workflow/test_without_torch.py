"""Whoever questions a study, or renders it, loads neither torch nor the mirror."""

import json

import pytest

COMMANDS = {
    "explain": ["explain", "config/tiny.yaml", "main/folk/full"],
    "explain of a claim": ["explain", "config/tiny.yaml", "claims/rises"],
    "verify": ["verify", "config/tiny.yaml"],
    "adopt": ["adopt", "config/tiny.yaml"],
    "export as a crate": ["export", "config/tiny.yaml", "--crate", "crate"],
    "export of a cell": ["export", "config/tiny.yaml", "--json", "main/folk/full"],
    "report": ["report", "config/tiny.yaml"],
}
ASKING = """
import sys
sys.argv = ["folk", *sys.argv[1:]]
from folk.cli.app import app
try:
    app()
except SystemExit as end:
    status = end.code or 0
print([m for m in ("torch", "mlflow") if m in sys.modules], status, file=sys.stderr)
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_reads_loads_neither_torch_nor_mlflow(finished_copy, command):
    done = finished_copy.run("-c", ASKING, *COMMANDS[command])

    assert done.stderr.splitlines()[-1] == "[] 0", done.stdout + done.stderr


def test_the_exported_claim_of_a_cell_names_the_seal_that_its_chain_is_in(finished_study):
    done = finished_study.run(
        "-m", "folk", "export", "config/tiny.yaml", "--json", "main/folk/full"
    )

    assert done.returncode == 0, done.stderr
    claim = json.loads(done.stdout)
    seal = json.loads((finished_study.folder / "results/tiny/seal.json").read_text())
    assert claim["seal"]["digest"] == seal["digest"]
    assert claim["seal"]["has_chain"]
    assert {job["record"] for job in claim["chain"]} < set(seal["records"])
