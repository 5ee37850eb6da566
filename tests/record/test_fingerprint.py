"""The fingerprint of a stage moves with what its code does, and with nothing else."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.record.fingerprint import closure, code_fingerprint, fingerprint_parts

ROOT = Path(__file__).parents[2]

FILES = {
    "folk/__init__.py": '"""The package."""\n__version__ = "1"\n',
    "folk/stages/__init__.py": "",
    "folk/stages/train.py": '''"""Train."""
from typing import TYPE_CHECKING

import json
from folk.models import encoder
from ..methods.loss import loss as the_loss

if TYPE_CHECKING:
    from folk.unused import Type
else:
    import folk.fallback


def train(steps: int) -> float:
    """Run."""
    from folk import late  # only when it runs
    try:
        import folk.tried
    except ImportError:
        from . import handled
    return the_loss(steps) * 2  # twice
''',
    "folk/models/__init__.py": "from .head import Head\n",
    "folk/models/encoder.py": "size = 3\n",
    "folk/models/head.py": "class Head:\n    width = 8\n",
    "folk/methods/__init__.py": "",
    "folk/methods/loss.py": "def loss(x):\n    return x + 1\n",
    "folk/late.py": "",
    "folk/fallback.py": "",
    "folk/tried.py": "",
    "folk/stages/handled.py": "",
    "folk/unused.py": "Type = int\n",
    "folk/other.py": "x = 1\n",
}


@pytest.fixture
def package(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edit(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def test_closure_follows_every_form_of_import_and_skips_type_checking(package):
    assert closure("folk.stages.train", package) == [
        "folk",
        "folk.fallback",
        "folk.late",
        "folk.methods",
        "folk.methods.loss",
        "folk.models",
        "folk.models.encoder",
        "folk.models.head",
        "folk.stages",
        "folk.stages.handled",
        "folk.stages.train",
        "folk.tried",
    ]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("folk/stages/train.py", "  # twice", "  # doubled, as the paper says"),
        ("folk/stages/train.py", '"""Run."""', '"""Run the loop.\n\n    At length.\n    """'),
        ("folk/stages/train.py", '    """Run."""\n', ""),
        ("folk/stages/train.py", "return the_loss(steps) * 2", "return (the_loss(steps)) * (2)"),
        ("folk/models/head.py", "    width = 8", '    width = 8\n    """In channels."""'),
        ("folk/models/head.py", "    width = 8", "    pass\n\n    width = 0x8"),
        ("folk/__init__.py", '__version__ = "1"', '__version__ = "2"'),
        ("folk/other.py", "x = 1", "x = 2"),
        ("folk/unused.py", "Type = int", "Type = float"),
    ],
)
def test_words_layout_and_unrelated_modules_leave_the_fingerprint_alone(package, name, old, new):
    before = code_fingerprint("folk.stages.train", package)

    edit(package, name, old, new)

    assert code_fingerprint("folk.stages.train", package) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("folk/stages/train.py", "* 2", "* 3"),
        ("folk/stages/train.py", "steps: int)", "steps: int = 5)"),
        ("folk/stages/train.py", "    return the_loss", "    the_loss"),
        ("folk/methods/loss.py", "x + 1", "x - 1"),
        ("folk/methods/loss.py", "return x + 1", "return None"),
        ("folk/methods/__init__.py", "", "import folk.other\n"),
        ("folk/models/head.py", "width = 8", "width = 8.0"),
        ("folk/models/head.py", "width = 8", 'width = "8"'),
        ("folk/models/encoder.py", "size = 3", "size = None"),
        ("folk/late.py", "", "on = True\n"),
    ],
)
def test_a_change_of_meaning_anywhere_in_the_closure_moves_it(package, name, old, new):
    before = code_fingerprint("folk.stages.train", package)

    edit(package, name, old, new)

    assert code_fingerprint("folk.stages.train", package) != before


def test_the_parts_name_the_module_that_moved(package):
    before = fingerprint_parts("folk.stages.train", package)

    edit(package, "folk/methods/loss.py", "x + 1", "x - 1")

    after = fingerprint_parts("folk.stages.train", package)
    assert [name for name in after if after[name] != before[name]] == ["folk.methods.loss"]


def test_a_module_that_appears_later_joins_the_closure(package):
    (package / "folk/models/encoder.py").write_text("from folk.models import extra\n")
    assert "folk.models.extra" not in closure("folk.stages.train", package)

    (package / "folk/models/extra.py").write_text("")

    assert "folk.models.extra" in closure("folk.stages.train", package)


def test_an_unknown_module_is_refused_with_the_nearest_name(package):
    with pytest.raises(InputError, match=r"did you mean 'folk\.stages\.train'"):
        code_fingerprint("folk.stages.trian", package)


def test_a_module_that_is_not_python_is_refused_with_its_line(package):
    (package / "folk/late.py").write_text("x = 1\ndef broken(:\n")

    with pytest.raises(InputError, match=r"late\.py:2: invalid Python"):
        code_fingerprint("folk.stages.train", package)


def test_the_real_package_is_read_quickly_and_nothing_is_imported():
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from folk.evidence.record.fingerprint import code_fingerprint\n"
        "code_fingerprint('folk.evidence.record.record', Path('.'))\n"
        "assert 'folk.evidence.record.record' not in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    code_fingerprint("folk.evidence.record.record", ROOT)

    start = time.perf_counter()
    code_fingerprint("folk.evidence.record.record", ROOT)

    assert time.perf_counter() - start < 0.1


def test_every_filter_counts_as_code_of_pretraining():
    found = closure("folk.stages.pretrain", ROOT)

    assert {f"folk.filters.{name}" for name in ("radial", "com_rcom", "gabor")} <= set(found)
