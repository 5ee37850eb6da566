"""Notes on excluded runs and failed jobs of a table."""

from collections import Counter
from collections.abc import Iterator, Sequence

from folk.evidence.results.evidence import Failure
from folk.evidence.study.study import Study, Table, run_name

_SHOWN_REASONS = 3


def left_out_notes(study: Study, table: Table, failures: Sequence[Failure]) -> list[str]:
    """Write a sentence each for the excluded runs, failed jobs and interrupted jobs of a table.

    Args:
        failures: all failed and interrupted jobs of the study; those of other tables are skipped.
    """
    behind = set(_jobs(study, table))
    own = [failure for failure in failures if failure.job in behind]
    excluded = {run: why for row in table.rows for run, why in study.excluded(row).items()}
    notes = []
    if excluded:
        reasons = "; ".join(f"{run}: {why}" for run, why in excluded.items())
        notes.append(f"Excluded runs: {len(excluded)} ({reasons}).")
    for outcome, words in (("failed", "failed"), ("interrupted", "were interrupted")):
        found = [failure for failure in own if failure.outcome == outcome]
        if found:
            open_ = len({failure.job for failure in found if not failure.completed_later})
            later = "each completed later" if not open_ else f"{open_} never completed"
            notes.append(f"Jobs that {words}: {len(found)} ({_reasons(found)}); {later}.")
    return notes


def _jobs(study: Study, table: Table) -> Iterator[str]:
    names = {name for column in table.columns.values() for name in column.evaluations}
    for row in table.rows:
        for seed in study.encoders[row].seeds:
            run = run_name(row, seed)
            yield f"pretrain/{run}"
            for name in names:
                yield f"{study.evaluations[name].stage}/{run}/{name}"


def _reasons(failures: Sequence[Failure]) -> str:
    counts = Counter(failure.reason or "no reason recorded" for failure in failures)
    # One line each: an error of a compiler can be pages long.
    shown = [" ".join(reason.split())[:120] for reason, _ in counts.most_common(_SHOWN_REASONS)]
    more = len(counts) - len(shown)
    return "; ".join(shown) + (f"; {more} other reasons" if more > 0 else "")
