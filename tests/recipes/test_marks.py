"""Every value of a recipe of the papers, or adapted to smaller data, says where it comes from."""

from pathlib import Path

import pytest

from folk.evidence.core.yaml_model import Document, flattened
from folk.stages.recipes import result_values
from folk.stages.table import load_recipe

FOLDER = Path("config/recipes")
PROSE = ("base", "about", "source", "assume", "runtime")


ADAPTED = ("cifar", "imagenet-100", "stl-10", "tenth")


def is_marked(path: Path) -> bool:
    return not path.stem.startswith(("demo", "fashion"))


RECIPES = [path for path in sorted(FOLDER.glob("*/*.yaml")) if is_marked(path)]


def unmarked(leaves, marks) -> list[str]:
    return [leaf for leaf in leaves if not any(f"{leaf}.".startswith(f"{m}.") for m in marks)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_value_that_decides_a_result_has_a_source_or_a_stated_basis(path):
    recipe = load_recipe(path.parent.name, path)

    given = flattened(recipe.model_dump(exclude=set(PROSE) - {"base"}, exclude_unset=True))
    # A section that a kind of recipe does not have is null, stands in no file, and says nothing.
    leaves = [k for k, v in flattened(result_values(recipe)).items() if k in given or v is not None]
    assert unmarked(leaves, recipe.source.keys() | recipe.assume.keys()) == []


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_value_that_a_file_changes_is_explained_in_that_file(path):
    # Else a mark of the base, on a whole section, would speak for a value that it never saw.
    values = Document(path).values
    own = flattened({key: value for key, value in values.items() if key not in PROSE})
    marks = values.get("source", {}).keys() | values.get("assume", {}).keys()

    assert unmarked(own, marks) == []


def test_the_recipes_of_the_papers_size_are_all_there():
    papers = [path for path in RECIPES if not path.stem.startswith(ADAPTED)]
    names = {stage: {p.stem for p in papers if p.parent.name == stage} for stage in
             ("pretrain", "finetune", "probe", "segment", "split")}  # fmt: skip

    both = ("vit-small", "vit-base")
    assert names["pretrain"] == {
        *(f"{m}-{e}" for m in ("scratch", "mfm", "mfm-com", "folk") for e in (*both, "resnet50")),
        *(f"mfm-distill-{e}" for e in both),
        *(f"{m}-{e}" for m in ("sr", "deblur", "denoise") for e in ("vit-base", "resnet50")),
        "scratch-swin-tiny", "mfm-swin-tiny", "gabor-vit-small", "random-vit-small",
    }  # fmt: skip
    assert names["finetune"] == {
        *(f"{m}-{e}" for m in ("mfm", "folk") for e in both), "rsb-a2", "rsb-a3", "swin-tiny",
        *(f"few-{k}{long}-{e}" for k in "abc" for long in ("", "-long") for e in both),
    }  # fmt: skip
    assert names["probe"] == {"imagenet-vit-small", "imagenet-vit-base", "imagenet-resnet50"}
    assert names["segment"] == {"ade20k-vit-base", "ade20k-vit-small"}
    assert names["split"] == {"ten-percent", "one-percent"}
