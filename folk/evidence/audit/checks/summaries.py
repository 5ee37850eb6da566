"""Check of the summaries of runs that no seal names, against the results they are a view of."""

from collections.abc import Iterable, Iterator

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.core.errors import InputError
from folk.evidence.core.json_file import read_json
from folk.evidence.results.summaries import FOLDER, measured_files, summary_of


def check_summaries(subject: Subject, causes: Iterable[Finding]) -> Iterator[Finding]:
    """Compare each `metrics/<run>.json` that is not in the seal with the run's results.

    Args:
        subject: the study.
        causes: findings on records, files and seal; what follows from them is not reported again.
    """
    folder = subject.results / FOLDER
    sealed = {} if subject.seal is None else subject.seal.files
    if not folder.is_dir():
        return  # `seal` makes it
    accused = {part for finding in causes for part in finding.place.split("/")}
    runs = measured_files(subject.results, subject.study.stages)
    for run, files in runs.items():
        path = folder / f"{run}.json"
        if path.as_posix() in sealed or run in accused:
            continue
        if not path.is_file():
            if subject.seal is None:  # else the run is newer than the seal
                yield Finding("missing", path.as_posix(), "not there; seal the study again")
            continue
        try:
            same = read_json(path, "seal the study again") == summary_of(files)
        except InputError as error:
            yield Finding("tampered", path.as_posix(), str(error))
            continue
        if not same:  # edited, or older than its run: only a seal tells them apart
            says = "differs from the metrics of its run; seal the study again"
            yield Finding("stale", path.as_posix(), says)
