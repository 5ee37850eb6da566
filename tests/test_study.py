"""A study says what is run, and refuses names that lead nowhere."""

from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.study.study import load_study, written_study
from folk.stages.table import STAGES
from tests.faults.table import fault
from tests.toy import STUDY, study_file


def load(tmp_path: Path, old: str = "", new: str = ""):
    return load_study(study_file(tmp_path, old, new), STAGES)


def test_a_row_becomes_one_run_for_each_seed(tmp_path):
    study = load(tmp_path)

    assert [run for run, _, _ in study.runs()] == ["folk-s0", "folk-s3"]
    assert study.rows_of("full") == ["folk"]
    assert study.unused_stages() == ["probe", "segment", "cost"]
    assert study.tables["main"].columns["full"].evaluations == ["full"]


def test_every_entry_that_follows_a_recipe_is_found_by_stage_and_name(tmp_path):
    study = load(tmp_path)

    entries = list(study.entries())
    assert [(stage, name) for stage, name, _ in entries] == [
        ("prepare", "scenes"), ("split", "few"), ("pretrain", "folk"), ("finetune", "full"),
        ("finetune", "few-a"), ("robustness", "hard"),
    ]  # fmt: skip
    assert all(study.entry(stage, name) is entry for stage, name, entry in entries)
    assert [study.reads(stage, name) for stage, name, _ in entries] == [[], *[["scenes"]] * 5]
    with pytest.raises(InputError, match="tiny: unknown split 'fwe'; did you mean 'few'"):
        study.entry("split", "fwe")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("rows: [folk]", "rows: [flok]",
         r":16: tables\.main\.rows\.0: unknown encoder row .*'folk'", marks=fault(
             "Config", "a table of a row, a column of an evaluation, an evaluation of data, of a "
             "split or a classifier, a claim of a cell that is not there",
             "refused by file, line and key, with the nearest name")),
        ("split: few}", "split: fwe}", r"unknown split 'fwe'; did you mean 'few'"),
        ("recipe: folk, data: scenes", "recipe: folk, data: scene", "did you mean 'scenes'"),
        ("[full, few-a]", "[full, few]", "unknown evaluation 'few'"),
        pytest.param("seeds: [0, 3]", "seeds: [0, 0]", "duplicate seed", marks=fault(
            "Config", "two runs of one name", "refused by file and line")),
        ("seeds: [0, 3]", "seeds: []", "at least 1 item"),
        ("seeds: [0, 3]", "seeds: [-1]", "greater than or equal to 0"),
        ("study: tiny", "study: ../tiny", "a name may have only"),
        ("folk: {label", "'a; rm -rf': {label", "a name may have only"),
        ("scale: demo", "scale: huge", "'demo', 'smoke' or 'paper'"),
        ("stage: finetune, recipe: full, data: scenes}", "stage: fine, recipe: a, data: scenes}",
         r":10: evaluations\.full\.stage: unknown stage 'fine'; did you mean 'finetune'"),
        ("title: A study", "resources: {prob: {}}\ntitle: A study",
         r"resources\.prob: unknown stage 'prob'; did you mean 'probe'"),
        ("title: A study", "code_change: {prob: report}\ntitle: A study",
         r"code_change\.prob: unknown stage 'prob'; did you mean 'probe'"),
        ("split: few}", "seeds: [0]}", "same fine-tuning 'seeds', got: full has none; few-a"),
        ("stage: finetune, recipe: full, data: scenes, split: few}",
         "stage: probe, recipe: full, data: scenes, seeds: [0]}",
         "'seeds' is not supported by probe, only by finetune"),
        ("classifier: full", "classifier: ful", "unknown evaluation 'ful' .*did you mean 'full'"),
        ("classifier: full", "classifier: hard", "unknown evaluation 'hard' with stage finetune"),
        (", classifier: full", "", "robustness needs 'classifier'"),
        ("split: few}", "classifier: full}", "'classifier' is not supported by finetune"),
        ("data: [scenes], classifier", "data: [scenes, scene], classifier", "unknown data set"),
        ("data: [scenes], classifier", "data: [scenes, scenes], classifier", "duplicate set"),
        ("data: [scenes], c", "data: scenes, split: few, c", "'split' is not supported by"),
        ("full, data: scenes}", "full, data: [scenes, scenes2]}", "expected one set in 'data'"),
        ("{avg: some-id}", "{agv: some-id}", r":22: tables.*column 'agv'; did .* 'avg'"),
        ("title: A study", "exclude: {folk-s9: x}\ntitle: A study", "exclude.folk-s9: unknown run"),
        ("title: A study", "exclude: {folk-s0: ''}\ntitle: A study", "at least 1 character"),
        ("  main:\n", "  numbers:\n", r"tables\.numbers: tables/numbers.tex has the macros of all"),
        ("ibot: {label", "folk: {label", "tables.main.context.folk: duplicate row"),
        ("[main/folk/avg,", "[main/flok/avg,", r":24: claims\.rising\.order\.0: .*'main/folk"),
        ("over: main/folk/avg", "over: main/folk/agv", r"gain\.difference\.over: unknown cell"),
        ("to: main/folk/avg", "to: main/folk/full", r":26: claims\.same: duplicate cell"),
        pytest.param("to: main/folk/avg", "to: main/folk/speed", "cells have different units",
         marks=fault("Config", "a claim of cells in two units", "refused by file and line")),
        ("says: no gain, equal", "says: no gain, published: id, equal", "'published', the id of"),
        ("says: it rises, order", "says: it rises, equal: {of: a, to: b, margin: 1}, order",
         "expected one of 'order', 'difference' and 'equal', got order and equal"),
        ("margin: 0.2}", "margin: 0.0}", "greater than 0"),
        ("title: A study", "summary: {table: mian}\ntitle: A study",
         "summary.table: unknown table 'mian'; did you mean 'main'"),
        ("title: A study", "summary: {table: main, columns: [ful]}\ntitle: A study",
         r"summary.columns.0: unknown column 'ful'; did you mean 'full'"),
        ("title: A study", "resources: {prepare: {nodes: 2}}\ntitle: A study",
         r"resources\.prepare\.nodes: 'prepare' runs in one process"),
        ("title: A study", "resources: {cost: {processes: 2}}\ntitle: A study", "cost.processes"),
        ("title: A study", "resources: {pretrain: {gpu: 4, processes: 2}}\ntitle: A study",
         "2 processes for 4 GPUs of a node; each process uses one GPU"),
        pytest.param("title: A study", "titel: A study", r"titel: unknown key; did you mean",
         marks=fault("Config", "an unknown key in a study", "refused, with the nearest one")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, old, new)


