"""Report: the command is `folk/cli/report.py`, which makes tables of records."""

from folk.evidence.study.stage import Stage

STAGE = Stage(
    "report",
    "Render the tables, figures and the page of a study from its records and predictions.",
    with_the_driver=True,
    module="folk.cli.report",
)
