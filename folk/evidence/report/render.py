"""Rendering of a study's report: cells, tables, figures and one page."""

from pathlib import Path

from folk.evidence.audit.attestation import in_words, read_attestations
from folk.evidence.audit.chain import Chain
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.freeze import since_freeze
from folk.evidence.audit.today import Recipes, Today
from folk.evidence.core.digest import sha256_of
from folk.evidence.core.files import write_text
from folk.evidence.report.assumptions import assumptions_in_force, render_assumptions
from folk.evidence.report.claim_drawings import draw_claims
from folk.evidence.report.claim_views import claim_views, render_claims
from folk.evidence.report.drawings import draw
from folk.evidence.report.html import collect_facts, render_html
from folk.evidence.report.macros import render_macros
from folk.evidence.report.summary import draw_comparison, summarize
from folk.evidence.report.tables import render_csv, render_latex, render_markdown, table_views
from folk.evidence.results.cells import cells_of, collect_cells, read_cells, write_cells
from folk.evidence.results.claims import judge_claims, read_claims, write_claims
from folk.evidence.results.evidence import Evidence, shown_path
from folk.evidence.results.published import load_published, published_files
from folk.evidence.study.study import MACROS, Study


def render_report(
    study: Study,
    study_path: Path,
    results: Path,
    published: Path,
    recipes: Recipes,
    *,
    strict: bool = False,
) -> list[Path]:
    """Write cells, tables, claims, assumptions, figures and report.html of a study.

    Args:
        results: the study's own folder, such as `results/demo`; read and written.
        published: the folder of published numbers, `config/published`.
        strict: refuse a table with an empty cell instead of marking the cell.

    Returns:
        the files written, in the order they were written; report.html is last.

    Raises:
        InputError: see `collect_cells`; nothing is written.
    """
    numbers = load_published(published)
    since = since_freeze(study, results, numbers, recipes)
    evidence = Evidence(study, results)
    table = collect_cells(study, results, numbers, strict=strict, evidence=evidence)
    comparison = draw_comparison(evidence, cells_of(table))
    drawings, not_drawn = draw(evidence, cells_of(table))
    assumptions = assumptions_in_force(evidence, recipes)

    cells_path = results / "cells.parquet"
    write_cells(table, cells_path)
    written = [cells_path]
    # Read back, so that tables and claims show the file's content.
    cells, failures = read_cells(cells_path), evidence.failures()
    views = table_views(study, cells, numbers, failures)
    for view in views:
        texts = {"md": render_markdown, "tex": render_latex, "csv": render_csv}
        for suffix, render in texts.items():
            written.append(_write(results / "tables" / f"{view.name}.{suffix}", render(view)))
    macros = render_macros(study.name, cells)
    written.append(_write(results / "tables" / f"{MACROS}.tex", macros))
    claims_path = results / "claims.parquet"
    write_claims(judge_claims(study, cells, numbers), claims_path)
    judged = read_claims(claims_path)
    drawings = [*draw_claims(judged), *drawings]
    claims = claim_views(study, judged, numbers, since)
    written += [claims_path, _write(results / "claims.md", render_claims(study, claims))]
    text = render_assumptions(study, assumptions)
    written.append(_write(results / "assumptions.md", text))
    for left in (results / "figures").glob("*.svg"):
        left.unlink()  # of an earlier report, which may have had other data
    for drawing in [*([comparison] if comparison is not None else []), *drawings]:
        written.append(_write(results / "figures" / f"{drawing.name}.svg", drawing.svg))

    sealed = (study_path, *published_files(published), cells_path, claims_path)
    digests = [(shown_path(p), sha256_of(p)) for p in sealed]
    explainer = Explainer(
        Chain(results),
        study,
        cells,
        numbers,
        Today(recipes),
        "small",
        evidence=evidence,
        derived={cell.id: cell for cell in cells},
        attestations=read_attestations(results),
    )
    explained = {cell.id: explainer.explain(cell.id) for cell in cells}
    reruns = [each for found in explained.values() for each in found.reruns if each.word == "ok"]
    again = in_words([each.attestation for each in reruns])
    page = render_html(
        study,
        Path(shown_path(study_path)),
        summarize(study, claims, comparison, since, again),
        views,
        claims,
        drawings,
        not_drawn,
        assumptions,
        failures,
        since,
        collect_facts(evidence, digests),
        numbers,
        explained,
    )
    return [*written, _write(results / "report.html", page)]


def _write(path: Path, text: str) -> Path:
    write_text(path, text)
    return path
