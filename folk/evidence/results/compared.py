"""Which comparisons with published numbers are possible at all; asked before anything runs."""

from collections.abc import Iterator

from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.evidence.results.published import Published, PublishedNumber, numbers_file
from folk.evidence.study.study import Claim, Column, Study


def unit_of(column: Column) -> str:
    """The unit of a column's cells."""
    return "%" if column.percent else ""


def unit_of_difference(unit: str) -> str:
    """The unit of the difference of two cells: percent minus percent is points."""
    return "points" if unit == "%" else unit


def check_comparisons(study: Study, published: Published) -> None:
    """Refuse a study that sets beside its cells what cannot stand there.

    Raises:
        InputError: a line for each published id that is not there, number of another unit or
            another measure, and number or claim about what belongs to one machine.
    """
    problems = [*_in_tables(study, published), *_in_claims(study, published)]
    if problems:
        raise InputError("\n".join(problems))


def _in_tables(study: Study, published: Published) -> Iterator[str]:
    for name, table in study.tables.items():
        beside = [(place, id_) for place, id_ in table.published.items()]
        beside += [
            (f"{row}/{column}", id_)
            for row, quoted in table.context.items()
            for column, id_ in quoted.cells.items()
        ]
        for place, id_ in beside:
            cell, column = f"{name}/{place}", table.columns[place.rpartition("/")[2]]
            yield from _against(study, published, cell, id_, column, unit_of(column))


def _in_claims(study: Study, published: Published) -> Iterator[str]:
    cells = study.cells()
    for name, claim in study.claims.items():
        columns = [cells[cell] for _, cell in claim.places()]
        for column in columns:
            if column.metric in OF_ONE_MACHINE:
                yield (
                    f"{study.name}: claim '{name}': {column.metric} belongs to one machine; "
                    "no claim can rest on it"
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
    if (statement.kind == "equal") != (claim.kind == "equal"):
        yield (
            f"{study.name}: claim '{name}' is of kind '{claim.kind}', its source '{statement.id}' "
            f"of kind '{statement.kind}'; name another"
        )


def _against(
    study: Study, published: Published, place: str, id_: str, column: Column, unit: str
) -> Iterator[str]:
    noun = "cell" if "/" in place else "claim"
    if column.metric in OF_ONE_MACHINE:
        yield (
            f"{study.name}: {noun} '{place}': {column.metric} belongs to one machine, no "
            f"published number can stand beside it; remove '{id_}'"
        )
        return
    try:
        number: PublishedNumber = published.number(id_, place)
    except InputError as error:
        yield str(error)
        return
    if number.value is None:
        return  # nobody has seen it, so nothing is compared
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
