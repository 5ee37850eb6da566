"""A study as a Provenance Run Crate: what others' programs say of it."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.workflow.readers import READERS, needs_readers

pytestmark = pytest.mark.slow

SECRET = "hunter2-hunter2"
# The profile's competency questions, https://www.researchobject.org/workflow-run-crate/requirements.
# CQ1 asks for containers, which records do not have.
QUESTIONS = {
    "CQ2 memory and CPU": """
        SELECT ?id ?name ?value {
            ?id run:resourceUsage ?u . ?u s:name ?name ; s:value ?value }""",
    "CQ3 configuration": """
        SELECT ?file { ?id s:name "pretrain folk-s0" ; s:result ?file . ?file s:name ?name
            FILTER STRENDS(?name, "/recipe.yaml") }""",
    "CQ4 environment": """
        SELECT ?id ?sha256 ?threads {
            ?id s:instrument/codemeta:buildInstructions/run:sha256 ?sha256 ; run:environment ?v .
            ?v s:name "OMP_NUM_THREADS" ; s:value ?threads }""",
    "CQ5 time of a step": """
        SELECT ?id ?start ?end {
            ?c a s:ControlAction ; s:instrument/s:name ?step ; s:object ?id .
            ?id s:startTime ?start ; s:endTime ?end FILTER (?step = "pretrain") }""",
    "CQ6 time of the workflow": """
        SELECT (MIN(?start) AS ?first) (MAX(?end) AS ?last) {
            ?o a s:OrganizeAction ; s:object/s:object ?id .
            ?id s:startTime ?start ; s:endTime ?end }""",
    "CQ7 success": """
        SELECT ?id { ?id a s:CreateAction ; s:actionStatus ?status .
            FILTER STRENDS(?status, "/CompletedActionStatus")
            FILTER NOT EXISTS { ?id s:error ?error } }""",
    "CQ8 inputs": """
        SELECT ?name { ?id s:instrument/s:step ?step ; s:object ?file . ?file s:name ?name }""",
    "CQ8 outputs": """
        SELECT ?name { ?id s:instrument/s:step ?step ; s:result ?file . ?file s:name ?name }""",
    "CQ9 version": """
        SELECT ?id ?version { ?id s:instrument ?tool . ?tool s:softwareVersion ?version }""",
    "CQ10 scripts around": """
        SELECT ?name { ?file s:isPartOf ?workflow ; s:name ?name . ?workflow s:step ?step }""",
    "CQ11 parameters": """
        SELECT ?id ?value { ?id s:object ?p . ?p s:name "recipe.optim.batch" ; s:value ?value }""",
}


@pytest.fixture(scope="module")
def crate(finished_study, tmp_path_factory):
    out = tmp_path_factory.mktemp("crate") / "crate"
    command = ["-m", "folk", "export", "config/tiny.yaml", "--crate", str(out)]
    done = finished_study.run(*command, API_TOKEN=SECRET)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def graph(crate):
    written = json.loads((crate / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in written["@graph"]}


@pytest.fixture(scope="module")
def records(finished_study):
    paths = finished_study.folder.glob("results/tiny/*/**/record.json")
    return [json.loads(p.read_text()) for p in paths if "work" not in p.parts]


@pytest.fixture(scope="module")
def answers(crate):
    """The rows that answer each question."""
    command = [READERS / "python", Path(__file__).with_name("ask.py"), crate]
    asked = json.dumps(QUESTIONS)
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    return {name: {tuple(map(_local, row)) for row in rows[name]} for name in QUESTIONS}


def _local(value):
    return value.removeprefix("http://crate/")


def by_id(records):
    return [(f"#{record['id'][:16]}", record) for record in records]


def kinds(entity):
    kind = entity["@type"]
    return kind if isinstance(kind, list) else [kind]


def test_every_file_has_size_type_and_the_digest_of_its_bytes(crate, graph):
    stored = [e for e in graph.values() if "File" in kinds(e)]

    assert len(stored) > 50
    for entity in stored:
        path = crate / entity["@id"]
        assert entity["encodingFormat"], entity["@id"]
        assert int(entity["contentSize"]) == path.stat().st_size
        assert entity["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_job_is_an_action_with_what_it_read_and_made(records, graph):
    for name, record in by_id(records):
        action = graph[name]
        assert kinds(action) == ["CreateAction"]
        assert (action["startTime"], action["endTime"]) == (record["started"], record["ended"])
        made = action["result"] if isinstance(action["result"], list) else [action["result"]]
        paths = {output["path"] for output in record["outputs"]}
        assert {each["@id"] for each in made} == paths


def test_neither_secrets_nor_places_of_a_machine_are_told(finished_study, crate):
    text = (crate / "ro-crate-metadata.json").read_text()

    assert SECRET not in text
    assert str(finished_study.folder) not in text
    assert not re.search(r'"@id": "/', text)


def test_a_file_that_is_not_what_its_record_says_is_refused(finished_copy):
    path = finished_copy.folder / "results/tiny/finetune/folk-s0/full/metrics.json"
    path.write_text(path.read_text() + " ")

    done = finished_copy.run("-m", "folk", "export", "config/tiny.yaml", "--crate", "crate")

    assert done.returncode == 2
    assert "full/metrics.json: its digest differs from" in done.stderr
    assert not (finished_copy.folder / "crate").exists()


@needs_readers
def test_others_read_and_accept_it(crate, tmp_path):
    cache = tmp_path / "cache"
    warm = Path(__file__).with_name("warm_cache.py")
    subprocess.run([READERS / "python", warm, cache], check=True)
    profile = ["-p", "provenance-run-crate-0.5", "--offline", "--cache-path", cache]
    said = tmp_path / "said.json"

    validator = [READERS / "rocrate-validator", "-y", "validate", crate, *profile]
    subprocess.run([*validator, "-f", "json", "-o", said, "--no-paging"], check=False)
    reader = [READERS / "runcrate", "report", crate]
    report = subprocess.run(reader, capture_output=True, text=True, check=True)

    found = json.loads(said.read_text())
    assert [issue["message"] for issue in found["issues"]] == []
    assert found["passed"]
    assert report.stdout.count("action: ") == 1 + len(list(crate.glob("**/record.json")))


@needs_readers
def test_it_answers_how_much_a_job_took_and_where(answers, records):
    used = answers["CQ2 memory and CPU"]
    assert len(records) > 10
    for name, record in by_id(records):
        hardware, geometry = record["hardware"], record["geometry"]
        assert (name, "seconds", str(record["seconds"])) in used
        assert (name, "cores", str(hardware["cores"])) in used
        assert (name, "memory_bytes", str(hardware["memory_bytes"])) in used
        assert (name, "threads", str(geometry["threads"])) in used
    assert answers["CQ6 time of the workflow"] == {
        (min(r["started"] for r in records), max(r["ended"] for r in records))
    }
    trained = [each for each in by_id(records) if each[1]["stage"] == "pretrain"]
    assert answers["CQ5 time of a step"] == {(i, r["started"], r["ended"]) for i, r in trained}


@needs_readers
def test_it_answers_with_which_code_environment_and_values_a_job_ran(answers, records):
    versions = {(name, record["code"]["fingerprint"]) for name, record in by_id(records)}
    assert answers["CQ9 version"] >= versions
    for name, record in by_id(records):
        lock, threads = record["environment"]["lock_sha256"], record["geometry"]["threads"]
        assert (name, lock, str(threads)) in answers["CQ4 environment"]
    recipes = [(name, record["recipe"].get("optim")) for name, record in by_id(records)]
    assert answers["CQ11 parameters"] == {
        (name, str(optim["batch"])) for name, optim in recipes if optim
    }
    assert answers["CQ3 configuration"] == {("results/tiny/pretrain/folk-s0/recipe.yaml",)}
    rules = {f"workflow/rules/{path.name}" for path in Path("workflow/rules").glob("*.smk")}
    assert answers["CQ10 scripts around"] == {(name,) for name in rules}


@needs_readers
def test_it_answers_what_went_in_and_out_and_whether_it_succeeded(answers, records):
    assert answers["CQ7 success"] == {("#run",), *((name,) for name, _ in by_id(records))}
    assert ("results/tiny/study.yaml",) in answers["CQ8 inputs"]
    outputs = {
        o["path"] for r in records if r["stage"] in ("report", "track") for o in r["outputs"]
    }
    assert answers["CQ8 outputs"] == {(path,) for path in outputs}


def test_a_step_has_its_place_after_those_whose_files_it_reads(graph):
    """The profile demands it."""
    steps = [entity for entity in graph.values() if kinds(entity) == ["HowToStep"]]
    place = {step["name"]: int(step["position"]) for step in steps}

    assert place["prepare"] < place["split"] < place["finetune"] < place["robustness"]
    assert place["pretrain"] < place["probe"] < place["report"] < place["track"]
