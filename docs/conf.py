"""The site: the Markdown of this repository, as it is, and the docstrings of what users import.

`make site` builds it. Sources are the files themselves, from the repository's root, so that a link
that works on the forge works here. A link to a file that is no page leads to a page that shows it.
"""

import ast
import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from markdown_it import MarkdownIt
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.highlighting import PygmentsBridge
from sphinx.util.docutils import SphinxDirective
from sphinx.util.parsing import nested_parse_to_nodes

ROOT = Path(__file__).parents[1]
# A page that is in no list fails the build.
CONTENTS = {
    "Use": "docs/install docs/tutorials docs/faq config/README config/keys docs/audit"
    " docs/take-away docs/what-this-proves docs/tamper docs/cluster docs/cluster-jobs docs/engines"
    " docs/extend docs/api",
    "Results": "docs/demo docs/fashion docs/paper-study docs/performance",
    "Inside": "docs/architecture docs/testing docs/faults",
    "Project": "CHANGELOG CONTRIBUTING CODE_OF_CONDUCT SECURITY",
}
LANGUAGES = {".json": "json", ".py": "python", ".smk": "python", ".yaml": "yaml"}

project = "FOLK-Repro"
copyright = "FOLK-Repro contributors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "config/*.md"]

html_theme = "furo"
html_title = project
html_copy_source = False
html_use_index = False

myst_heading_anchors = 4
default_role = "code"  # docstrings have single backticks
napoleon_custom_sections = ["Source"]
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"


class Site(StandaloneHTMLBuilder):
    """HTML in which README is index.html."""

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        """Return where links to a page lead."""
        return super().get_target_uri("index" if docname == root_doc else docname, typ)

    def get_output_path(self, page_name: str, /) -> Path:
        """Return the file of a page."""
        return super().get_output_path("index" if page_name == root_doc else page_name)


class Docstrings(SphinxDirective):
    """Public names of modules with signatures and docstrings, read without importing anything."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make a section of each module."""
        sections: list[nodes.Node] = []
        for module in self.content:
            path = ROOT / (module.replace(".", "/") + ".py")
            self.env.note_dependency(path)
            section = nodes.section("", nodes.title(text=module), ids=[module], names=[module])
            lines = [f".. py:currentmodule:: {module}", ""]
            lines += self._described(ast.parse(path.read_bytes()), "")
            text = StringList(lines, source=str(path))
            section += nested_parse_to_nodes(self.state, text)
            sections.append(section)
        return sections

    def _described(self, node: Any, indent: str) -> Iterator[str]:
        # A section begins on the line below its name.
        text = (ast.get_docstring(node) or "").replace("\nSource: ", "\nSource:\n    ")
        docstring = GoogleDocstring(text, self.config)
        yield from (indent + line for line in docstring.lines())
        for child in node.body:
            if isinstance(child, ast.FunctionDef | ast.ClassDef) and is_public(child):
                kind, signature = declared(child, in_class=isinstance(node, ast.ClassDef))
                yield from ("", f"{indent}.. py:{kind}:: {signature}", "")
                yield from self._described(child, indent + "   ")


def is_public(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether a name is for users: it has a docstring and no leading underscore."""
    is_private = node.name.startswith("_") and node.name != "__call__"
    return not is_private and ast.get_docstring(node) is not None


def declared(node: ast.FunctionDef | ast.ClassDef, in_class: bool) -> tuple[str, str]:
    """Return the kind of a name and its signature; that of a class makes an instance."""
    if isinstance(node, ast.FunctionDef):
        marks = {ast.unparse(mark) for mark in node.decorator_list}
        if "property" in marks:
            return "property", node.name
        skipped = 1 if in_class and "staticmethod" not in marks else 0
        # A name that is defined further down is quoted in code.
        returned = " -> " + ast.unparse(node.returns).strip("'") if node.returns else ""
        kind = "method" if in_class else "function"
        return kind, f"{node.name}({arguments(node, skipped)}){returned}"
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and child.name == "__init__":
            return "class", f"{node.name}({arguments(child, 1)})"
    fields = [
        ast.unparse(child)
        for child in node.body
        if isinstance(child, ast.AnnAssign) and "ClassVar" not in ast.unparse(child.annotation)
    ]
    return "class", f"{node.name}({', '.join(fields)})" if fields else node.name


def arguments(function: ast.FunctionDef, skipped: int) -> str:
    """Write a function's arguments without the first `skipped`, such as self."""
    kept = copy.copy(function.args)
    kept.args = kept.args[skipped:]
    return ast.unparse(kept)


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the home page the list of all pages, which the forge does not need."""
    if docname == root_doc:
        for caption, pages in CONTENTS.items():
            listed = "\n".join(pages.split())
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n{listed}\n```\n"


def show_files(app: Sphinx, doctree: nodes.document) -> None:
    """Turn a link to a file of the repository into one to the page that shows it."""
    docname = app.env.docname
    for link in list(doctree.findall(download_reference)):
        path = (ROOT / docname).parent.joinpath(link["reftarget"]).resolve().relative_to(ROOT)
        page = path.as_posix()
        app.env.shown_files.add(page)
        uri = "../" * docname.count("/") + (page if path.suffix == ".html" else f"{page}.html")
        link.replace_self(nodes.reference("", "", *link.children, refuri=uri, internal=True))


def file_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make the page of each file that a page links to; HTML is copied as it is."""
    highlighter = app.builder.highlighter
    for name in sorted(app.env.shown_files):
        path = ROOT / name
        if path.suffix == ".html":
            shown = Path(app.outdir, name)
            shown.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, shown)
            continue
        text, language = path.read_text("utf-8"), LANGUAGES.get(path.suffix, "text")
        if path.suffix == ".ipynb":
            body = "".join(notebook_parts(json.loads(text)["cells"], highlighter))
        else:
            body = f"<h1>{name}</h1>{highlighter.highlight_block(text, language)}"
        yield name, {"title": name, "body": body}, "page.html"


def notebook_parts(cells: list[dict[str, Any]], highlighter: PygmentsBridge) -> Iterator[str]:
    """Make the HTML of a notebook's cells: Markdown, code, printed lines and figures."""
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield MarkdownIt().render(source).replace('.md"', '.html"').replace(".md#", ".html#")
            continue
        yield highlighter.highlight_block(source, "python")
        for output in cell["outputs"]:
            if "text" in output:
                yield highlighter.highlight_block("".join(output["text"]), "text")
            else:
                image = output["data"]["image/png"]
                yield f'<p><img alt="figure" src="data:image/png;base64,{image}"></p>'


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx."""
    app.add_builder(Site, override=True)
    app.add_directive("docstrings", Docstrings)
    app.connect("builder-inited", lambda app: setattr(app.env, "shown_files", set()))
    app.connect("source-read", add_contents)
    app.connect("doctree-read", show_files, priority=400)  # before Sphinx collects downloads
    app.connect("html-collect-pages", file_pages)
