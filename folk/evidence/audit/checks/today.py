"""Check of results against today's study, recipes and source images."""

from collections.abc import Iterator

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.stale import StudyToday, published_differences
from folk.evidence.audit.subject import Subject


def check_today(subject: Subject) -> Iterator[Finding]:
    """Compare the record of each planned job, and of the report, with what is asked today."""
    recipes = {entry: recipe.values for entry, recipe in subject.recipes.items()}
    today = StudyToday(subject.study, subject.results, recipes, subject.sources)
    for job in subject.planned.values():
        says = "; ".join(today.differences(today.jobs[job.path.parent], job.record))
        if says:
            yield Finding("stale", job.path.as_posix(), says, subject.plan.cells(job.path))
    for path, job in subject.readers.items():
        if path.parent.name != "report":
            continue
        for says in today.of_tables(job.record):
            yield Finding("stale", path.as_posix(), says)
        # What a table shows of a published number is compared cell by cell.
        for says in published_differences(job.record, subject.published):
            yield Finding("stale", path.as_posix(), says, remark=True)