def test_a_row_without_a_classifier_is_refused(tmp_path):
    rows = "  mfm: {label: MFM, recipe: mfm, data: scenes, seeds: [0]}\nevaluations:"
    text = STUDY.replace("evaluations:", rows, 1)
    text = text.replace(
        "recipe: full, data: scenes}", "recipe: full, data: scenes, encoders: [mfm]}"
    )
    path = tmp_path / "tiny.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match="'full' does not fine-tune row 'folk'; list rows in"):
        load_study(path, STAGES)


def test_the_studies_of_this_repository_are_sound():
    for path in Path("config").glob("*.yaml"):
        if not path.name.startswith("cluster"):
            assert load_study(path, STAGES).name == path.stem


GRID = (
    "seeds: [0, 3]}",
    "seeds: [0], set: {optim.epochs: 3}, grid: {optim.lr: {low: 1.0e-3, high: 2.0e-3}}}",
)
TWO_KEYS = "grid: {optim.lr: {low: 1.0e-3, high: 2.0e-3}, optim.batch: {few: 8, many: 16}}"


def with_grid(tmp_path, *more):
    text = STUDY
    claims = text.index("claims:")
    text = text[:claims].replace("classifier: full}", "classifier: full, encoders: [folk]}")
    for old, new in (GRID, *more):
        assert old in text, old
        text = text.replace(old, new, 1)
    (tmp_path / "tiny.yaml").write_text(text)
    return load_study(tmp_path / "tiny.yaml", STAGES)


def test_a_grid_becomes_a_row_for_each_value_and_its_name_stands_for_all(tmp_path):
    study = with_grid(tmp_path)

    assert list(study.encoders) == ["folk-low", "folk-high"]
    assert [row.label for row in study.encoders.values()] == ["FOLK, low", "FOLK, high"]
    assert study.encoders["folk-high"].overrides == {"optim.epochs": 3, "optim.lr": 2.0e-3}
    assert study.tables["main"].rows == ["folk-low", "folk-high"]
    assert study.rows_of("hard") == ["folk-low", "folk-high"]
    assert study.grids == {"folk": ["folk-low", "folk-high"]}
    assert [run for run, _, _ in study.runs()] == ["folk-low-s0", "folk-high-s0"]


