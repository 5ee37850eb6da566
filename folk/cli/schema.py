"""The command that prints the JSON Schema of a study or a recipe, for editors."""

import json
from typing import Annotated, Any

import typer

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.study.study import Study
from folk.stages.recipes.base import Recipe
from folk.stages.table import RECIPES, STAGES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(
    of: Annotated[str, typer.Argument(help="study, or the stage of a recipe")] = "study",
) -> None:
    """Print the JSON Schema of studies or of a stage's recipes.

    workflow/schemas/ has all of them; `make schemas` writes it again.
    """
    print(json.dumps(schema_of(of), indent=2, ensure_ascii=False))


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a study file (`study`), or of the recipes of a stage.

    Raises:
        InputError: no stage with recipes has this name.
    """
    if name == "study":
        return {"$schema": DIALECT, **_of_study()}
    if name not in RECIPES:
        known = ["study", *RECIPES]
        raise InputError(f"schema: no stage with recipes is named '{name}'{nearest(name, known)}")
    return _of_recipe(RECIPES[name])


def _of_study() -> dict[str, Any]:
    """Schema of a study file, with the names of the declared stages."""
    whole = Study.model_json_schema()
    measuring = [stage.name for stage in STAGES.values() if stage.is_evaluation]
    whole["$defs"]["Evaluation"]["properties"]["stage"]["enum"] = measuring
    whole["properties"]["resources"]["propertyNames"] = {"enum": list(STAGES)}
    whole["properties"]["code_change"]["propertyNames"] = {"enum": [*STAGES, "default"]}
    return whole


def _of_recipe(model: type[Recipe]) -> dict[str, Any]:
    """Schema of a whole recipe; one with a `base` has any part of it, which its base completes."""
    whole = model.model_json_schema()
    definitions = whole.pop("$defs", {})
    part = {
        "properties": {"base": {"type": "string"}, **dict.fromkeys(whole["properties"], True)},
        "additionalProperties": False,
    }
    return {
        "$schema": DIALECT,
        "title": whole.pop("title"),
        "type": "object",
        "if": {"required": ["base"]},
        "then": part,
        "else": whole,
        "$defs": definitions,
    }
