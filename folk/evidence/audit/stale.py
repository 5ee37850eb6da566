"""Reasons why a job would make another result today, from its record and the study alone.

The workflow plans by them and `verify` reports them, so both name the same jobs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from folk.evidence.audit.plan import Planned, planned_jobs
from folk.evidence.audit.sources import source_changes
from folk.evidence.core.digest import digest_file, sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.json_file import read_keys
from folk.evidence.core.yaml_model import flattened
from folk.evidence.results.published import published_files
from folk.evidence.study.study import DataEntry, Study

SHOWN_KEYS = 3
ROW_DIGEST = "pretrain_recipe_digest"  # in an output of what measures a recipe


class StudyToday:
    """Jobs of a study as it asks for them today.

    Args:
        study: the study.
        results: its own folder, such as `results/demo`.
        recipes: values of today's recipe of each entry, by stage and entry, without those that
            change no result; one that cannot be read is left out.
        sources: what each data set would be made from today, as of `source_changes`, if it is here.
    """

    def __init__(
        self,
        study: Study,
        results: Path,
        recipes: Mapping[tuple[str, str], Mapping[str, Any]],
        sources: Mapping[str, Mapping[str, Path]],
    ) -> None:
        self.study = study
        self.results = results
        self.jobs = {job.folder: job for job in planned_jobs(study, results)}
        self._recipes = recipes
        self._sources = sources
        self._digests = {entry: sha256_of_json(values) for entry, values in recipes.items()}

    def differences(
        self, job: Planned, record: Mapping[str, Any], note: Path | None = None
    ) -> Iterator[str]:
        """Yield a sentence for each difference between a finished job and what is asked today.

        Args:
            job: the job.
            record: its record.
            note: as of `source_changes`.
        """
        entry = (job.stage, job.entry)
        if entry not in self._digests:
            yield f"the recipe of '{job.entry}' cannot be read; `snakemake -n` says why"
        elif self._digests[entry] != record["recipe_digest"]:
            changed = _changed(record["recipe"], self._recipes[entry])
            yield f"the recipe was changed after the run: {changed}"
        if record["scale"] != self.study.scale:
            yield f"made at scale '{record['scale']}', the study has '{self.study.scale}'"
        read = list(dict.fromkeys(filter(None, map(self._maker, record["inputs"]))))
        if read != list(dict.fromkeys(job.reads)):
            names = ", ".join(path.as_posix() for path in read) or "nothing"
            yield f"made from {names}, the study has other data, split or encoder"
        if any(given.settings for given in self.study.stages[job.stage].inputs):
            yield from self._other_row(job)
        if isinstance(self.study.entry(*entry), DataEntry):
            yield from self._other_sources(job, record, note)

    def of_tables(self, record: Mapping[str, Any]) -> Iterator[str]:
        """Yield a sentence if a report shows other rows, columns or claims than the study has."""
        if record["recipe"] and record["recipe_digest"] != sha256_of_json(shown_values(self.study)):
            yield f"made before {_changed(record['recipe'], shown_values(self.study))}"

    def _maker(self, entry: Mapping[str, Any]) -> Path | None:
        """Return the folder of the job that a file belongs to; None for files from outside."""
        place = Path(entry["path"])
        if self.results not in place.parents:
            return None
        return next((folder for folder in place.parents if folder in self.jobs), place.parent)

    def _other_row(self, job: Planned) -> Iterator[str]:
        """The recipe of a row that is measured as it is written, not as an encoder."""
        row = job.run.rpartition("-s")[0]
        now = next((d for (_, name), d in self._of_rows() if name == row), None)
        for file in self.study.stages[job.stage].outputs.values():
            path = job.folder / file
            if path.suffix != ".json" or not path.is_file():
                continue
            try:
                before = read_keys(path, "run that job again").get(ROW_DIGEST, now)
            except InputError:
                continue  # its digest says so
            if before != now:
                yield f"the recipe of row '{row}' was changed after it was measured"

    def _of_rows(self) -> Iterator[tuple[tuple[str, str], str]]:
        for entry, digest in self._digests.items():
            if self.study.stages[entry[0]].section == "encoders":
                yield entry, digest

    def _other_sources(
        self, job: Planned, record: Mapping[str, Any], note: Path | None
    ) -> Iterator[str]:
        recorded = {e["name"]: e["path"] for e in record["inputs"] if e["record"] is None}
        for name in self.study.data[job.entry].archives:
            if f"archive {name}" not in recorded:
                yield f"the study now has an archive '{name}', which was not read"
        today = self._sources.get(job.entry)
        if today is None:
            return
        if note is None:
            # An audit reads the archives where they were recorded, whatever their time stamps.
            same = {name for name in today if recorded.get(f"archive {name}") == str(today[name])}
            if same and same == today.keys():
                return
            today = {name: path for name, path in today.items() if name not in same}
        yield from source_changes(record, job.folder, today, note)


def shown_values(study: Study) -> dict[str, Any]:
    """Rows, columns and claims of a study: the recipe of its report."""
    parts = {"title", "scale", "encoders", "exclude", "tables", "claims"}
    return study.model_dump(mode="json", include=parts)


def published_differences(record: Mapping[str, Any], published: Path) -> Iterator[str]:
    """Yield a sentence for each file of published numbers that has changed since the report."""
    read = {
        Path(entry["path"]).name: entry["sha256"]
        for entry in record["inputs"]
        if entry["name"].startswith("published ")
    }
    for path in published_files(published):
        if read.get(path.name) != digest_file(path).sha256:
            yield f"made before {path} was changed"


def _changed(before: Mapping[str, Any], today: Mapping[str, Any]) -> str:
    old = flattened({key: value for key, value in before.items() if key in today})
    new = flattened(dict(today))
    keys = sorted(k for k in {*old, *new} if old.get(k, "nothing") != new.get(k, "nothing"))
    shown = [f"{k} was {old.get(k, 'nothing')}, is {new.get(k, 'nothing')}" for k in keys]
    more = len(shown) - SHOWN_KEYS
    return "; ".join(shown[:SHOWN_KEYS]) + (f"; {more} more" if more > 0 else "")