def test_a_grid_of_two_keys_has_each_combination(tmp_path):
    study = with_grid(tmp_path, (GRID[1].split("3}, ")[1][:-1], TWO_KEYS))

    names = ["folk-low-few", "folk-low-many", "folk-high-few", "folk-high-many"]
    assert list(study.encoders) == names
    assert study.encoders["folk-low-many"].label == "FOLK, low, many"
    assert study.encoders["folk-low-many"].overrides["optim.batch"] == 16


def test_a_study_with_a_grid_is_the_one_with_its_rows_written(tmp_path):
    written = "".join(
        f"  folk-{name}: {{label: 'FOLK, {name}', recipe: folk, data: scenes, seeds: [0], "
        f"set: {{optim.epochs: 3, optim.lr: {rate}}}}}\n"
        for name, rate in (("low", 1.0e-3), ("high", 2.0e-3))
    )
    by_grid = with_grid(tmp_path)
    row = f"  folk: {{label: FOLK, recipe: folk, data: scenes, {GRID[1]}\n"

    lists = [(f"{key}: [folk]", f"{key}: [folk-low, folk-high]") for key in ("encoders", "rows")]
    by_hand = with_grid(tmp_path, (row, written), *lists)

    assert by_hand.model_dump() == by_grid.model_dump()
    # Nor do grids change the values that reports before them recorded.
    assert "grid" not in by_grid.encoders["folk-low"].model_dump()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("high: 2", "'../x': 2", "a name may have only"),
        ("low: 1.0e-3, high: 2.0e-3", "", "at least 1 item"),
        ("optim.lr:", "'optim lr':", "a key of 'set' is words"),
        ("optim.epochs: 3", "optim.lr: 3", r":8: encoders\.folk: 'optim.lr' is in 'set' and in"),
        ("high: 2", f"{'h' * 60}: 2", "has more than 64 characters"),
        ("low: 1.0e-3, high: 2.0e-3", ", ".join(f"v{n}: {n}" for n in range(65)),
         "'grid' makes 65 rows; expected at most 64"),
        ("evaluations:",
         "  folk-low: {label: x, recipe: folk, data: scenes, seeds: [0]}\nevaluations:",
         r":8: encoders\.folk\.grid: duplicate name 'folk-low'; rename one"),
        ("data: scenes, seeds", "data: scene, seeds", r":8: encoders\.folk\.data: unknown data"),
        ("rows: [folk]", "rows: [folk-lwo]", "row 'folk-lwo'; did you mean 'folk-low'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_grid_is_named(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        with_grid(tmp_path, (old, new))


NESTED = ("recipe: full, data: scenes}", "recipe: full, data: scenes, seeds: [0, 4]}")


def nested(tmp_path, *more):
    text = STUDY.replace(*NESTED).replace("[full, few-a]", "[full, full]")
    for old, new in more:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "tiny.yaml").write_text(text)
    return load_study(tmp_path / "tiny.yaml", STAGES)


def test_each_fine_tuning_seed_becomes_an_evaluation_and_its_robustness_another(tmp_path):
    study = nested(tmp_path)

    assert list(study.evaluations) == ["full-f0", "full-f4", "few-a", "hard-f0", "hard-f4"]
    assert [e.finetune_seed for e in study.evaluations.values()] == [0, 4, None, 0, 4]
    assert study.evaluations["hard-f4"].classifier == "full-f4"
    column = study.tables["main"].columns["full"]
    assert study.rounds(column) == {0: ["full-f0"], 4: ["full-f4"]}
    assert study.written_name("hard-f4") == "hard"
    assert study.written_name("few-a") == "few-a"


def test_a_study_without_fine_tuning_seeds_is_as_it_is_written(tmp_path):
    study = load(tmp_path)

    assert study == written_study(tmp_path / "tiny.yaml", STAGES)
    assert study.rounds(study.tables["main"].columns["avg"]) == {None: ["full", "few-a"]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[full, full]",
            "[full, few-a]",
            r"main.columns.avg: .* same fine-tuning 'seeds', got: full has \[0, 4\]; few-a has n",
        ),
        ("  few-a: ", "  full-f4: ", "evaluations.full: duplicate name 'full-f4'"),
        ("seeds: [0, 4]", "seeds: [4, 4]", "duplicate seed"),
        ("seeds: [0, 4]", "seeds: []", "at least 1 item"),
        ("classifier: full}", "classifier: full, seeds: [0]}", "not supported by robustness"),
    ],
)
def test_fine_tuning_seeds_that_cannot_be_had_are_refused(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        nested(tmp_path, (old, new))
