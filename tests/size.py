"""The table of sizes in `docs/architecture.md`, counted from the files.

python -m tests.size            # is the page what the files say? status 1 if not
python -m tests.size --write    # make it so
"""

import ast
import sys
from pathlib import Path

PAGE = Path("docs/architecture.md")
BEGIN, END = "<!-- python -m tests.size --write -->\n", "<!-- end of sizes -->\n"
# What a reader opens who follows one image of FOLK's pre-training from its shard to the loss ...
IMAGE = (
    "stages/tasks/pretrain", "stages/images", "stages/loop", "training/loop", "data/dataset",
    "data/sampler", "data/shards", "data/decode", "data/pixels", "data/transforms", "data/augment",
    "data/color", "methods/folk", "methods/mfm", "methods/base", "methods/losses",
    "methods/distillation", "filters/com_rcom", "filters/apply", "filters/spectrum", "filters/rng",
    "models/encoder", "models/heads",
)  # fmt: skip
# ... and who follows one accuracy from the predictions to the cell of a table.
CELL = (
    "cli/report", "evidence/report/render", "evidence/report/tables", "evidence/results/cells",
    "evidence/results/evidence", "evidence/results/bootstrap",
    "evidence/results/metrics/classification", "evidence/results/metrics/columns",
    "evidence/results/metrics/image_scores", "evidence/results/metrics/intervals",
    "evidence/results/published",
    "evidence/results/verdicts", "evidence/results/stored", "evidence/study/stage",
    "evidence/study/study",
)  # fmt: skip


def imported(module: str) -> set[str]:
    """What a module of `folk/`, given as `package/module`, imports of `folk/`."""
    found = set()
    for node in ast.walk(ast.parse(Path("folk", f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("folk."):
            place = str(node.module).removeprefix("folk.").replace(".", "/")
            found |= {place, *(f"{place}/{alias.name}" for alias in node.names)}
    return found


def lines(folder: str) -> dict[Path, int]:
    """Lines of each Python file below a folder."""
    return {p: len(p.read_bytes().splitlines()) for p in Path(folder).rglob("*.py")}


def table() -> str:
    """The table in Markdown."""
    rows = ["| what | count |", "| -- | -- |"]
    for folder in ("folk", "tests"):
        counts = lines(folder)
        rows.append(f"| lines of `{folder}/` | {sum(counts.values()):,} in {len(counts)} files |")
    longest, count = max(lines("folk").items(), key=lambda item: (item[1], str(item[0])))
    rows.append(f"| longest file of `folk/` | {count} lines, `{longest}` |")
    rows.append(f"| files on the path of an image, from its shard to FOLK's loss | {len(IMAGE)} |")
    rows.append(f"| files on the path of a cell, from predictions to its table | {len(CELL)} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Compare the page with the files, or write it."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    wanted = f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"
    if "--write" in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        print(f"{PAGE} is not what the files say: python -m tests.size --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
