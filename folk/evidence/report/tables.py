"""A study's tables as Markdown, LaTeX and CSV, made from cells only."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from folk.evidence.report.escape import latex_templates, markdown_templates
from folk.evidence.report.left_out import left_out_notes
from folk.evidence.results.cells import Cell
from folk.evidence.results.evidence import Failure
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.evidence.results.published import Published
from folk.evidence.study.study import Study, Table

EMPTY = "—"
_SYMBOLS = "†‡§¶"
QUOTED = "quoted"
_CSV_HEADER = (
    "id,method,column,mean,std,low,high,boot_low,boot_high,n,unit,"
    "published,certainty,epoch,verdict,note"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_KEY_DIGITS = 8  # of a record's id: enough to identify it, short enough to print


@dataclass(frozen=True)
class CellView:
    """A cell as strings; `marks` and `published_marks` refer to the notes under the table.

    `key` is its position as in a spreadsheet ("B3"); empty for a quoted number.
    """

    id: str
    key: str
    ours: str
    marks: str
    published: str
    published_marks: str
    verdict: str
    cell: Cell


@dataclass(frozen=True)
class ColumnView:
    """A column heading; `compared` if one of its cells has a published number."""

    name: str
    label: str
    compared: bool


@dataclass(frozen=True)
class RowView:
    """A row: a label and its cells in the order of the columns.

    A quoted row holds published numbers of methods that we do not run, with empty cells otherwise.
    """

    name: str
    label: str
    cells: list[CellView | None]
    quoted: bool


@dataclass(frozen=True)
class TableView:
    """A whole table as strings, ready for any template."""

    study: str
    name: str
    title: str
    caption: str
    reproduces: str
    columns: list[ColumnView]
    rows: list[RowView]
    verdicts_differ: bool  # else `one_verdict` has it, and no column is needed
    one_verdict: str
    notes: list[tuple[str, str]]  # mark (empty for the first) and text

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """Key, id and short record ids of each number of ours."""
        views = [view for row in self.rows for view in row.cells if view is not None and view.key]
        return [(view.key, view.id, _short_ids(view.cell)) for view in views]


class _Notes:
    """Footnotes in order of first use; the same text keeps its mark."""

    def __init__(self, marks: str) -> None:
        self.found: dict[str, str] = {}
        self._marks = marks

    def mark(self, text: str) -> str:
        if text not in self.found:
            turn, place = divmod(len(self.found), len(self._marks))
            self.found[text] = self._marks[place] * (turn + 1)
        return self.found[text]


def table_views(
    study: Study, cells: Iterable[Cell], published: Published, failures: Sequence[Failure] = ()
) -> list[TableView]:
    """Arrange the cells as the study's tables; `failures` are counted in notes under them."""
    by_id = {cell.id: cell for cell in cells}
    return [_view(study, name, by_id, published, failures) for name in study.tables]


def render_markdown(table: TableView) -> str:
    """Render the table for a README."""
    return markdown_templates().get_template("table.md.jinja").render(table=table)


def render_latex(table: TableView) -> str:
    """Render the table for a paper; needs `booktabs` and `threeparttable`."""
    template = latex_templates().get_template("table.tex.jinja")
    return template.render(table=table, digits=_KEY_DIGITS)


def render_csv(table: TableView) -> str:
    """Render the table for other programs: one line per cell, numbers as printed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_HEADER.split(","))
    for row in table.rows:
        for view, column in zip(row.cells, table.columns, strict=True):
            if view is None:
                continue
            cell = view.cell
            spread = [cell.printed_mean, cell.printed_std, cell.printed_low, cell.printed_high]
            spread += [cell.printed_boot_low, cell.printed_boot_high]
            known = cell.published_printed is not None
            others = [cell.published_certainty, cell.published_epoch] if known else ["", ""]
            others = [cell.published_printed or "", *others, view.verdict]
            start = [cell.id, _inert(row.label), _inert(column.label)]
            writer.writerow([*start, *spread, cell.n, cell.unit, *others, cell.note])
    return out.getvalue()


def _inert(text: str) -> str:
    # A spreadsheet would evaluate a label that starts like a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _view(
    study: Study,
    name: str,
    by_id: dict[str, Cell],
    published: Published,
    failures: Sequence[Failure],
) -> TableView:
    table = study.tables[name]
    grid = {
        (row, column): by_id[f"{name}/{row}/{column}"]
        for row in table.rows
        for column in table.columns
    }
    quoted = {
        (row, column): by_id[f"{name}/{row}/{column}"]
        for row, entry in table.context.items()
        for column in entry.cells
    }
    counts = Counter(cell.n for cell in grid.values() if cell.value is not None)
    usual = max(counts, key=lambda n: (counts[n], n), default=0)
    letters, symbols = _Notes(_LETTERS), _Notes(_SYMBOLS)

    places = {row: number for number, row in enumerate(table.rows, start=1)}
    letters_of = {column: _letters(place) for place, column in enumerate(table.columns)}

    def view(cell: Cell) -> CellView:
        return CellView(
            id=cell.id,
            key="" if cell.quoted else f"{letters_of[cell.column]}{places[cell.row]}",
            ours=QUOTED if cell.quoted else cell.printed or EMPTY,
            marks="" if cell.quoted else _mark(cell, usual, letters),
            published=cell.published_printed or EMPTY,
            published_marks=_certainty(cell, published, symbols),
            verdict=cell.verdict or "",
            cell=cell,
        )

    def views(row: str) -> list[CellView | None]:
        found = [grid.get((row, c)) or quoted.get((row, c)) for c in table.columns]
        return [None if cell is None else view(cell) for cell in found]

    shown = [*grid.items(), *quoted.items()]
    compared = {c for (_, c), cell in shown if cell.published_printed}
    verdicts = sorted({cell.verdict for cell in grid.values() if cell.verdict})
    return TableView(
        study=study.name,
        name=name,
        title=table.title,
        caption=table.caption,
        reproduces=table.reproduces,
        rows=[
            *(RowView(row, study.encoders[row].label, views(row), False) for row in table.rows),
            *(RowView(row, entry.label, views(row), True) for row, entry in table.context.items()),
        ],
        columns=[ColumnView(c, table.columns[c].label, c in compared) for c in table.columns],
        verdicts_differ=len(verdicts) > 1,
        one_verdict=verdicts[0] if len(verdicts) == 1 else "",
        notes=[("", text) for text in _spread_note(usual)]
        + [("", text) for text in _scatter_note(study, table, grid.values())]
        + [("", text) for text in _lower_note(table)]
        + [("", text) for text in _machine_note(table)]
        + [("", text) for text in _epoch_note(grid.values())]
        + [("", text) for text in _quoted_note(table)]
        + [("", text) for text in left_out_notes(study, table, failures)]
        + [(mark, text) for notes in (letters, symbols) for text, mark in notes.found.items()],
    )


def _letters(place: int) -> str:
    """Return a spreadsheet's column name: A, B .. Z, AA, AB .."""
    turn, letter = divmod(place, len(_LETTERS))
    return (_letters(turn - 1) if turn else "") + _LETTERS[letter].upper()


