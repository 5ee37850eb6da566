"""Statements of an explanation: contradicted, established, or taken on trust with the reason.

Each statement is derived from facts in the explanation.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from folk.evidence.audit.attestation import in_words
from folk.evidence.audit.explanation import Agreement, JobFacts, Part, RerunFacts, Run
from folk.evidence.audit.file_states import LARGE_BYTES, Reading
from folk.evidence.core.numbers import alike
from folk.evidence.results.cells import Cell
from folk.evidence.results.metrics.cost import OF_ONE_MACHINE
from folk.evidence.results.published import Published, PublishedNumber
from folk.evidence.study.study import run_name

_SHOWN = 3
_ASKED: tuple[tuple[str, str, Callable[[JobFacts], Agreement]], ...] = (
    ("recipe", "the recipe was edited", lambda job: job.recipe.today),
    ("code", "the code was changed", lambda job: job.code),
    ("environment lock", "packages were changed", lambda job: job.lock),
)


class Statements:
    """The three lists of an explanation, filled subject by subject."""

    def __init__(self) -> None:
        self.contradicted: list[str] = []
        self.established: list[str] = []
        self.not_established: list[str] = []

    def contradict(self, sentence: str) -> None:
        """Add a failed check, without duplicates."""
        if sentence not in self.contradicted:
            self.contradicted.append(sentence)

    def of_number(self, cell: Cell, runs: list[Run], derived: Cell | None) -> None:
        """Check that the printed number follows from metrics, predictions and published numbers.

        Args:
            cell: the stored cell.
            runs: the parts behind it.
            derived: the cell recomputed from the results; None if that failed, which is then
                already contradicted.
        """
        if derived is not None:
            before = len(self.contradicted)
            for key, was, now in _differences(cell, derived):
                giver = "config/published" if key.startswith("published_") else "the evidence"
                self.contradict(f"cells.parquet has {key} {was!r}, {giver} gives {now!r}")
            if len(self.contradicted) == before and not cell.quoted:
                self._establish_number(cell, runs)
        parts = [part for run in runs for part in run.parts if part.status == "ok"]
        trusted = [part.name for part in parts if part.derived is None]
        if trusted and cell.metric in OF_ONE_MACHINE:
            self.not_established.append(
                f"{cell.metric} of {_listed(trusted)}: of one machine at one moment; another "
                "machine gives another number, and nothing that is stored can give it again"
            )
        elif trusted:
            self.not_established.append(
                f"{cell.metric} of {_listed(trusted)}: stated by the job; no stored predictions "
                "give it again"
            )

    def of_runs(self, cell: Cell, runs: list[Run], facts: list[JobFacts]) -> None:
        """Check that records agree with metrics, and are in their place."""
        jobs = {job.record: job for job in facts}
        known = dict(zip(cell.parents, cell.parent_ids, strict=True))
        for run in runs:
            for part in run.parts:
                job = jobs.get(part.record)
                if job is not None:
                    self._of_part(cell, run, part, job, known.get(part.record))

    def of_chain(self, facts: list[JobFacts], reading: Reading) -> None:
        """Check that records, links, files, recipes, code and lock are unchanged."""
        if not facts:
            return
        self._of_records(facts)
        self._of_files(facts, reading)
        self._of_archives(facts)
        self._of_today(facts)
        self._of_uncommitted(facts)
        self._of_restarts(facts)
        recipes = [fact.job.record["recipe"] for fact in facts]
        assumed = {key for recipe in recipes for key in recipe.get("assume") or {}}
        if assumed:
            self.not_established.append(
                f"{len(assumed)} recipe values without a source, such as {_listed(assumed)}: "
                "each an assumption with its basis"
            )
        hosts = sorted({start["host"] for job in facts for start in job.starts})
        self.not_established.append(
            f"that {_listed(hosts)} ran the recorded commands, and that records, files and tables "
            "were not forged together: only a rerun, or a seal kept elsewhere, shows that"
        )

    def of_published(
        self, cell: Cell, number: PublishedNumber | None, published: Published
    ) -> None:
        """Check the published number against its file, and state its certainty."""
        if number is None:
            if cell.published_id is not None:
                self.contradict(
                    f"cells.parquet compares it with '{cell.published_id}', today's study and "
                    f"{published.folder} do not"
                )
            return
        here = (number.id, number.value, number.printed, number.certainty)
        there = (cell.published_id, cell.published_value, cell.published_printed)
        if here == (*there, cell.published_certainty):
            self.established.append(f"'{number.id}' is unchanged in {published.folder}")
        if number.value is None:
            self.not_established.append(f"'{number.id}': we have not seen the number")
        else:
            meaning = published.certainty[number.certainty]
            self.not_established.append(
                f"that the paper prints {number.printed}: known as '{number.certainty}' ({meaning})"
            )

    def of_reruns(self, reruns: list[RerunFacts]) -> None:
        """State what attestations show: whose keys say it of these records, and no more."""
        if counted := [each.attestation for each in reruns if each.word == "ok"]:
            signed = _count(len(counted), "signed attestation")
            self.established.append(f"by {signed} of these very records {in_words(counted)}")
            self.not_established.append(
                "that those who signed an attestation ran what it says: a signature shows whose "
                "key it was, and two keys may be one person's"
            )
        for each in reruns:
            if each.word != "ok":
                path = each.attestation.path
                self.not_established.append(f"{path}: does not count, {each.word}: {each.says}")

    def _establish_number(self, cell: Cell, runs: list[Run]) -> None:
        parts = [part for run in runs for part in run.parts]
        if cell.value is None:
            absent = [part.name for part in parts if part.status != "ok"]
            self.established.append(
                f"there is no number because {_listed(absent)} has none ({cell.note})"
            )
            return
        again = [part.name for part in parts if part.derived is not None]
        if again:
            self.established.append(
                f"{cell.metric} of {_listed(again)} was derived again from stored predictions and "
                "equals metrics.json"
            )
        if len(again) == len(parts):
            self.established.append(f"the printed {cell.printed} follows from the predictions")
        else:
            self.established.append(f"the printed {cell.printed} follows from metrics.json")

    def _of_part(
        self, cell: Cell, run: Run, part: Part, job: JobFacts, printed_from: str | None
    ) -> None:
        record = job.job.record
        if printed_from is not None and printed_from != record["id"]:
            self.contradict(
                f"{job.record}: is record {record['id'][:12]}, the table was made from "
                f"{printed_from[:12]}; run `report` again"
            )
        stated = record["metrics"].get(cell.metric)
        if part.stated is not None and stated != part.stated:
            self.contradict(
                f"{job.record} has {cell.metric} {stated!r}, metrics.json has {part.stated!r}"
            )
        run_, evaluation = part.name.split("/")
        seeds = {"seed": run.seed, "finetune_seed": run.finetune_seed}
        asked = {"stage": part.stage, "run": run_, "evaluation": evaluation, **seeds}
        is_other = any(record.get(key) != value for key, value in asked.items())
        if is_other or run_ != run_name(cell.row, run.seed):
            again = record.get("finetune_seed")
            stated = f"seed {record['seed']}"
            if again is not None or run.finetune_seed is not None:
                stated += f", fine-tuning seed {again}"
            self.contradict(f"{job.record}: is of {job.name}, {stated}, not of {part.name}")

    def _of_records(self, facts: list[JobFacts]) -> None:
        for job in facts:
            for problem in job.problems:
                self.contradict(problem)
        makers = {job.job.id: job.job.record for job in facts}
        for job in facts:
            for file in job.inputs:
                maker, run = makers.get(file["record"] or ""), job.job.record["run"]
                if maker is not None and maker["seed"] is not None and maker["run"] != run:
                    self.contradict(
                        f"{job.record}: {file['path']} is of {maker['run']}, not of {run}"
                    )
        whole = [job for job in facts if not job.problems]
        links = sum(1 for job in whole for file in job.inputs if file["record"] is not None)
        if whole:
            self.established.append(
                f"{_count(len(whole), 'record')}: form and id hold, and {_count(links, 'input')} "
                "lead to the records that made them"
            )

    def _of_files(self, facts: list[JobFacts], reading: Reading) -> None:
        files: dict[tuple[str, str | None], dict[str, Any]] = {}
        readers: dict[str, str] = {}
        for job in facts:
            for file in (*job.outputs, *job.inputs):
                files.setdefault((file["path"], file["sha256"]), file)
                readers.setdefault(file["path"], job.record)
        by_state: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for file in files.values():
            by_state[file["state"]].append(file)
        outside = {f["path"] for job in facts for f in job.inputs if f["record"] is None}
        for file in by_state["other"]:
            self.contradict(f"{file['path']}: other bytes than {readers[file['path']]} names")
        for file in by_state["missing"]:
            if file["path"] in outside:
                digest = f"sha256 {(file['sha256'] or '')[:12]}"
                self.not_established.append(f"{file['path']}: missing; {digest} is only recorded")
            else:
                self.contradict(f"{file['path']}: missing, recorded in {readers[file['path']]}")
        if away := by_state["elsewhere"]:
            named = f"{away[0]['path']}, sha256 {(away[0]['sha256'] or '')[:12]}"
            self.not_established.append(
                f"bytes of {_count(len(away), 'file')} that git does not hold, such as {named}"
            )
        if same := by_state["same"]:
            size = sum(file["size"] or 0 for file in same)
            self.established.append(
                f"{_count(len(same), 'file')} ({_size(size)}) have the sha256 of the records"
            )
        if unread := by_state["not read"]:
            size = sum(file["size"] or 0 for file in unread)
            why = "nothing was hashed" if reading == "none" else f"above {_size(LARGE_BYTES)}"
            self.not_established.append(
                f"bytes of {_count(len(unread), 'file')} ({_size(size)}): only sizes compared, "
                f"{why}"
            )
        if unknown := [file["path"] for file in by_state["no digest"]]:
            self.not_established.append(
                f"bytes of {_listed(unknown)}: named by the record without a digest"
            )

    def _of_archives(self, facts: list[JobFacts]) -> None:
        for job in facts:
            if job.job.record["stage"] != "prepare":
                continue
            for file in (file for file in job.inputs if file["name"].startswith("archive ")):
                if file["official_md5"] is None:
                    self.not_established.append(
                        f"that {file['path']} is the official archive: no published digest"
                    )
                elif file["official_md5"] == file["md5"]:
                    self.established.append(f"{file['path']} has the published md5")
                else:
                    self.contradict(f"{file['path']}: its md5 differs from the published one")
            if not any(file["name"].startswith("archive ") for file in job.inputs):
                self.not_established.append(
                    f"that the images of {job.job.record['run']} are the official ones: they came "
                    "from no archive with a published digest"
                )

    def _of_today(self, facts: list[JobFacts]) -> None:
        unmoved = []
        for noun, moved, ask in _ASKED:
            names: dict[Agreement, list[str]] = {"same": [], "other": [], "unknown": []}
            for job in facts:
                names[ask(job)].append(job.name)
            if len(names["same"]) == len(facts):
                unmoved.append(noun)
            if names["other"]:
                self.not_established.append(
                    f"that today's {noun} would give the same: since {_listed(names['other'])} "
                    f"{moved}"
                )
            if names["unknown"]:
                self.not_established.append(
                    f"that {noun} is unchanged for {_listed(names['unknown'])}: today's is not "
                    "known here"
                )
        if unmoved:
            self.established.append(f"as today in every job: {', '.join(unmoved)}")

    def _of_uncommitted(self, facts: list[JobFacts]) -> None:
        for job in facts:
            if job.uncommitted in ("missing", "other"):
                what = "are missing" if job.uncommitted == "missing" else "differ from the record"
                self.contradict(f"{job.job.diff}: the uncommitted changes of {job.record} {what}")
        dirty = [job for job in facts if job.uncommitted in ("kept", "cut")]
        if dirty:
            self.not_established.append(
                f"what uncommitted code does: {_listed(job.name for job in dirty)} ran with it; "
                f"kept in {_listed(str(job.job.diff) for job in dirty)}"
                + ("" if all(job.uncommitted == "kept" for job in dirty) else ", not in full")
            )
        codes = [(job.name, job.job.record["code"]) for job in facts]
        if unborn := [name for name, code in codes if code["commit"] is None]:
            self.not_established.append(
                f"the commit of {_listed(unborn)}: git had none; only the fingerprint "
                "identifies the code"
            )
        if unsure := [name for name, code in codes if code["commit"] and code["dirty"] is None]:
            self.not_established.append(
                f"whether {_listed(unsure)} ran the code of that commit: git could not compare; "
                "only the fingerprint identifies the code"
            )

    def _of_restarts(self, facts: list[JobFacts]) -> None:
        for job in facts:
            moved = [s for s in job.starts if not (s["same_code"] and s["same_lock"])]
            if moved:
                what = "code" if any(not s["same_code"] for s in moved) else "environment lock"
                self.not_established.append(
                    f"that {job.name} is one computation: its {what} changed between its "
                    f"{len(job.starts)} starts"
                )
            if any(not start["same_geometry"] for start in job.starts):
                self.not_established.append(
                    f"the last bits of {job.name}: it continued with other nodes, processes or "
                    "threads, which changes the order of sums"
                )


def _differences(cell: Cell, derived: Cell) -> Iterator[tuple[str, object, object]]:
    printed, again = asdict(cell), asdict(derived)
    for key, was in printed.items():
        if key != "parent_ids" and not alike(was, again[key]):
            yield key, was, again[key]


def _listed(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "B" or size >= 10 else f"{size:.1f} {units[0]}"
