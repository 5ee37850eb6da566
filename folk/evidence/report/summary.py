"""Summary that opens the report: what was tested, what came out, and the main comparison."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from folk.evidence.audit.freeze import SinceFreeze
from folk.evidence.report import figures
from folk.evidence.report.claim_views import ClaimView
from folk.evidence.report.drawing import Drawing, row_colors
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Evidence
from folk.evidence.study.study import Study, Table

_MOST_CLAIMS = 5  # of the first screen; the others are in their section
_MOST_ROWS = 6  # that are named
_COLUMNS = 2  # of the main comparison, unless the study says which
_DECIDED = ("holds here", "fails here", "reproduced", "not reproduced")
_SCALES = {
    "demo": "demo, below the papers' size",
    "smoke": "smoke, two steps of every stage",
    "paper": "that of the papers",
}


@dataclass(frozen=True)
class Summary:
    """Content of the first screen."""

    facts: list[tuple[str, str]]  # of what was tested: name and value
    verdicts: list[tuple[str, str]]  # and the number of claims that have it
    claims: list[ClaimView]  # the first ones, decided ones before others
    more: str  # number of claims that are not among them; empty for none
    comparison: Drawing | None  # None without a number to draw


def summarize(
    study: Study,
    claims: Sequence[ClaimView],
    comparison: Drawing | None,
    since: SinceFreeze | None,
    again: str = "",
) -> Summary:
    """Collect the content of the first screen."""
    decided_first = sorted(claims, key=lambda claim: claim.verdict not in _DECIDED)
    counts = Counter(claim.verdict for claim in decided_first)
    more = len(claims) - _MOST_CLAIMS
    return Summary(
        facts=[
            *_facts(study),
            ("frozen", "no" if since is None else since.in_words),
            *([("attested", again)] if again else []),
        ],
        verdicts=[(verdict, str(count)) for verdict, count in counts.items()],
        claims=decided_first[:_MOST_CLAIMS],
        more=str(more) if more > 0 else "",
        comparison=comparison,
    )


def _facts(study: Study) -> list[tuple[str, str]]:
    labels = [row.label for row in study.encoders.values()]
    named = "; ".join(labels[:_MOST_ROWS])
    others = len(labels) - _MOST_ROWS
    seeds = sorted({len(row.seeds) for row in study.encoders.values()})
    of_rows = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return [
        ("scale", _SCALES[study.scale]),
        ("rows", named + (f"; and {others} more" if others > 0 else "")),
        ("seeds", f"{of_rows} in each row, {len(list(study.runs()))} runs"),
    ]


def draw_comparison(evidence: Evidence, cells: Sequence[Cell]) -> Drawing | None:
    """Draw the study's main comparison; None if it has no number."""
    study = evidence.study
    if not study.tables:
        return None
    chosen = study.summary
    name = next(iter(study.tables)) if chosen is None else chosen.table
    table = study.tables[name]
    columns = (chosen.columns if chosen is not None else []) or list(table.columns)[:_COLUMNS]
    by_column = {
        column: [
            cell
            for cell in cells
            if (cell.table, cell.column) == (name, column) and cell.value is not None
        ]
        for column in columns
    }
    shown = {column: of for column, of in by_column.items() if of}
    if not shown:
        return None
    panels = [_panel(study, table, column, of) for column, of in shown.items()]
    rows = [study.encoders[row].label for row in table.rows]
    return Drawing(
        name="summary",
        title=table.title,
        caption="Dots are seeds, strokes their means, bars 95 % intervals over seeds; an arrowhead "
        "marks a bar that is cut.",
        seen=" ".join(_seen(study, table, column, of) for column, of in shown.items()),
        svg=figures.figure_comparison(panels, rows, row_colors(evidence)),
    )


def _panel(study: Study, table: Table, column: str, cells: Sequence[Cell]) -> figures.Comparison:
    estimates = [
        figures.Estimate(study.encoders[c.row].label, c.run_values, c.value, c.low, c.high)
        for c in cells
        if c.value is not None
    ]
    limits = (0.0, 100.0) if table.columns[column].percent else (-math.inf, math.inf)
    return figures.Comparison(table.columns[column].label, estimates, limits)


def _seen(study: Study, table: Table, column: str, cells: Sequence[Cell]) -> str:
    rows = (
        f"{study.encoders[c.row].label} {c.printed_mean}"
        + (f", interval {c.printed_low} to {c.printed_high}" if c.printed_low else "")
        for c in cells
    )
    return f"{table.columns[column].label}: {'; '.join(rows)}."
