"""Check of comparisons with published numbers, before anything runs."""

from collections.abc import Iterator

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.evidence.results.published import Published, PublishedNumber, numbers_file
from folk.evidence.study.study import Claim, Column, Study


def unit_of(column: Column) -> str:
    """Return the unit of a column's cells."""
    return "%" if column.percent else ""


def unit_of_difference(unit: str) -> str:
    """Return the unit of the difference of two cells: percent minus percent is points."""
    return "points" if unit == "%" else unit


def check_comparisons(study: Study, published: Published) -> None:
    """Check that a study compares its cells only with matching published numbers.

    Raises:
        InputError: a line for each unknown published id, number of another unit or measure, and
            number or claim about a machine-dependent metric.
    """
    problems = [*_in_tables(study, published), *_in_claims(study, published)]
    if problems:
        raise InputError("\n".join(problems))


def _in_tables(study: Study, published: Published) -> Iterator[str]:
    for name, table in study.tables.items():
        pairs = [(place, id_) for place, id_ in table.published.items()]
        pairs += [
            (f"{row}/{column}", id_)
            for row, quoted in table.context.items()
            for column, id_ in quoted.cells.items()
        ]
        for place, id_ in pairs:
            cell, column = f"{name}/{place}", table.columns[place.rpartition("/")[2]]
            yield from _against(study, published, cell, id_, column, unit_of(column))


def _in_claims(study: Study, published: Published) -> Iterator[str]:
    cells = study.cells()
    for name, claim in study.claims.items():
        columns = [cells[cell] for _, cell in claim.places()]
        for column in columns:
            if column.metric in OF_ONE_MACHINE:
                yield (
                    f"{study.name}: claim '{name}': {column.metric} depends on the machine; "
                    "remove the claim"
                )
        if claim.published is not None:
            unit = unit_of_difference(unit_of(columns[0]))
            for column in columns:
                yield from _against(study, published, name, claim.published, column, unit)
        yield from _cited(study, published, name, claim)


def _cited(study: Study, published: Published, name: str, claim: Claim) -> Iterator[str]:
    if claim.source is None:
        return
    try:
        statement = published.statement(claim.source, name)
    except InputError as error:
        yield str(error)
        return
    kind = "equal" if claim.kind == "equal" else "order"
    if statement.kind != kind:
        yield (
            f"{study.name}: claim '{name}': expected a source of kind '{kind}', got "
            f"'{statement.id}' of kind '{statement.kind}'; name another"
        )


def _against(
    study: Study, published: Published, place: str, id_: str, column: Column, unit: str
) -> Iterator[str]:
    noun = "cell" if "/" in place else "claim"
    if column.metric in OF_ONE_MACHINE:
        yield (
            f"{study.name}: {noun} '{place}': {column.metric} depends on the machine and has "
            f"no published number; remove '{id_}'"
        )
        return
    try:
        number: PublishedNumber = published.number(id_, place)
    except InputError as error:
        yield str(error)
        return
    if number.value is None:
        return  # without a value, nothing is compared
    file = numbers_file(published.folder)
    if number.unit != unit:
        yield (
            f"{file}: '{number.id}' is in '{number.unit}', {noun} '{place}' is in '{unit}'; "
            "set `percent` of the column or name another number"
        )
    elif not number.measures(column.metric):
        yield (
            f"{file}: '{number.id}' measures {number.metric}, {noun} '{place}' {column.metric}; "
            "name another number"
        )
