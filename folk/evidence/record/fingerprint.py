"""Fingerprint of a stage's code, independent of comments and formatting.

The modules of this package that a stage imports are found in their syntax trees; nothing is
imported, so that a workflow gets the fingerprints of all stages quickly. Not covered: data files,
other packages (see the environment lock) and modules whose names are made at run time. A filter of
another package has a fingerprint of its own (`folk/filters/settings.py`).
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from folk.evidence.core.errors import InputError, nearest

PACKAGE = "folk"


# The folder that holds the package, which in a clone is the folder of the workflow.
SOURCE = Path(__file__).resolve().parents[3]


def code_here() -> Path:
    """The folder of the code that results are compared with: the current one, else `SOURCE`."""
    return Path() if Path(PACKAGE, "__init__.py").is_file() else SOURCE


def code_fingerprint(module: str, root: Path) -> str:
    """Hash everything in its package that `module` may run.

    Args:
        root: the folder that holds the package.

    Returns:
        sha256 as 64 hex digits.

    Raises:
        InputError: the module does not exist, or a module of its closure is invalid Python.
    """
    parts = fingerprint_parts(module, root)
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def fingerprint_of_package(module: str) -> str:
    """Hash everything in its own package that an imported module of another package may run.

    Raises:
        InputError: as `code_fingerprint`.
    """
    file = Path(str(sys.modules[module].__file__)).resolve()
    depth = module.count(".") + (file.name == "__init__.py")
    return code_fingerprint(module, file.parents[depth])


def fingerprint_parts(module: str, root: Path) -> dict[str, str]:
    """Hash each module of the closure, to show which of them changed.

    Raises:
        InputError: as `code_fingerprint`.
    """
    return {name: _parsed(name, root).digest for name in closure(module, root)}


def closure(module: str, root: Path) -> list[str]:
    """List the modules of the package that importing and running `module` may import, sorted.

    Imports inside functions count; imports under `if TYPE_CHECKING:` do not.

    Raises:
        InputError: as `code_fingerprint`.
    """
    if _file_of(module, root) is None:
        raise InputError(f"{root}: unknown module '{module}'{nearest(module, _modules(root))}")
    found: set[str] = set()
    waiting = [module]
    while waiting:
        # Importing a.b.c runs a/__init__ and a/b/__init__ first.
        parts = waiting.pop().split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name not in found and _file_of(name, root) is not None:
                found.add(name)
                waiting += [m for m in _parsed(name, root).mentions if _file_of(m, root)]
    return sorted(found)


@dataclass(frozen=True)
class _Parsed:
    digest: str
    mentions: tuple[str, ...]  # dotted names in import statements; not all of them are modules


def _parsed(name: str, root: Path) -> _Parsed:
    path = _file_of(name, root)
    assert path is not None, name
    status = path.stat()
    return _parse(path, name, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _parse(path: Path, name: str, mtime_ns: int, size: int) -> _Parsed:
    # The last two arguments are part of the cache key, so that an edited file is read again.
    source = path.read_bytes()
    try:
        tree = ast.parse(source, filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        reason = getattr(error, "msg", error)
        raise InputError(f"{where}: invalid Python: {reason}") from error
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    top = name.partition(".")[0]
    mentions = tuple(m for m in _mentioned(tree, package) if m.split(".")[0] == top)
    words: list[str] = []
    _spell(tree, words)
    return _Parsed(hashlib.sha256("".join(words).encode()).hexdigest(), mentions)


def _mentioned(node: ast.AST, package: str) -> Iterator[str]:
    """Yield names in import statements at and below `node`; `from a import b` may mean a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".") if node.level else []
        above = above[: len(above) - node.level + 1]
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    else:
        inner: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            inner = node.orelse
        for child in inner:
            if not isinstance(child, ast.expr):  # no expression holds an import
                yield from _mentioned(child, package)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _spell(node: ast.AST, words: list[str]) -> None:
    """Serialize a tree by its semantics, in the same way in every Python version.

    `ast.dump` will not do: Python 3.12 and 3.13 added fields and left out empty ones.
    """
    words.append(f"({node.__class__.__name__}")
    for field in node._fields:
        if field in ("ctx", "kind", "type_comment"):  # implied by the position, or without meaning
            continue
        value = getattr(node, field, None)
        if value is None or value == []:
            continue
        words.append(f" {field}=")
        if isinstance(value, list):
            words.append("[")
            for child in value:
                if isinstance(child, ast.AST):
                    if field != "body" or not _says_nothing(child):
                        _spell(child, words)
                else:
                    words.append(f" {child!r}")
            words.append("]")
        elif isinstance(value, ast.AST):
            _spell(value, words)
        else:
            words.append(repr(value))
    words.append(")")


def _says_nothing(node: ast.AST) -> bool:
    """Return True for docstrings, `pass` and release numbers, which change no result."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    if isinstance(node, ast.Assign):
        return [getattr(target, "id", "") for target in node.targets] == ["__version__"]
    return isinstance(node, ast.Pass)


def _file_of(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split("."))
    package, module = path / "__init__.py", path.with_name(f"{path.name}.py")
    if package.is_file():
        return package
    return module if module.is_file() else None


def _modules(root: Path) -> list[str]:
    files = (root / PACKAGE).rglob("*.py")
    return [".".join(f.relative_to(root).with_suffix("").parts) for f in files if f.stem[0] != "_"]
