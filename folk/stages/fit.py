"""Check of recipes with the encoders of rows: `python -m folk.stages.fit`, a process of its own.

It reads a JSON list of `{stage, recipe, encoder}` and writes a list of problems, null for none. The
side that starts a study imports no torch.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

import torch

from folk.evidence.core.errors import InputError, brief_with_type
from folk.stages.recipes.base import Encoder
from folk.stages.table import STAGES


def problem_of(stage: str, recipe: Mapping[str, Any], encoder: Mapping[str, Any]) -> str | None:
    """Return `key: problem` of a recipe with an encoder, or None.

    Args:
        encoder: section `encoder` of the row's recipe.
    """
    model = STAGES[stage].recipe
    assert model is not None
    checked, section, problem = model.model_validate(recipe), Encoder.model_validate(encoder), ""
    # The meta device lacks operations that some architectures need: then the CPU decides.
    for device in ("meta", "cpu"):
        try:
            with torch.device(device), torch.no_grad():
                checked.check_fit(section)
        except InputError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - timm's architectures raise their own
            problem = f"encoder.timm_name: {brief_with_type(error)}"
        else:
            return None
    return problem


def main() -> None:
    """Answer the list on standard input."""
    json.dump([problem_of(**pair) for pair in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
