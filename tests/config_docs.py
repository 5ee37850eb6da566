"""The page of all keys, `config/keys.md`, made from the models that check a study and a recipe.

python -m tests.config_docs            # is the page what the models say? status 1 if not
python -m tests.config_docs --write    # make it so
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from folk.evidence.study.study import Study
from folk.stages.recipes.base import Recipe
from folk.stages.table import RECIPES

PAGE = Path("config/keys.md")
INTRO = """# Every key

For anyone who writes a study or a recipe: look up a key, its values and its default.
[README.md](README.md) explains how keys work together. In a study you may leave out a
key that has a default or may be null. A recipe needs all keys, its own or its `base`'s.
`python -m tests.config_docs --write` writes this page from the models of the code.
"""
COMMON = """A recipe is in the folder of its stage in `recipes/`. `base` names another recipe in
that folder, whose values this one overrides.
"""
NAME = "NAME"  # in a path, for the names that a study gives to its entries
Schema = dict[str, Any]


class Page:
    """The page as it grows; a section that several keys share is described once."""

    def __init__(self) -> None:
        self.lines = [INTRO]
        self.headings: dict[str, str] = {}  # of each model, by its name

    def add(self, stage: str, schema: Schema, *, without: set[str], intro: str = "") -> None:
        """Describe a file of this schema."""
        definitions = schema.get("$defs", {})
        self.lines.append(f"## {stage}\n")
        self.lines.append(intro or f"{schema['description'].split(chr(10) * 2)[0]}\n")
        self._table(stage, "", schema, definitions, without)

    def _table(
        self, stage: str, path: str, schema: Schema, definitions: Schema, without: set[str]
    ) -> None:
        properties = {k: v for k, v in schema["properties"].items() if k not in without}
        below = []
        for key, value in properties.items():
            for name, inner in sections(value, definitions):
                if name not in self.headings:
                    place = ".".join(filter(None, (path, key, inner)))
                    kind = definitions[name]["properties"].get("kind", {}).get("const")
                    heading = f"{stage} `{place}`" + (f", kind `{kind}`" if kind else "")
                    self.headings[name] = heading
                    below.append((name, place))
        self.lines.append("| key | value | meaning |\n| -- | -- | -- |")
        for key, value in properties.items():
            meaning = meaning_of(value, definitions)
            self.lines.append(f"| `{key}` | {self._value(value, definitions)} | {meaning} |")
        self.lines.append("")
        for name, place in below:
            self.lines.append(f"### {self.headings[name]}\n")
            self._table(stage, place, definitions[name], definitions, set())

    def _value(self, value: Schema, definitions: Schema) -> str:
        default = value.get("default")
        shown = self._type(value, definitions)
        return shown if default in (None, "", [], {}) else f"{shown}; default {spelled(default)}"

    def _type(self, value: Schema, definitions: Schema) -> str:
        if "$ref" in value:
            heading = self.headings[name_of(value)]
            anchor = re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")
            kind = definitions[name_of(value)]["properties"].get("kind", {}).get("const")
            return f"[{kind or 'section'}](#{anchor})"
        if "const" in value or "enum" in value:
            return ", ".join(map(spelled, value.get("enum", [value.get("const")])))
        if parts := value.get("anyOf", value.get("oneOf")):
            return " or ".join(self._type(part, definitions) for part in parts)
        if value.get("type") == "array":
            return f"list of {self._type(value['items'], definitions)}"
        if value.get("type") == "object":
            inner = value.get("additionalProperties", True)
            return "mapping" if inner is True else f"mapping to {self._type(inner, definitions)}"
        return {"null": "null", None: "any"}.get(
            value.get("type"), value.get("type", "")
        ) + range_of(value)


def name_of(value: Schema) -> str:
    """The model that a reference names."""
    return str(value["$ref"]).rpartition("/")[2]


def sections(value: Schema, definitions: Schema) -> Iterator[tuple[str, str]]:
    """The models of a key's value, each with what stands between the key and the model's keys."""
    if "$ref" in value:
        yield name_of(value), ""
    for part in value.get("anyOf", value.get("oneOf", ())):
        yield from sections(part, definitions)
    inner = value.get("additionalProperties")
    if isinstance(inner, dict):
        yield from ((name, NAME) for name, _ in sections(inner, definitions))


def meaning_of(value: Schema, definitions: Schema) -> str:
    """The description of a key, or else of the section that is its value."""
    text = value.get("description") or next(
        (definitions[name]["description"] for name, _ in sections(value, definitions)), ""
    )
    return " ".join(text.split("\n\n")[0].split())


def range_of(value: Schema) -> str:
    """The bounds of a number, in words."""
    low, high = value.get("minimum"), value.get("maximum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    signs = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below"}
    return "".join(
        f", {sign} {value[key]:g}"
        for key, sign in signs.items()
        if key in value and abs(value[key]) < 2**31
    )


def spelled(value: Any) -> str:
    """One value as YAML has it."""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def page() -> str:
    """The page in Markdown."""
    made = Page()
    made.add("study", Study.model_json_schema(), without=set())
    made.add("recipe", Recipe.model_json_schema(), without=set(), intro=COMMON)
    common = set(Recipe.model_fields)
    for stage, model in RECIPES.items():
        made.add(stage, model.model_json_schema(), without=common)
    return "\n".join(made.lines).rstrip() + "\n"


def main() -> int:
    """Compare the page with the models, or write it."""
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        print(f"{PAGE} is not what the models say: python -m tests.config_docs --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
