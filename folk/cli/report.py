"""Command `report`: cells, tables, figures, one page."""

from pathlib import Path

from rich.console import Console

from folk.cli.read import PublishedFile, Results, StudyFile, effective_study, from_here
from folk.cli.reader_job import run_reader


def report(
    study: StudyFile,
    published: PublishedFile = Path("config/published"),
    results: Results = Path("results"),
) -> None:
    """Render the tables, figures and the page of a study.

    The page shows the chain of each number, as from `explain --shallow`. The record of the report
    is results/<study>/report/record.json.
    """
    from folk.cli.recipes_today import recipes_today
    from folk.evidence.audit.attestation import FOLDER
    from folk.evidence.audit.stale import shown_values
    from folk.evidence.report.render import render_report

    # Stages name their metrics' functions; imported here they count as code of the report.
    from folk.evidence.results.metrics import (  # noqa: F401
        classification,
        corruption,
        knn,
        kshot,
        segmentation,
    )
    from folk.evidence.results.published import published_files

    published, results = map(from_here, (published, results))
    named, study = effective_study(study, results)
    folder = results / named.name
    recipes = recipes_today(named, study)
    others = {f"published {path.name}": path for path in published_files(published)}
    attested = {f"attestation {path.name}": path for path in (folder / FOLDER).glob("*.json")}
    written = run_reader(
        "report",
        named,
        folder,
        shown_values(named),
        {"study": study, **others, **attested},
        lambda: render_report(named, study, folder, published, recipes),
    )
    for path in written:
        Console(stderr=True, soft_wrap=True).print(str(path), highlight=False)
