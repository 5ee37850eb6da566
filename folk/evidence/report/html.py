"""The report as one offline page: tables first, and the origin of each number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from folk import __version__
from folk.evidence.audit.explanation import Explanation, JobFacts
from folk.evidence.audit.freeze import SinceFreeze
from folk.evidence.audit.narrate import Lines, cell_lines, job_lines
from folk.evidence.core.canonical import chain_digest
from folk.evidence.core.errors import InputError
from folk.evidence.record.adopted import read_adopted
from folk.evidence.report.assumptions import Assumption
from folk.evidence.report.canvas import inline
from folk.evidence.report.claim_views import ClaimView, scope
from folk.evidence.report.drawing import Drawing, NotDrawn
from folk.evidence.report.escape import html_templates
from folk.evidence.report.summary import Summary
from folk.evidence.report.tables import CellView, TableView
from folk.evidence.results.evidence import Evidence, Failure
from folk.evidence.results.published import Published
from folk.evidence.results.verdicts import CLAIM_RULES, CLAIM_RULES_HERE, RULES, TO_DECIDE
from folk.evidence.study.study import Study

Grouped = list[tuple[str, list[str]]]  # a label and its lines


@dataclass(frozen=True)
class Panel:
    """Content of the panel of one cell."""

    view: CellView
    found: Explanation
    facts: Grouped


@dataclass(frozen=True)
class Facts:
    """Footer of the page: (name, value) of digests, commits and records."""

    rows: list[tuple[str, str]]
    commit: str  # empty if the records do not have a single commit
    chain: str  # digest of all records


def render_html(
    study: Study,
    study_path: Path,
    summary: Summary,
    tables: Sequence[TableView],
    claims: Sequence[ClaimView],
    drawings: Sequence[Drawing],
    not_drawn: Sequence[NotDrawn],
    assumptions: Sequence[Assumption],
    failures: Sequence[Failure],
    since: SinceFreeze | None,
    facts: Facts,
    published: Published,
    explained: Mapping[str, Explanation],
) -> str:
    """Render the whole page."""
    views = [view for table in tables for row in table.rows for view in row.cells if view]
    cells = [view.cell for view in views if not view.cell.quoted]
    # Cells share jobs; the page shows each once.
    jobs = {job.record: job for found in explained.values() for job in found.chain}
    kinds = {claim.kind: claim for claim in claims}
    claim_rules = CLAIM_RULES if study.scale == "paper" else CLAIM_RULES_HERE
    return (
        html_templates()
        .get_template("report.html.jinja")
        .render(
            study=study,
            study_path=study_path.as_posix(),
            tables=tables,
            panels={
                table.name: [
                    Panel(view, explained[view.id], _grouped(cell_lines(explained[view.id])))
                    for row in table.rows
                    for view in row.cells
                    if view is not None
                ]
                for table in tables
            },
            jobs=[(job, _grouped(job_lines(job))) for job in jobs.values()],
            job_anchor=job_anchor,
            contradicted=[(id_, s) for id_, found in explained.items() for s in found.contradicted],
            papers=[paper for paper in published.papers.values() if paper.arxiv and paper.authors],
            version=__version__,
            claims=claims,
            claim_rules=[(kind, list(claim_rules[c.rules].items())) for kind, c in kinds.items()],
            scope=scope(study),
            to_decide=TO_DECIDE,
            summary=summary,
            comparison=None if summary.comparison is None else _embedded(summary.comparison),
            anchor=anchor,
            verdict_class=verdict_class,
            figures=[_embedded(drawing) for drawing in drawings],
            not_drawn=not_drawn,
            assumptions=assumptions,
            assumed={t.name: [a for a in assumptions if t.name in a.tables] for t in tables},
            failures=failures,
            since=since,
            empty=[cell for cell in cells if cell.is_missing],
            num_cells=len(cells),
            num_runs=len(list(study.runs())),
            rules=list(RULES.items()),
            compared=any(cell.verdict for cell in cells),
            facts=facts,
        )
    )


def _embedded(drawing: Drawing) -> tuple[str, str, str, Markup]:
    """Return name, title, caption and element of a figure."""
    svg = inline(drawing.svg, drawing.name, f"{drawing.title}. {drawing.seen}")
    return drawing.name, drawing.title, drawing.caption, Markup(svg)


def anchor(cell_id: str) -> str:
    """Return the id of the element with a cell's origin."""
    return "evidence-" + cell_id.replace("/", ".")


def verdict_class(word: str) -> str:
    """Return the CSS class of a verdict."""
    return "verdict-" + word.split("(")[0].strip().replace(" ", "-")


def collect_facts(evidence: Evidence, digests: Sequence[tuple[str, str]]) -> Facts:
    """Collect the caller's digests, and code and environment of all records."""
    commits, locks, ends, count = set(), set(), [], 0
    for path, record in evidence.records():
        count += 1
        code, environment = record.get("code") or {}, record.get("environment") or {}
        if not isinstance(code, dict) or not isinstance(environment, dict):
            raise InputError(f"{path}: invalid record; restore it, or run that job again")
        if code.get("commit"):
            dirty = " with uncommitted changes" if code.get("dirty") else ""
            commits.add(f"{code['commit']}{dirty}")
        if environment.get("lock_sha256"):
            locks.add(str(environment["lock_sha256"]))
        if record.get("ended"):
            ends.append(str(record["ended"]))
    rows = [(name, value) for name, value in digests]
    rows += [("commit", commit) for commit in sorted(commits)]
    rows += [("requirements.lock", lock) for lock in sorted(locks)]
    finished, failed = evidence.record_ids()
    rows += [("records", str(count))]
    adopted = sum(finished.get(path) == id_ for path, id_ in read_adopted(evidence.results).items())
    if adopted:
        rows += [("adopted, not computed here", f"{adopted} of {count} records")]
    rows += [("records of failed or interrupted jobs", str(len(failed)))] if failed else []
    chain = chain_digest(finished, failed)
    rows += [("chain of all records", chain)]
    rows += [("last record ended", max(ends))] if ends else []
    commit = commits.pop().split()[0] if len(commits) == 1 else ""
    return Facts(rows=rows, commit=commit, chain=chain)


def job_anchor(job: JobFacts) -> str:
    """Return the id of the element with a job's facts."""
    return "job-" + job.name.replace(" ", ".").replace("/", ".")


def _grouped(lines: Lines) -> Grouped:
    groups: Grouped = []
    for label, line in lines:
        if not groups or label not in ("", groups[-1][0]):
            groups.append((label, []))
        groups[-1][1].append(line)
    return groups
