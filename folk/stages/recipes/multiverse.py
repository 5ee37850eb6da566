"""Study of several readings of a paper at once: which of its unknowns move a result."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from pydantic import Field

from folk.evidence.core.errors import InputError, nearest
from folk.evidence.core.yaml_model import Document, Section, checked, flattened
from folk.evidence.study.study import Name, Overrides, Study
from folk.stages.recipes.base import Recipe
from folk.stages.recipes.smoke import laid_over, written

PRIMES = (3, 7, 11, 19, 23)  # each is one less than a number of readings


class Reading(Section):
    """Another reading of what a paper leaves open."""

    says: str
    """The reading, in words."""
    values: Overrides = Field(alias="set", min_length=1)
    """Dotted keys of a pre-training recipe."""


class Readings(Section):
    """A file of readings."""

    readings: dict[Name, Reading] = Field(min_length=1)


def load_readings(path: Path) -> dict[str, Reading]:
    """Read a file of readings, in its order.

    Raises:
        InputError: a line for each problem.
    """
    document = Document(path)
    return checked(Readings, document.values, document).readings


def screening_design(factors: int) -> Bool[np.ndarray, "runs {factors}"]:
    """Choose combinations of two-valued factors, so that each main effect is measured alone.

    Every factor is True in half of the runs, and of any two factors each pair of values is in a
    quarter. The first run has no factor True. Effects of two factors together are mixed into the
    main effects of others.

    Args:
        factors: 1 to 23.

    Returns:
        4, 8, 12, 20 or 24 runs, more than there are factors.

    Source: R. L. Plackett and J. P. Burman, 1946, Biometrika 33, 305-325; the matrices are
        R. E. A. C. Paley's, 1933, of quadratic residues.
    """
    prime = next(prime for prime in PRIMES if prime >= factors)
    residues = {i * i % prime for i in range(1, prime)}
    rows = [[(c - r) % prime not in residues for c in range(prime)] for r in range(prime)]
    return np.array([[False] * prime, *rows])[:, :factors]


def multiverse_study(
    study: Study,
    recipes: Mapping[str, Recipe],
    readings: Mapping[str, Reading],
    *,
    name: str,
    cell: str,
    rows: Sequence[str],
    seeds: int,
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Make the values of a study file that trains some rows under many readings.

    Its claims are: the last row above the first, on average over the readings and under each; and
    for each reading that it moves the last row.

    Args:
        study: where rows, data and evaluations come from, as written.
        recipes: the pre-training recipes by row, the study's own values laid over.
        readings: what is varied.
        name: name of the new study.
        cell: column of a table, `table/column`, that is compared.
        rows: the row below and the row above, or the latter alone.
        seeds: of each row under each reading.
        overrides: dotted keys of the pre-training recipes, such as a number of epochs.

    Raises:
        InputError: an unknown row or column, too many readings, or one that a row takes already.
    """
    table, _, column_name = cell.partition("/")
    _known("table", table, study.tables)
    _known("column", column_name, study.tables[table].columns)
    for row in rows:
        _known("row", row, study.encoders)
    if not 1 <= len(readings) <= PRIMES[-1]:
        raise InputError(f"expected 1 to {PRIMES[-1]} readings, got {len(readings)}")
    design = screening_design(len(readings))
    column = study.tables[table].columns[column_name]
    evaluations = {key: study.evaluations[key] for key in column.evaluations}
    makers = [e.classifier for e in evaluations.values() if e.classifier is not None]
    evaluations |= {key: study.evaluations[key] for key in makers}
    splits = {e.split: study.splits[e.split] for e in evaluations.values() if e.split is not None}
    data = {study.encoders[row].data for row in rows}
    data |= {key for e in evaluations.values() for key in e.data}
    used = {"prepare", "pretrain", *(["split"] if splits else [])}
    used |= {e.stage for e in evaluations.values()} | {"report"}

    encoders: dict[str, dict[str, Any]] = {}
    made: dict[str, list[str]] = {row: [] for row in rows}  # the row of each reading
    for row in rows:
        entry, assumed = study.encoders[row], flattened(recipes[row].model_dump(mode="json"))
        # MFM has no distillation, so it has fewer readings than FOLK.
        own = {key: r.values for key, r in readings.items() if r.values.keys() <= assumed.keys()}
        for key, values in own.items():
            if all(assumed[each] == value for each, value in values.items()):
                raise InputError(f"{key}: row '{row}' is already so; leave this reading out")
        for number, flags in enumerate(design, start=1):
            chosen = [
                own[key] for key, on in zip(readings, flags, strict=True) if on and key in own
            ]
            changes = {key: value for values in chosen for key, value in values.items()}
            changes = laid_over(laid_over(entry.overrides, overrides), changes)
            alike = (at for at in made[row] if encoders[at]["set"] == changes)
            made[row].append(next(alike, new := f"{row}-{number}"))
            if made[row][-1] == new:
                encoders[new] = {
                    **written(entry),
                    "label": f"{entry.label}, reading {number}",
                    "seeds": list(range(seeds)),
                    "set": changes,
                }
    cells = {row: [f"readings/{at}/{column_name}" for at in made[row]] for row in rows}
    return {
        "study": name,
        "title": f"{study.title}: {len(design)} readings of the paper",
        "scale": study.scale,
        **({"recipes": study.recipes} if study.recipes is not None else {}),
        "code_change": dict(study.code_change),
        "resources": {
            key: values
            for key, asked in study.resources.items()
            if key in used and (values := written(asked))
        },
        "data": {key: written(study.data[key]) for key in study.data if key in data},
        **({"splits": {key: written(split) for key, split in splits.items()}} if splits else {}),
        "encoders": encoders,
        "evaluations": {
            key: {k: v for k, v in written(e).items() if k != "encoders"}
            for key, e in evaluations.items()
        },
        "tables": {
            "readings": {
                "title": "Readings of the paper",
                "caption": _caption(readings, design),
                "rows": list(encoders),
                "columns": {column_name: written(column)},
            }
        },
        "claims": dict(_claims(study, readings, design, rows, cells)),
    }


