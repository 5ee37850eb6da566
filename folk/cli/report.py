"""Command `report`: cells, tables, figures, one page."""

from pathlib import Path

from rich.console import Console

from folk.cli.job import log_clamped
from folk.cli.read import PublishedFile, Results, StudyFile, effective_study, from_here
from folk.evidence.core.files import clamp_future_mtimes


def report(
    study: StudyFile,
    published: PublishedFile = Path("config/published"),
    results: Results = Path("results"),
) -> None:
    """Render the tables, figures and the page of a study from its records and predictions.

    The page shows the chain of each number, as from `explain --shallow`.
    """
    from folk.cli.recipes_today import recipes_today
    from folk.evidence.audit.chain import Chain
    from folk.evidence.audit.stories import teller
    from folk.evidence.audit.today import Today
    from folk.evidence.report.render import render_report
    from folk.evidence.results.published import load_published
    from folk.stages.recipes.choices import other_choices

    published, results = map(from_here, (published, results))
    named, study = effective_study(study, results)
    folder = results / named.name
    log_clamped(clamp_future_mtimes([*published.glob("*"), *folder.glob("*/**/record.json")]))

    today = Today(recipe=recipes_today(named, study))
    tell = teller(Chain(folder), named, load_published(published), today)
    for path in render_report(named, study, folder, published, choices=other_choices, tell=tell):
        Console(stderr=True, soft_wrap=True).print(str(path), highlight=False)
