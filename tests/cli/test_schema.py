"""The schemas for editors are those of the typed models, and take every file of config/."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from folk.cli.app import app
from folk.cli.schema import schema_of
from folk.evidence.core.yaml_model import Document
from folk.stages.table import RECIPES

FOLDER = Path("workflow/schemas")
FILES = {"study": "study.schema.json"} | {s: f"recipe-{s}.schema.json" for s in RECIPES}
STUDIES = [*Path("config").glob("*.yaml"), Path("tests/workflow/tiny.yaml")]
EXAMPLES = {
    "study": [path for path in STUDIES if "study" in Document(path).values],
    **{stage: [*Path("config/recipes", stage).glob("*.yaml")] for stage in RECIPES},
}
# Not the demo, whose file dvc.lock has by its digest.
SHIPPED = [
    path
    for path in EXAMPLES["study"]
    if path.parent.name == "config" and not path.stem.endswith(("-smoke", "-multiverse"))
]


@pytest.mark.parametrize("of", FILES)
def test_a_schema_in_the_repository_is_the_one_of_the_model(of):
    printed = CliRunner().invoke(app, ["schema", of])

    assert json.loads((FOLDER / FILES[of]).read_text()) == json.loads(printed.stdout)
    assert {path.name for path in FOLDER.iterdir()} == set(FILES.values())


@pytest.mark.parametrize("of", FILES)
def test_a_schema_takes_every_file_of_the_repository(of):
    validator = Draft202012Validator(schema_of(of))

    assert len(EXAMPLES[of]) > 0
    for path in EXAMPLES[of]:
        assert [e.message for e in validator.iter_errors(Document(path).values)] == [], path


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_a_shipped_study_but_the_demo_names_its_schema_in_its_first_line(path):
    comment, _, schema = path.read_text().splitlines()[0].partition("$schema=")

    assert comment == "# yaml-language-server: "
    assert (path.parent / schema).resolve() == (FOLDER / FILES["study"]).resolve()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, "'titel' was unexpected"),
        ({"scale": "huge"}, "'huge' is not one of"),
        ({"evaluations": {"a": {"stage": "probe", "recipe": "demo", "data": 3}}}, "3 is not valid"),
    ],
)
def test_a_schema_refuses_what_the_workflow_refuses(change, message):
    values = Document(Path("config/demo.yaml")).values | change

    errors = Draft202012Validator(schema_of("study")).iter_errors(values)

    assert any(message in error.message for error in errors)


def test_a_stage_without_recipes_has_no_schema():
    done = CliRunner().invoke(app, ["schema", "report"])

    assert "no stage with recipes is named 'report'" in str(done.exception)
