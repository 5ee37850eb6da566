"""A command imports no library that it does not need."""

import json
import subprocess
import sys

import pytest

UNUSED = {"matplotlib", "mlflow", "pandas", "scipy", "skimage", "sklearn", "snakemake"}
TORCH = {"torch", "torchvision", "timm"}
MODULES = {
    "folk.cli.app": UNUSED | TORCH | {"pyarrow"},
    "folk.stages.tasks.prepare": UNUSED | TORCH,
    "folk.stages.tasks.split": UNUSED | TORCH,
    **dict.fromkeys(
        [
            f"folk.stages.tasks.{stage}"
            for stage in ("pretrain", "finetune", "probe", "segment", "robustness", "cost")
        ],
        UNUSED,
    ),
}


@pytest.mark.parametrize(("module", "unneeded"), MODULES.items(), ids=MODULES)
def test_a_command_starts_without_what_it_does_not_need(module, unneeded):
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert unneeded & set(json.loads(done.stdout)) == set()
