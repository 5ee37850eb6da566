"""The outputs of `docs/filters.ipynb`, made by running its cells.

python -m tests.notebook            # does the notebook have them? status 1 if not
python -m tests.notebook --write    # make it so
"""

import base64
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path("docs/filters.ipynb")
DPI = 50  # its figures are a part of every clone


def run(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Run the code cells in order; the outputs of each, as the notebook keeps them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {}
    outputs = []
    for cell in code_cells(notebook):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec("".join(cell["source"]), names)
        found: list[dict[str, Any]] = []
        if text := printed.getvalue():
            lines = text.splitlines(keepends=True)
            found.append({"name": "stdout", "output_type": "stream", "text": lines})
        for number in plt.get_fignums():
            file = io.BytesIO()
            plt.figure(number).savefig(file, dpi=DPI, bbox_inches="tight")
            image = base64.b64encode(file.getvalue()).decode()
            data = {"image/png": image, "text/plain": ["<Figure>"]}
            found.append({"data": data, "metadata": {}, "output_type": "display_data"})
        plt.close("all")
        outputs.append(found)
    return outputs


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def texts(outputs: list[list[dict[str, Any]]]) -> list[list[Any]]:
    """What does not differ in the last bit of a pixel: kinds and printed lines."""
    return [[(each["output_type"], each.get("text")) for each in cell] for cell in outputs]


def main() -> int:
    """Compare the notebook with a run of its cells, or write it."""
    notebook = json.loads(PAGE.read_text(encoding="utf-8"))
    made = run(notebook)
    if "--write" in sys.argv[1:]:
        for number, (cell, found) in enumerate(zip(code_cells(notebook), made, strict=True), 1):
            cell |= {"execution_count": number, "outputs": found}
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        PAGE.write_text(f"{text}\n", encoding="utf-8")
    elif texts([cell["outputs"] for cell in code_cells(notebook)]) != texts(made):
        print(f"{PAGE} has other outputs: python -m tests.notebook --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
