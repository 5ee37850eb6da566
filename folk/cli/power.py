"""Statistical power of a study, before anything runs."""

from pathlib import Path

from folk.cli.planned_jobs import Planner
from folk.evidence.core.errors import InputError
from folk.evidence.plan.figures import Figure, total
from folk.evidence.plan.power import PRETRAIN_SHARE, Deviations, Question, questions
from folk.evidence.plan.power_tables import Answer, Power
from folk.evidence.results.compared import check_comparisons
from folk.evidence.results.published import KINDS, Published, load_published, papers_file
from folk.evidence.study.study import Study


def power_of(
    study: Study,
    planner: Planner,
    published_path: Path,
    *,
    deviation: float | None = None,
    of_pretraining: float | None = None,
    trials: int = 10_000,
) -> Power:
    """Simulate the chance of each verdict of a study.

    Args:
        study: of the papers' size.
        planner: knows what a job takes.
        published_path: the folder of published numbers.
        deviation: of one full fine-tuning of one run, points; those of the file when None. The
            other kinds change in proportion.
        of_pretraining: the part of it that a pre-training makes, points.
        trials: simulated studies.

    Raises:
        InputError: the study is smaller than the papers' experiments, or what a file lacks.
    """
    if study.scale != "paper":
        raise InputError(
            f"{study.name}: scale is '{study.scale}', so no number gets a verdict; "
            "use --power with a study of scale 'paper'"
        )
    published = load_published(published_path)
    check_comparisons(study, published)
    deviations = _deviations(published, deviation, of_pretraining)
    asked, without = questions(study, published, deviations)
    return Power(
        study=study.name,
        deviations=deviations,
        bases={kind: entry.basis for kind, entry in published.seed_deviation.items()},
        trials=trials,
        answers=[_answer(study, planner, question, trials) for question in asked],
        without=without,
    )


def _deviations(
    published: Published, deviation: float | None, of_pretraining: float | None
) -> Deviations:
    entries = published.seed_deviation
    missing = [kind for kind in KINDS if kind not in entries]
    if missing:
        raise InputError(
            f"{papers_file(published.folder)}: seed_deviation: add {', '.join(missing)}"
        )
    known = entries["full-labels"].deviation
    one = known if deviation is None else deviation
    if of_pretraining is not None and of_pretraining > one:
        raise InputError(
            f"--sd-pretrain {of_pretraining:g}: must not exceed --sd {one:g}; lower it"
        )
    return Deviations(
        by_kind={kind: entry.deviation * one / known for kind, entry in entries.items()},
        pretrain_share=PRETRAIN_SHARE if of_pretraining is None else (of_pretraining / one) ** 2,
    )


def _answer(study: Study, planner: Planner, question: Question, trials: int) -> Answer:
    needed = question.seeds_needed(trials)
    hours = None if needed is None else _gpu_hours(study, planner, question).times(float(needed))
    return Answer(
        question=question,
        chance=question.chance([cell.seeds for cell in question.cells], trials),
        seeds_needed=needed,
        gpu_hours=hours,
    )


def _gpu_hours(study: Study, planner: Planner, question: Question) -> Figure:
    """GPU-hours of one run of each row, with all its evaluations and what those read."""
    jobs: dict[tuple[str, str, str], None] = {}  # entry and row
    for cell in question.cells:
        jobs["pretrain", cell.row, cell.row] = None
        for name in cell.evaluations:
            entry = study.evaluations[name]
            jobs[entry.stage, name, cell.row] = None
            if entry.classifier is not None:
                maker = study.evaluations[entry.classifier].stage
                jobs[maker, entry.classifier, cell.row] = None
    return total(planner.gpu_hours(*job) for job in jobs)
