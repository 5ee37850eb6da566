"""The claims of a study as strings, and as Markdown."""

from collections.abc import Iterable
from dataclasses import dataclass

from folk.evidence.audit.freeze import SinceFreeze
from folk.evidence.report.escape import markdown_templates
from folk.evidence.results.claims import JudgedClaim
from folk.evidence.results.published import Published
from folk.evidence.results.verdicts import ONLY_HERE, TO_DECIDE, rule_of
from folk.evidence.study.study import Study

_KINDS = {
    "order": "order",
    "difference": "difference",
    "sign": "sign of a difference",
    "equal": "equivalence",
}


@dataclass(frozen=True)
class ClaimView:
    """One claim, ready for any template."""

    id: str
    says: str
    kind: str  # in words
    rules: str  # the kind in `CLAIM_RULES` and `CLAIM_RULES_HERE`
    cells: list[tuple[str, str, str]]  # id, label, number as in tables
    steps: list[tuple[str, str]]  # our difference, its interval
    seeds: str  # of each row, such as "2" or "2, 2, 3"
    seeds_in_words: str  # such as "1 seed"
    to_decide: str  # seeds in each row; empty for a decided claim, or without an interval
    published: str
    certainty: str  # with its meaning; empty without a citation
    source: str
    verdict: str
    rule: str
    changed: str  # since the freeze, if it has a cell; empty otherwise
    note: str


def claim_views(
    study: Study,
    claims: Iterable[JudgedClaim],
    published: Published,
    since: SinceFreeze | None = None,
) -> list[ClaimView]:
    """Convert judged claims to strings."""
    changed = since.claims if since is not None else {}
    return [_view(study, claim, published, changed.get(claim.id, "")) for claim in claims]


def scope(study: Study) -> str:
    """Describe what the verdicts on a study's claims are about; empty at the papers' size."""
    return "" if study.scale == "paper" else f"{ONLY_HERE}."


def render_claims(study: Study, claims: list[ClaimView]) -> str:
    """Render all claims as one Markdown table."""
    template = markdown_templates().get_template("claims.md.jinja")
    return template.render(claims=claims, scope=scope(study), to_decide=TO_DECIDE)


def _view(study: Study, claim: JudgedClaim, published: Published, changed: str) -> ClaimView:
    unit = f" {claim.unit}" if claim.unit else ""
    level = f"{100 * claim.confidence:.0f} %"
    seeds = ", ".join(map(str, claim.seeds if len(set(claim.seeds)) > 1 else claim.seeds[:1]))
    # Below the papers' size, only the sign of a difference is tested.
    sign = claim.kind == "difference" and study.scale != "paper"
    return ClaimView(
        id=claim.id,
        says=claim.says,
        kind=_KINDS["sign" if sign else claim.kind],
        rules=claim.kind,
        cells=[
            (cell, _label(study, cell), printed or "—")
            for cell, printed in zip(claim.cells, claim.printed_values, strict=True)
        ],
        steps=[
            (
                f"{step.printed}{unit}" if step.printed else "—",
                f"{level}: {step.printed_interval}" if step.printed_interval else "no interval",
            )
            for step in claim.steps
        ],
        seeds=seeds,
        seeds_in_words=f"{seeds} seed" + ("" if seeds == "1" else "s"),
        to_decide=claim.printed_seeds_to_decide,
        published=_published(claim, unit),
        certainty=_certainty(claim, published),
        source=claim.published_source or "",
        verdict=claim.verdict,
        rule=rule_of(claim.verdict, claim.kind),
        changed=f"Changed since the freeze, and its cells exist: {changed}" if changed else "",
        note=claim.note,
    )


def _label(study: Study, cell: str) -> str:
    table, row, column = cell.split("/")
    return f"{study.encoders[row].label}, {study.tables[table].columns[column].label}"


def _published(claim: JudgedClaim, unit: str) -> str:
    margin = f" ± {claim.margin:g}" if claim.margin is not None else ""
    if claim.published_printed is not None:
        return f"+{claim.published_printed}".replace("+-", "−") + f"{margin}{unit}"
    if claim.kind == "equal":
        return f"0{margin}{unit}"
    if claim.kind == "sign":
        return "above 0"
    return "this order" if claim.published_id is not None else "—"


def _certainty(claim: JudgedClaim, published: Published) -> str:
    code = claim.published_certainty
    return f"{code}: {published.certainty[code]}" if code is not None else ""