def _claims(
    study: Study,
    readings: Mapping[str, Reading],
    design: Bool[np.ndarray, "runs factors"],
    rows: Sequence[str],
    cells: Mapping[str, Sequence[str]],
) -> list[tuple[str, dict[str, Any]]]:
    labels = [study.encoders[row].label for row in rows]
    claims = []
    if len(rows) == 2:
        order = f"{labels[1]} above {labels[0]}"
        below, above = (list(dict.fromkeys(cells[row])) for row in rows)
        mean = {"says": f"mean of all readings: {order}", "difference": _over(above, below)}
        claims.append(("all-readings", mean))
        for number, (low, high) in enumerate(zip(*(cells[row] for row in rows), strict=True), 1):
            one = {"says": f"reading {number}: {order}", "difference": _over([high], [low])}
            claims.append((f"reading-{number}", one))
    upper = cells[rows[-1]]
    for index, (key, reading) in enumerate(readings.items()):
        with_it = [cell for cell, on in zip(upper, design[:, index], strict=True) if on]
        without = [cell for cell in upper if cell not in with_it]
        says = f"{labels[-1]} gains if {reading.says}"
        claims.append((f"effect-{key}", {"says": says, "difference": _over(with_it, without)}))
    return claims


def _over(above: list[str], below: list[str]) -> dict[str, Any]:
    one = [each[0] if len(each) == 1 else each for each in (above, below)]
    return {"of": one[0], "over": one[1]}


def _caption(readings: Mapping[str, Reading], design: Bool[np.ndarray, "runs factors"]) -> str:
    parts = []
    for number, flags in enumerate(design, start=1):
        named = [key for key, on in zip(readings, flags, strict=True) if on]
        parts.append(f"{number}: {', '.join(named) or 'as we assume'}")
    return "Each reading changes several assumptions at once. " + "; ".join(parts) + "."


def _known(noun: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise InputError(f"unknown {noun} '{name}'{nearest(name, known)}")