def _short_ids(cell: Cell) -> str:
    found = [id_[:_KEY_DIGITS] if id_ else "no record" for id_ in cell.parent_ids]
    return " ".join(dict.fromkeys(found)) or "no record"


def _spread_note(usual: int) -> list[str]:
    if usual > 1:
        return [f"Mean ± standard deviation over n = {usual} seeds."]
    return ["One seed (n = 1), so no deviation."] if usual == 1 else []


def scatter_text(cell: Cell) -> str:
    """Describe the parts of a cell's deviation; empty without repeated fine-tuning."""
    parts = [
        (cell.printed_std_finetune, "of fine-tuning (within a run)"),
        (cell.printed_std_pretrain, "of pre-training (between runs)"),
    ]
    return ", ".join(f"{printed} {of}" for printed, of in parts if printed)


def _scatter_note(study: Study, table: Table, cells: Iterable[Cell]) -> list[str]:
    nested = [cell for cell in cells if cell.finetune_seeds]
    if not nested:
        return []
    counts = sorted({len(set(cell.finetune_seeds)) for cell in nested})
    seeds = " or ".join(map(str, counts))
    note = f"Each run was fine-tuned with {seeds} seeds, and counts with the mean of them"
    names = [f"{study.encoders[c.row].label}, {table.columns[c.column].label}" for c in nested]
    parts = [
        f"{name}: {scatter_text(cell)}"
        for name, cell in zip(names, nested, strict=True)
        if scatter_text(cell)
    ]
    columns = {table.columns[c.column].label for c in nested}
    if len(columns) < len(table.columns):
        note += f" ({'; '.join(sorted(columns))})"
    return [f"{note}. Parts of the deviation: {'; '.join(parts)}." if parts else f"{note}."]


def _lower_note(table: Table) -> list[str]:
    columns = list(table.columns.values())
    labels = [column.label for column in columns if column.better == "lower"]
    if not labels:
        return []
    if len(labels) == len(columns):
        return ["Lower is better."]
    return [f"Lower is better: {'; '.join(labels)}."]


def _machine_note(table: Table) -> list[str]:
    labels = [c.label for c in table.columns.values() if c.metric in OF_ONE_MACHINE]
    if not labels:
        return []
    return [f"Of one machine, and another number on another: {'; '.join(labels)}."]


def _epoch_note(cells: Iterable[Cell]) -> list[str]:
    unsaid = any(
        cell.published_printed is not None
        and cell.published_epoch == "unknown"
        and cell.metric.endswith(("_best", "_last"))
        for cell in cells
    )
    if not unsaid:
        return []
    return [
        "Not every source says whether its accuracy is of the best or the last epoch; it is taken "
        "for what the column shows."
    ]


def _quoted_note(table: Table) -> list[str]:
    if not table.context:
        return []
    labels = ", ".join(row.label for row in table.context.values())
    return [f"Quoted, neither run nor judged here: {labels}."]


def _mark(cell: Cell, usual: int, notes: _Notes) -> str:
    if cell.value is None:
        why = f"{cell.note[:1].upper()}{cell.note[1:]}"
        return notes.mark(f"No number, because not every run is there. {why}.")
    return notes.mark(f"n = {cell.n}") if cell.n != usual else ""


def _certainty(cell: Cell, published: Published, notes: _Notes) -> str:
    code = cell.published_certainty
    if cell.published_printed is None or code is None:
        return ""
    return notes.mark(f"Published number, {code}: {published.certainty[code]}.")
