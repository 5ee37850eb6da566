"""Facts of one run that go with its encoder: numbers with verdicts, records and seal."""

from dataclasses import dataclass
from typing import Any

from folk.evidence.audit.cell_claim import seal_of
from folk.evidence.audit.chain import RECORD_NAME, Job
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.explanation import Explanation
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.results.claims import JudgedClaim
from folk.evidence.study.study import Study


@dataclass(frozen=True)
class RunFacts:
    """A run, checked just now against its records, its predictions and the seal."""

    study: Study
    run: str
    row: str
    seed: int
    job: Job  # that made the encoder
    numbers: list[Explanation]  # of each cell of its row, over all seeds
    claims: list[JudgedClaim]  # that read one of these cells
    seal: dict[str, Any] | None  # as in the claim of a cell
    contradicted: list[str]

    def own(self, number: Explanation) -> list[str]:
        """Values of this run in a cell as printed, one for each fine-tuning seed."""
        cell = number.number
        printed = zip(cell.seeds, cell.printed_seeds, strict=True)
        return [value for seed, value in printed if seed == self.seed]


def run_facts(explainer: Explainer, run: str) -> RunFacts:
    """Collect the facts of a run, such as `folk-s0`.

    Raises:
        InputError: unknown run, one that is not finished, or an invalid file.
    """
    study, chain = explainer.study, explainer.chain
    rows = {name: (row, seed) for name, row, seed in study.runs()}
    if run not in rows:
        raise InputError(f"{study.name}: unknown run '{run}'{nearest(run, rows)}")
    row, seed = rows[run]
    path = chain.results / "pretrain" / run / RECORD_NAME
    if not (chain.root / path).is_file():
        raise InputError(f"{path}: missing; run the study, or `dvc pull` its results")
    job = chain.at(path)
    cells = [cell for cell in explainer.cells.values() if cell.row == row and not cell.quoted]
    numbers = [explainer.explain(cell.id) for cell in cells]
    behind = chain.behind([job])
    finished = {each.path.as_posix(): each.id for each in behind}
    finished |= {each.record: each.job.id for number in numbers for each in number.chain}
    failed = {each.record: each.id for number in numbers for each in number.failures}
    seal = seal_of(chain, finished, failed)
    contradicted = [problem for _, problem in chain.broken(behind)]
    contradicted += [line for number in numbers for line in number.contradicted]
    if seal is not None and not seal["holds"]:
        contradicted.append(f"{seal['path']}: its digests do not match; restore the committed one")
    elif seal is not None and not seal["has_chain"]:
        contradicted.append(f"{seal['path']}: lacks records of this run; seal the study again")
    ids = {cell.id for cell in cells}
    claims = [claim for claim in explainer.claims.values() if ids & set(claim.cells)]
    return RunFacts(study, run, row, seed, job, numbers, claims, seal, contradicted)
