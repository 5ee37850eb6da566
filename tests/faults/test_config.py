"""What a study, a recipe or a setting holds is read as it is meant, or refused by file and line."""

import math
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from folk.cli.app import app
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document, parse_value, parsed_settings, spelt_value
from folk.evidence.results.published import load_published, numbers_file
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES, load_recipe
from tests.faults.table import fault
from tests.toy import STUDY, study_file

RECIPES = Path("config/recipes")
MFM = RECIPES / "pretrain/demo-mfm.yaml"


def refused(path: Path) -> list[str]:
    """The lines with which a study file is refused."""
    with pytest.raises(InputError) as caught:
        load_study(path, STAGES)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(b"", "tiny.yaml: expected keys with values, got nothing", marks=fault(
            "Config", "a study file that is empty", "refused by name")),
        (b"# a remark alone\n", "tiny.yaml: expected keys with values, got nothing"),
        (b"- a\n- b\n", "tiny.yaml: expected keys with values, got a list"),
        pytest.param(b"a: [1\nb: {\n", r"tiny.yaml:\d: not readable as YAML: while parsing",
            marks=fault("Config", "a file that is no YAML", "refused by file and line")),
        pytest.param("title: sch\xf6n".encode("latin-1"), "tiny.yaml:1: not UTF-8: .* as UTF-8",
            marks=fault("Config", "a file that is not UTF-8", "refused by file and line")),
        (STUDY.encode("utf-16"), "tiny.yaml:1: not UTF-8"),
        (bytes(range(256)), "tiny.yaml:2: not UTF-8"),
        (STUDY.encode().replace(b"A study", b"A\0study"), "yaml:3: not .* control characters"),
        pytest.param(b"a: 1\nb: 2\na: 3\n", "tiny.yaml:3: .*: duplicate key 'a'",
            marks=fault("Config", "a key, such as a row's name, that stands there twice",
                        "refused by file and line")),
        (b"a: !!python/object:os.system x\n", "tiny.yaml:1: .*unknown type"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_study_is_refused_by_its_line(tmp_path, content, line):
    path = tmp_path / "tiny.yaml"
    path.write_bytes(content)

    (said,) = refused(path)

    assert re.search(line, said), said


@fault("Config", "a study file that is missing, a folder, or called impossibly",
       "refused by name, with the nearest one")  # fmt: skip
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tiyn.yaml", "tiyn.yaml: no such file; did you mean 'tiny'?"),
        ("folder.yaml", "folder.yaml: expected a file"),
        ("x" * 300, "cannot be read: File name too long"),
        ("a\0b.yaml", "no such file"),
        ("a\nb.yaml", "a b.yaml: no such file"),
    ],
)
def test_a_path_that_leads_to_no_file_is_refused_in_one_line(tmp_path, name, line):
    (tmp_path / "tiny.yaml").touch()
    (tmp_path / "folder.yaml").mkdir()

    (said,) = refused(tmp_path / name)

    assert line in said


def test_a_file_that_only_others_may_read_is_refused_with_the_systems_reason(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").touch()

    def denied(*_args, **_kwargs):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "read_text", denied)  # root may read everything
    assert refused(tmp_path / "tiny.yaml") == [
        f"{tmp_path}/tiny.yaml: cannot be read: Permission denied"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: &a [x]\nb: [*a, *a]\n", ":1: .*aliases are not supported", marks=fault(
            "Config", "an alias of an anchor, such as those that stand for billions of values",
            "refused by file and line")),
        pytest.param("a: " + "[" * 900 + "]" * 900, ":1: .*more than 60 levels", marks=fault(
            "Config", "900 brackets inside each other", "refused by file and line")),
        ("".join(" " * n + "a:\n" for n in range(900)), ":62: .*more than 60"),
        ("a: *b\n", ":1: .*undefined alias"),
    ],
    ids=range(4),
)  # fmt: skip
def test_a_file_that_would_fill_memory_or_stack_is_refused(tmp_path, text, problem):
    (tmp_path / "tiny.yaml").write_text(text)

    (said,) = refused(tmp_path / "tiny.yaml")

    assert re.search(problem, said), said


ODD_NAMES = [
    "a b", "a'b", '"', "$(touch x)", "`id`", "../up", "a/b", "tiny\n", "-rf", "", "A", "ä", "a.b",
    "{a}", "a;b", "a*", "<b>", "\\evil", "\u202e", "a" * 65,
]  # fmt: skip


