"""LaTeX itself, for the tests that give it our tables and macros."""

import shutil
import subprocess
from pathlib import Path

import pytest

needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="needs pdflatex: apt-get install --no-install-recommends texlive-latex-extra",
)
PACKAGES = "booktabs,threeparttable"  # that each table asks for in its first line


def typeset(folder: Path, preamble: str, body: str) -> tuple[bytes, str]:
    """Make a paper.

    Returns:
        Its PDF, whose text is not compressed, and what LaTeX complains of.
    """
    head = rf"\pdfcompresslevel=0 \documentclass{{article}} \usepackage{{{PACKAGES}}}"
    paper = f"{head}\n{preamble}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "paper.tex").write_text(paper, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    # Twice, as papers are: a caption goes through a file, which the second run reads.
    for _ in range(2):
        done = subprocess.run(
            [*command, "paper.tex"], cwd=folder, capture_output=True, text=True, errors="replace"
        )
        complaints = [line for line in done.stdout.splitlines() if line.startswith("!")]
        if done.returncode != 0:
            return b"", "\n".join(complaints) or done.stdout
    return (folder / "paper.pdf").read_bytes(), "\n".join(complaints)


def typeset_tables(folder: Path, tables: Path) -> tuple[bytes, str]:
    """Make a paper of all tables of a study, whose every number its text prints too."""
    numbers = tables / "numbers.tex"
    cells = [line.partition("% folk: ")[2] for line in numbers.read_text().splitlines()]
    body = [rf"\folk{{{cell}}}" for cell in cells if cell]
    body += [rf"\input{{{path}}}" for path in sorted(tables.glob("*.tex")) if path != numbers]
    return typeset(folder, rf"\input{{{numbers}}}", "\n\n".join(body))
