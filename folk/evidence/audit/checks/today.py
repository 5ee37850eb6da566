"""Check of results against today's study, recipes and sources, and of the study kept with them."""

from collections.abc import Iterator

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.stale import StudyToday, published_differences
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError
from folk.evidence.study.effective import effective_path
from folk.evidence.study.study import written_study


def check_kept_study(subject: Subject) -> Iterator[Finding]:
    """Report a study.yaml of the results that is no study, so that another file was read."""
    kept = effective_path(subject.results)
    if kept.is_file() and kept != subject.study_path:
        try:
            written_study(kept, subject.study.stages)
        except InputError as error:
            yield Finding("tampered", kept.as_posix(), str(error))


def check_today(subject: Subject, edited_study: bool) -> Iterator[Finding]:
    """Compare the record of each planned job, and of the report, with what is asked today.

    Args:
        subject: the study.
        edited_study: the study file has other bytes than were sealed, so a difference from it is
            its own.
    """
    recipes = {entry: recipe.values for entry, recipe in subject.recipes.items()}
    today = StudyToday(subject.study, subject.results, recipes, subject.sources)
    for job in subject.planned.values():
        says = "; ".join(today.differences(today.jobs[job.path.parent], job.record))
        if says and edited_study:
            cells = subject.plan.cells(job.path)
            yield Finding("tampered", subject.study_path.as_posix(), says, cells)
        elif says:
            yield Finding("stale", job.path.as_posix(), says, subject.plan.cells(job.path))
    for path, job in subject.readers.items():
        if path.parent.name != "report":
            continue
        if not edited_study:
            for says in today.of_tables(job.record):
                yield Finding("stale", path.as_posix(), says)
        # What a table shows of a published number is compared cell by cell.
        for says in published_differences(job.record, subject.published):
            yield Finding("stale", path.as_posix(), says, remark=True)