# Everything that has a name, each as `{}`.
NAMED = """
study: {0}
title: A study
scale: demo
data: {{{0}: {{recipe: {0}, archives: {{{0}: x}}}}}}
splits: {{{0}: {{data: {0}, recipe: few}}}}
encoders: {{{0}: {{label: FOLK, recipe: folk, data: scenes, seeds: [0]}}}}
evaluations: {{{0}: {{stage: finetune, recipe: {0}, data: scenes, split: {0}}}}}
tables:
  {0}: {{title: M, rows: [{0}], columns: {{{0}: {{label: a, evaluation: {0}, metric: m}}}}}}
claims: {{{0}: {{says: it rises, order: [a/b/c, d/e/f]}}}}
"""
PLACES = NAMED.count("{0}")


@fault("Config", "a name with spaces, quotes, `$(...)`, `../`, newlines, unicode, a leading dash, "
       "or of more than 64 characters", "refused by file, line and key")  # fmt: skip
@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_a_name_that_a_shell_or_a_path_could_misread_is_refused(tmp_path, name):
    path = tmp_path / "tiny.yaml"
    path.write_text(NAMED.format(spelt_value(name)))

    lines = [line for line in refused(path) if ": a name may h" in line]

    assert all(re.match(rf"{re.escape(str(path))}:\d+: \S", line) for line in lines)
    assert len(lines) == PLACES, lines


TEXT = (
    "<script>alert(1)</script> & \\evil{%} $x_1$ {study} `id` $(id) [red] | \u202e \u65e5 'q' \"d\""
)


@fault("Config", "titles and labels of HTML, LaTeX, shell words, markup or unicode",
       "taken; they are escaped wherever they are shown")  # fmt: skip
def test_a_title_may_hold_anything_that_can_be_shown(tmp_path):
    path = study_file(tmp_path, "title: A study", f"title: {spelt_value(TEXT)}")

    assert load_study(path, STAGES).title == TEXT


@fault("Config", "a text with control characters, such as those that steer a terminal",
       "refused by file and line")  # fmt: skip
