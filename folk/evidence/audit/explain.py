"""Explanation of a cell: its recomputed number, and its chain back to the archives."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from folk.evidence.audit.attestation import Attestation, judged
from folk.evidence.audit.chain import Chain, Job
from folk.evidence.audit.explanation import (
    ClaimFacts,
    Explanation,
    FailureFacts,
    JobFacts,
    Part,
    PublishedFacts,
    RerunFacts,
    Run,
    claim_id,
)
from folk.evidence.audit.file_states import FileStates, Reading
from folk.evidence.audit.job_facts import job_facts
from folk.evidence.audit.statements import Statements
from folk.evidence.audit.today import Today
from folk.evidence.core.errors import InputError, nearest, printable
from folk.evidence.record.lineage import is_by_value
from folk.evidence.results.cells import Cell, derive_cell
from folk.evidence.results.claims import JudgedClaim
from folk.evidence.results.evidence import Evidence, Measurement
from folk.evidence.results.published import Published, PublishedNumber
from folk.evidence.results.verdicts import rule_of
from folk.evidence.study.study import Study


class Explainer:
    """Explainer of the cells of one study; jobs, files and predictions are read once for all.

    Args:
        chain: the study's records. Its root must be the current folder, the base of all paths.
        study: today's study.
        cells: the rows of its cells.parquet: what is printed.
        published: today's published numbers.
        today: today's code, lock and recipes.
        reading: which files are hashed; see `FileStates`.
        evidence: the study's results, if the caller has read them already.
        derived: cells that the caller has recomputed; the others are recomputed here.
        claims: the rows of its claims.parquet.
        attestations: those of the study.
    """

    def __init__(
        self,
        chain: Chain,
        study: Study,
        cells: Iterable[Cell],
        published: Published,
        today: Today,
        reading: Reading = "all",
        *,
        evidence: Evidence | None = None,
        derived: Mapping[str, Cell] | None = None,
        claims: Iterable[JudgedClaim] = (),
        attestations: Iterable[Attestation] = (),
    ) -> None:
        self.chain = chain
        self.study = study
        self.published = published
        self.today = today
        self.files = FileStates(chain.root, chain.results, reading)
        self.evidence = evidence or Evidence(study, chain.root / chain.results)
        self.derived = derived or {}
        self.cells = {cell.id: cell for cell in cells}
        self.claims = {claim.id: claim for claim in claims}
        self.attestations = list(attestations)
        self._facts: dict[Path, JobFacts] = {}

    def explain(self, cell_id: str) -> Explanation:
        """Explain one cell.

        Raises:
            InputError: unknown cell; the line suggests the nearest.
        """
        cell, lists = self._cell(cell_id), Statements()
        runs = list(self._runs(cell, lists))
        jobs = self._jobs(runs, lists)
        self.files.read(
            entry
            for job in jobs
            for entry in (*job.inputs, *job.outputs)
            if not is_by_value(entry["name"])
        )
        facts = [self._job(job) for job in jobs]
        failures = list(self._failures(runs, jobs, lists))
        lists.of_number(cell, runs, self._derived(cell, lists))
        lists.of_runs(cell, runs, facts)
        self._of_predictions(cell, runs, jobs, lists)
        lists.of_chain(facts, self.files.reading)
        number = self._published(cell)
        lists.of_published(cell, number, self.published)
        reruns = list(self._reruns(cell, jobs))
        lists.of_reruns(reruns)
        return self._explanation(cell, runs, number, facts, failures, reruns, lists)

    def bytes_to_read(self, cell_ids: Iterable[str]) -> int:
        """Count the bytes to hash for explaining these cells.

        Raises:
            InputError: as `explain`.
        """
        jobs = {
            job.path: job
            for cell in map(self._cell, cell_ids)
            for job in self._jobs(list(self._runs(cell, Statements())), Statements())
        }
        return self.files.to_read(e for job in jobs.values() for e in (*job.inputs, *job.outputs))

    def _cell(self, cell_id: str) -> Cell:
        if cell_id not in self.cells:
            close = nearest(cell_id, [*self.cells, *map(claim_id, self.study.claims)])
            raise InputError(f"{self.study.name}: unknown cell '{cell_id}'{close}")
        return self.cells[cell_id]

    def _explanation(
        self,
        cell: Cell,
        runs: list[Run],
        number: PublishedNumber | None,
        facts: list[JobFacts],
        failures: list[FailureFacts],
        reruns: list[RerunFacts],
        lists: Statements,
    ) -> Explanation:
        verdicts = {name: claim.verdict for name, claim in self.claims.items()}
        table = self.study.tables.get(cell.table)
        row = self.study.encoders.get(cell.row) or (table and table.context.get(cell.row))
        column = table and table.columns.get(cell.column)
        return Explanation(
            cell=cell.id,
            study=self.study.name,
            title=table.title if table else cell.table,
            row=row.label if row else cell.row,
            column=column.label if column else cell.column,
            number=cell,
            runs=runs,
            published=None if number is None else self._cited(number),
            rule=None if cell.verdict is None else rule_of(cell.verdict),
            claims=[
                ClaimFacts(name, claim.kind, claim.says, verdicts.get(name))
                for name, claim in self.study.claims.items()
                if cell.id in [place for _, place in claim.places()]
            ],
            chain=facts,
            failures=failures,
            reruns=reruns,
            contradicted=lists.contradicted,
            established=lists.established,
            not_established=lists.not_established,
        )

    def _runs(self, cell: Cell, lists: Statements) -> Iterator[Run]:
        column = self.study.cells().get(cell.id)
        if column is None:
            return  # quoted, or no longer in the study, which `_derived` reports
        again: Sequence[int | None] = cell.finetune_seeds or [None] * len(cell.seeds)
        values = dict(zip(zip(cell.seeds, again, strict=True), cell.seed_values, strict=True))
        for seed in self.study.encoders[cell.row].seeds:
            for finetune_seed, evaluations in self.study.rounds(column).items():
                parts = []
                for evaluation in evaluations:
                    try:
                        found = self.evidence.measurement(cell.row, seed, evaluation)
                    except InputError as error:
                        lists.contradict(str(error))
                        continue
                    parts.append(self._part(found, evaluation, column.metric, lists))
                yield Run(seed, finetune_seed, values.get((seed, finetune_seed)), parts)

    def _part(self, found: Measurement, evaluation: str, metric: str, lists: Statements) -> Part:
        derived = None
        if found.status == "ok":
            try:
                derived = self.evidence.derived(found, metric)
            except InputError as error:
                lists.contradict(str(error))
        return Part(
            name=found.name,
            stage=self.study.evaluations[evaluation].stage,
            status=found.status,
            stated=found.metrics.get(metric),
            derived=derived,
            record=found.record,
            record_id=found.record_id,
        )

    def _of_predictions(
        self, cell: Cell, runs: list[Run], jobs: list[Job], lists: Statements
    ) -> None:
        """Contradict a number that is derived from a file that its record does not name."""
        named = {output["path"] for job in jobs for output in job.outputs}
        for part in (part for run in runs for part in run.parts if part.derived is not None):
            metric = self.study.stages[part.stage].metric(cell.metric or "")
            place = Path(part.record).with_name(metric.file if metric else "metrics.json")
            if place.as_posix() not in named:
                lists.contradict(f"{place}: no record names it, and the number is derived from it")

    def _jobs(self, runs: list[Run], lists: Statements) -> list[Job]:
        measuring = []
        for part in (part for run in runs for part in run.parts):
            if part.status == "ok":
                try:
                    measuring.append(self.chain.at(Path(part.record)))
                except InputError as error:
                    lists.contradict(str(error))
        return self.chain.behind(measuring)

    def _job(self, job: Job) -> JobFacts:
        if job.path not in self._facts:
            self._facts[job.path] = job_facts(self.chain, job, self.today, self.files)
        return self._facts[job.path]

    def _derived(self, cell: Cell, lists: Statements) -> Cell | None:
        if cell.id in self.derived:
            return self.derived[cell.id]
        try:
            return derive_cell(self.study, self.evidence, self.published, cell.id)
        except InputError as error:
            lists.contradict(str(error))
            return None

    def _failures(
        self, runs: list[Run], jobs: list[Job], lists: Statements
    ) -> Iterator[FailureFacts]:
        behind = {_place(job) for job in jobs}
        for part in (part for run in runs for part in run.parts):
            run, _, evaluation = part.name.partition("/")
            behind |= {(part.stage, run, evaluation), ("pretrain", run, None)}
        failed, unreadable = self._failed
        for problem in unreadable.values():
            lists.contradict(problem)  # its job is unknown, so every cell reports it
        for job in failed.values():
            if _place(job) in behind:
                yield self._failure(job)

    def _reruns(self, cell: Cell, jobs: list[Job]) -> Iterator[RerunFacts]:
        for found in self.attestations:
            if found.predicate is not None and found.predicate.cell == cell.id:
                word, says = judged(found, self.study.name, cell, jobs)
                yield RerunFacts(found, word, printable(says))

    @cached_property
    def _failed(self) -> tuple[dict[Path, Job], dict[Path, str]]:
        return self.chain.readable(self.chain.failed_paths())

    def _failure(self, job: Job) -> FailureFacts:
        error, place = job.record["error"] or {}, _place(job)
        done = self.chain.results.joinpath(*filter(None, place), "record.json")
        return FailureFacts(
            name=job.name,
            record=job.path.as_posix(),
            id=job.id,
            outcome=job.record["outcome"],
            started=job.record["started"],
            reason=": ".join(filter(None, (error.get("type"), error.get("message")))),
            completed_later=(self.chain.root / done).is_file(),
        )

    def _published(self, cell: Cell) -> PublishedNumber | None:
        table = self.study.tables.get(cell.table)
        if table is None:
            return None
        quoted = table.context.get(cell.row)
        listed = table.published.get(f"{cell.row}/{cell.column}")
        wanted = quoted.cells.get(cell.column) if quoted else listed
        return None if wanted is None else self.published.numbers.get(wanted)

    def _cited(self, number: PublishedNumber) -> PublishedFacts:
        paper = self.published.papers[number.paper]
        return PublishedFacts(number, paper, self.published.certainty[number.certainty])


def _place(job: Job) -> tuple[str, str | None, str | None]:
    return job.record["stage"], job.record["run"], job.record["evaluation"]
