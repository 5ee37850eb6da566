"""Files that come with the package: the workflow, studies, recipes and published numbers.

They lie in the folder of a clone, or inside the package where a wheel has installed it.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]
_OF_WHEEL = _PACKAGE / "shipped"  # pyproject.toml copies them there

IS_WHEEL = _OF_WHEEL.is_dir()
SHIPPED = _OF_WHEEL if IS_WHEEL else _PACKAGE.parent
RECIPES = Path("config/recipes")
_NAMES = ("Snakefile", "config", "profiles", "requirements.lock", "workflow")  # never results


def shipped(path: Path) -> Path:
    """A file or folder of the repository: in the current folder, else where the package has it.

    A path that neither has, that is absolute, or that does not come with the package, such as one
    of results, stays as it is.
    """
    kept = SHIPPED / path
    ships = path.parts[0] in _NAMES if path.parts else False
    return kept if ships and kept.exists() and not path.exists() else path


def own_or_shipped_recipe(path: Path) -> Path:
    """A recipe, `.../STAGE/NAME.yaml`: this file, else the package's of that stage and name."""
    kept = shipped(RECIPES / path.parent.name / path.name)
    return kept if kept.exists() and not path.exists() else path