@pytest.mark.parametrize("character", ["\\e[2J", "\\0", "\\r", "\\x7f", "\\u009b", "\\L"])
def test_a_text_that_would_steer_a_terminal_is_refused(tmp_path, character):
    path = study_file(tmp_path, "title: A study", f'title: "A {character}"')
    assert re.search(r"tiny\.yaml:3: .*holds a control character", refused(path)[0])

    path = study_file(tmp_path, "title: A study", f'"ti{character}": A study')
    assert re.search(r"tiny\.yaml:3: .*holds a control character", refused(path)[0])


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param("[0, 3]", "['3']", ":8: encoders.folk.seeds.0: .*integer.*'3'", marks=fault(
            "Config", "a number written as a text, a text written as a number, a fraction for a "
            "count", "refused with what was found")),
        ("[0, 3]", "[1e1]", ":8: encoders.folk.seeds.0: .*integer.*10.0"),
        ("[0, 3]", "[true]", ":8: encoders.folk.seeds.0: .*integer.*True"),
        ("label: FOLK", "label: 1e-3", ":8: encoders.folk.label: .*string.*0.001"),
        ("label: FOLK", "label: ~", ":8: encoders.folk.label: .*string.*None"),
        ("label: FOLK", "label: true", ":8: encoders.folk.label: .*string.*True"),
        pytest.param("margin: 0.2", "margin: .inf", ":26: .*inf is no finite number",
            marks=fault("Config", "NaN, infinity, or a number of thousands of digits",
                        "refused by file, line and key")),
        ("margin: 0.2", "margin: 1e999", ":26: .*1e999 is no finite number"),
        ("margin: 0.2", "margin: .nan", ":26: .*nan is no finite number"),
        ("recipe: few}", "recipe: few, set: {a.b: [0, {c: .nan}]}}", ":[0-9]+: .*nan is no finite"),
        ("[0, 3]", f"[{'9' * 5000}]", ":8: .*value has 5000 digits"),
        ("[0, 3]", f"[{2**53}]", ":8: encoders.folk.seeds.0: Input should be less than"),
        pytest.param("recipe: few}", "recipe: few, set: {'a;b': 1}}", "set.a;b: a key of 'set' is",
            marks=fault("Config", "a key of `set` that is no word", "refused by file and line")),
        ("recipe: few}", "recipe: few, set: {a=b: 1}}", "set.a=b: a key of 'set' is words"),
        ("recipe: few}", "recipe: few, set: {a..b: 1}}", "set.a..b: a key of 'set' is words"),
        ("recipe: few}", "recipe: few, set: [1]}", "splits.few.set: .*dictionary"),
        ("title: A study", "name: x\ntitle: A study", ":3: name: unknown key.*claims, .*study"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_where_it_stands(tmp_path, old, new, line):
    said = refused(study_file(tmp_path, old, new))

    assert re.search(line, said[0]), said


@pytest.mark.parametrize(
    "value",
    [0, -3, 1e-05, 1e16, 1e300, True, None, "", "1", "no", "~", [], {}, {"a b": ['"', "\\"]},
     "\U0001f600 x", "\\ud83d\\ude00", "\x85\x7f\n\t\u2028", "'; rm", "a: b # c", "{x}", [[1.5]],
     "\u65e5\u672c", "<b>&amp;", "*a", "&a", "!x", "%y", "@z", "- q", "? k"],
)  # fmt: skip
def test_a_value_goes_through_a_command_line_unchanged(value):
    word = spelt_value(value)

    assert word.isascii()
    assert "\n" not in word
    try:
        assert parse_value(word) == value
    except InputError:  # only what no study file may hold is not read back
        assert re.search(r"[\x7f-\x9f\u2028]", value)


def a_thousand_rows() -> str:
    rows = "".join(
        f"  r{n}: {{label: R{n}, recipe: folk, data: scenes, seeds: [0, 1]}}\n" for n in range(1000)
    )
    return STUDY.replace("evaluations:\n", f"{rows}evaluations:\n", 1)


@fault("Config", "one wrong value in a study of 1,000 rows", "refused by its line, in a second")
def test_one_wrong_value_among_a_thousand_rows_is_told_by_its_line(tmp_path):
    path = tmp_path / "tiny.yaml"
    wrong = "label: R500, recipe: folk, data: scnes"
    path.write_text(a_thousand_rows().replace("label: R500, recipe: folk, data: scenes", wrong))
    start = time.perf_counter()

    said = refused(path)

    assert said == [
        f"{path}:509: encoders.r500.data: unknown data set 'scnes'; did you mean 'scenes'?"
    ]
    assert time.perf_counter() - start < 5


@fault("Config", "a hundred wrong values", "all refused at once, a line each")
def test_wrong_values_are_told_at_once_in_lines_that_can_be_read(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(a_thousand_rows().replace("rows: [folk]", f"rows: [{'zzzz, ' * 100}folk]"))

    said = refused(path)

    assert len(said) == 100
    assert all(len(line) < len(str(path)) + 300 for line in said)
    assert said[99].endswith("r113, r114 and 981 more")


@fault("Config", "two study files with one name", "the second is refused: it would replace results")
@pytest.mark.parametrize("first", ["tiny.yaml", "third.yaml"])
def test_a_study_named_like_another_is_refused(tmp_path, first):
    (tmp_path / first).write_text(STUDY.replace("study: tiny", "study: 'tiny' # mine"))
    (tmp_path / "second.yaml").write_text(STUDY)
    (tmp_path / "latin.yaml").write_bytes(b"title: \xf6\n")

    (said,) = refused(tmp_path / "second.yaml")

    where = f"{tmp_path}/second.yaml:2: study"
    assert said == f"{where}: duplicate name 'tiny', also in {tmp_path}/{first}; choose another"
    if first == "tiny.yaml":
        assert load_study(tmp_path / "tiny.yaml", STAGES).name == "tiny"


def published(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    folder = shutil.copytree("config/published", tmp_path / "published")
    path = numbers_file(folder)
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return path


@fault("Config", "published numbers of a paper that is not there, or of one id",
       "all refused at once, by file and line")  # fmt: skip
def test_what_is_wrong_with_published_numbers_is_told_at_once(tmp_path):
    first, second = "folk-t1-scratch-vits", "folk-t1-scratch-vitb"
    path = published(tmp_path, (f"{second},", f"{first},"), (",folk,", ",odd,"))

    with pytest.raises(InputError) as caught:
        load_published(path.parent)

    lines = str(caught.value).splitlines()
    assert all(re.match(rf"{re.escape(str(path))}:\d+: ", line) for line in lines)
    assert any("unknown paper 'odd'" in line for line in lines)
    assert any(f"duplicate id '{first}'" in line for line in lines)


@fault("Config", "a recipe's `base` that is no name, such as `../../secret`",
       "refused by file and line; nothing outside the folder is read")  # fmt: skip
@pytest.mark.parametrize("base", ["../../secret", "/etc/passwd", "[a]", "{a: b}", "5.5", "''", "A"])
def test_a_base_that_is_no_name_is_refused(tmp_path, base):
    (tmp_path / "a.yaml").write_text(f"about: {{}}\nbase: {base}\n")

    with pytest.raises(InputError, match=r"a\.yaml:2: base: a name may have only"):
        load_recipe("pretrain", tmp_path / "a.yaml")


@fault("Config", "a recipe whose `source` or `assume` is no mapping, or speaks of no key",
       "refused by file and line")  # fmt: skip
@pytest.mark.parametrize("mark", ["source", "assume"])
@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("5", "{}: Input should be a valid dictionary"),
        ("[a]", "{}: Input should be a valid dictionary"),
        ("~", "{}: Input should be a valid dictionary"),
        ("{optim.__class__: x}", "{}: unknown key 'optim.__class__' of this recipe"),
        ("{encoder.timm_args.nothing: x}", "{}: unknown key 'encoder.timm_args.nothing'"),
        ("{'': x}", "{}: unknown key '' of this recipe"),
    ],
)
def test_remarks_about_no_key_are_refused(tmp_path, mark, value, line):
    (tmp_path / "base.yaml").write_text(MFM.read_text())
    (tmp_path / "a.yaml").write_text(f"base: base\n{mark}: {value}\n")

    with pytest.raises(InputError, match=re.escape(line.format(mark))):
        load_recipe("pretrain", tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        pytest.param("optim.lr", "--set optim.lr: expected KEY=VALUE", marks=fault(
            "Config", "`--set` without a value, of no key, of no YAML or twice", "refused by key")),
        ("=1", "--set =1: expected KEY=VALUE"),
        ("optim.lr=[", "'[' is not a YAML value"),
        ("optim.lr=" + "[" * 900 + "]" * 900, "a value of 1800 characters is not a YAML value"),
        ("optim.lr=" + "9" * 5000, "is not a YAML value: Exceeds the limit (4300 digits)"),
        ("optim.lr=a\n---\nb", "expected a single document"),
        ("optim.lr=.inf", "'.inf' is not a YAML value: .inf is no finite number"),
        ("optim.lr='1e-3'", "optim.lr: Input should be a valid number (got '1e-3')"),
        ("optim.epochs=1e1", "optim.epochs: Input should be a valid integer (got 10.0)"),
        ("optim.lrr=1", "optim.lrr: unknown key; did you mean 'lr'?"),
        ("optim..lr=1", "optim.: unknown key"),
        ("optim.lr.x=1", "optim.lr: Input should be a valid number"),
        ("optim=3", "optim: Input should be a valid dictionary"),
        ("source=5", "source: Input should be a valid dictionary"),
        ("base=other", "base: unknown key"),
        ("encoder.timm_args.drop=.nan", "'.nan' is not a YAML value: .nan is no finite number"),
        ("$(id)=1", "$(id): unknown key"),
    ],
    ids=range(17),
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_its_key(tmp_path, setting, line):
    done = CliRunner().invoke(
        app,
        ["pretrain", "--recipe", str(MFM), "--dataset", "config/demo.yaml", "--name", "x-s0",
         "--seed", "0", "--out", str(tmp_path / "out"), "--set", setting],
    )  # fmt: skip

    assert isinstance(done.exception, InputError), done.output
    assert line in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_given_twice_is_refused():
    with pytest.raises(InputError, match=r"--set optim\.lr: duplicate key; remove one"):
        parsed_settings(["optim.lr=1", "optim.epochs=2", "optim.lr=2"])


def test_a_finite_number_is_a_finite_number(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1.7e308\nb: -0.0\n")

    assert math.isfinite(Document(tmp_path / "a.yaml").values["a"])
