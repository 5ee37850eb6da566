"""All checks of a finished study, causes before consequences."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from folk.evidence.audit.again import check_again, evaluations_of
from folk.evidence.audit.checks.adopted import check_adopted
from folk.evidence.audit.checks.attested import check_attestations
from folk.evidence.audit.checks.cells import check_cells
from folk.evidence.audit.checks.claims import check_claims
from folk.evidence.audit.checks.code import check_code
from folk.evidence.audit.checks.copies import (
    check_encoders,
    check_histories,
    check_order,
    check_replaced,
)
from folk.evidence.audit.checks.dvc import check_dvc
from folk.evidence.audit.checks.explained import check_explained
from folk.evidence.audit.checks.files import Sample, check_files
from folk.evidence.audit.checks.foreign import check_foreign
from folk.evidence.audit.checks.freeze import check_freeze
from folk.evidence.audit.checks.manifests import check_manifests
from folk.evidence.audit.checks.readers import check_readers
from folk.evidence.audit.checks.records import check_failed, check_records
from folk.evidence.audit.checks.seal import check_seal
from folk.evidence.audit.checks.summaries import check_summaries
from folk.evidence.audit.checks.today import check_kept_study, check_today
from folk.evidence.audit.checks.uncommitted import check_uncommitted
from folk.evidence.audit.findings import Checked, Verification, in_order, words_by_cell
from folk.evidence.audit.replay import Draw, check_logs, check_replayed, trainings_of
from folk.evidence.audit.subject import Subject
from folk.evidence.audit.today import Recipes
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import Study


def verify(
    study: Study,
    study_path: Path,
    results: Path,
    published: Path,
    recipes: Recipes,
    *,
    source_files: Mapping[str, Mapping[str, Path]] | None = None,
    sample: Sample | None = None,
    deep: Sequence[str] = (),
    replay: Draw | None = None,
    signers: Path | None = None,
) -> Verification:
    """Verify a study: files, records, chain, seal, cells and claims. Writes nothing.

    The current folder must be the repository, as for every command; paths are relative to it.

    Args:
        study: the study.
        study_path: the file it was read from.
        results: the study's own folder, such as results/demo.
        published: the folder of published numbers.
        recipes: today's recipe of each entry of the study.
        source_files: what each data set would be made from today, if it is here.
        sample: read only a sample of the large files; None reads all.
        deep: cells (table/row/column) or evaluations (run/evaluation) to rerun.
        replay: trainings to replay parts of.
        signers: ssh's list of those whose signatures and attestations count; None counts every key.

    Raises:
        InputError: no results, unreadable published numbers, an invalid name in `deep` or
            `replay`, or no file `signers`.
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder; run the study '{study.name}' first")
    subject = Subject(study, study_path, results, published, recipes, source_files or {})
    again = evaluations_of(subject, deep)
    replayed = [] if replay is None else trainings_of(subject, replay)
    files = check_files(subject, sample)
    sources = [
        *check_records(subject),
        *files.findings,
        *check_readers(subject, files),
        *check_seal(subject, signers),
        *check_kept_study(subject),
    ]
    edited = {finding.place for finding in sources if finding.word == "tampered"}
    # What is printed excuses no cell.
    causes = [f for f in sources if f.wrong and f.place not in subject.printed]
    accused = {cell for finding in causes for cell in finding.cells}
    cells = check_cells(subject, accused, files)
    code = list(check_code(subject))
    moved = any(finding.word == "behind" for finding in code)
    found = [
        *sources,
        *check_today(subject, study_path.as_posix() in edited),
        *code,
        *check_uncommitted(subject),
        *cells.findings,
        *check_claims(subject, cells, accused, files),
        *check_freeze(subject, cells.published, signers),
        *check_summaries(subject, causes),
        *check_failed(subject),
        *check_foreign(subject),
        *check_histories(subject),
        *check_encoders(subject),
        *check_order(subject),
        *check_replaced(subject),
        *check_manifests(
            subject, {finding.place for finding in files.findings}, cells.broken.values()
        ),
        *check_dvc(subject),
        *check_adopted(subject),
        *check_attestations(subject, cells, signers),
        *check_again(subject, cells, again, moved),
        *check_logs(subject, files),
        *([] if replay is None else check_replayed(subject, replayed, replay, moved)),
    ]
    accused = {cell for finding in found if finding.wrong for cell in finding.cells}
    findings = in_order([*found, *check_explained(subject, cells, accused)])
    checked = Checked(
        records=len(subject.finished) + len(subject.failed),
        files=len(files.good),
        bytes_read=files.bytes_read,
        cells=len(cells.today),
        not_read=files.not_read,
        elsewhere=files.elsewhere,
        not_checked=tuple(subject.not_checked),
    )
    ids = subject.plan.cell_ids
    return Verification(study.name, findings, checked, words_by_cell(ids, findings))
