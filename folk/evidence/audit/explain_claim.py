"""Explanation of a claim: its cells, and its verdict recomputed from them."""

from folk.evidence.audit.checks.claims import CLAIMS_NAME, differences
from folk.evidence.audit.explain import Explainer
from folk.evidence.audit.explanation import CLAIMS, ClaimExplanation, Explanation, claim_id
from folk.evidence.audit.freeze import freeze_path, since_freeze, unlike_committed
from folk.evidence.audit.statements import Statements
from folk.evidence.core.errors import InputError, nearest
from folk.evidence.results.claims import JudgedClaim, judge_claims
from folk.evidence.results.published import Published
from folk.evidence.results.verdicts import ONLY_HERE, rule_of


def explain_claim(explainer: Explainer, asked: str) -> ClaimExplanation:
    """Explain one claim.

    The verdict is recomputed from cells.parquet, and each cell from the results, so that the check
    reaches down to the predictions.

    Args:
        explainer: explainer of the study, with the stored claims.
        asked: claims/name.

    Raises:
        InputError: unknown claim; the line suggests the nearest. Or nothing of it can be shown.
    """
    name, lists = asked.removeprefix(CLAIMS), Statements()
    study, stored = explainer.study, explainer.claims.get(name)
    if name not in study.claims and stored is None:
        known = [*explainer.cells, *map(claim_id, {**study.claims, **explainer.claims})]
        raise InputError(f"{study.name}: unknown claim '{name}'{nearest(asked, known)}")
    cells = _cells(explainer, name, lists)
    again = _judged_again(explainer, name, lists)
    shown = stored or again
    if shown is None:
        raise InputError("\n".join(lists.contradicted))
    _compare(name, stored, again, lists)
    _establish(shown, cells, explainer.published, lists)
    frozen = _frozen(explainer, name, lists)
    if study.scale != "paper":
        lists.not_established.append(ONLY_HERE[0].lower() + ONLY_HERE[1:])
    return ClaimExplanation(
        claim=claim_id(name),
        study=study.name,
        judged=shown,
        cells=cells,
        frozen=frozen,
        rule=rule_of(shown.verdict, shown.kind),
        certainty_means=_certainty(shown, explainer.published),
        contradicted=lists.contradicted,
        established=lists.established,
        not_established=lists.not_established,
    )


def is_claim(asked: str) -> bool:
    """Return True for the id of a claim; a cell has one part more."""
    return asked.startswith(CLAIMS) and asked.count("/") == 1


def cells_of_claim(explainer: Explainer, asked: str) -> list[str]:
    """List the cells of a claim that are in cells.parquet; none of an unknown claim."""
    name = asked.removeprefix(CLAIMS)
    claim, stored = explainer.study.claims.get(name), explainer.claims.get(name)
    named = [cell for _, cell in claim.places()] if claim is not None else []
    named = named or (stored.cells if stored is not None else [])
    return [cell for cell in named if cell in explainer.cells]


def _cells(explainer: Explainer, name: str, lists: Statements) -> list[Explanation]:
    found = [explainer.explain(cell) for cell in cells_of_claim(explainer, name)]
    for cell in found:
        for sentence in cell.contradicted:
            lists.contradict(f"{cell.cell}: {sentence}")
    return found


def _judged_again(explainer: Explainer, name: str, lists: Statements) -> JudgedClaim | None:
    claim = explainer.study.claims.get(name)
    if claim is None:
        lists.contradict(f"{CLAIMS_NAME} has a claim '{name}', today's study has not")
        return None
    for cell in (cell for _, cell in claim.places() if cell not in explainer.cells):
        lists.contradict(f"cells.parquet has no cell '{cell}', which '{name}' reads")
    if len(cells_of_claim(explainer, name)) < len(claim.places()):
        return None
    alone = explainer.study.model_copy(update={"claims": {name: claim}})
    try:
        (again,) = judge_claims(alone, explainer.cells.values(), explainer.published)
    except InputError as error:
        lists.contradict(str(error))
        return None
    return again


def _compare(
    name: str, stored: JudgedClaim | None, again: JudgedClaim | None, lists: Statements
) -> None:
    if stored is None:
        lists.contradict(f"{CLAIMS_NAME} has no claim '{name}'; run `report` again")
    if stored is None or again is None:
        return
    for key, was, gives in differences(stored, again):
        giver = "config/published gives" if key.startswith("published_") else "the cells give"
        lists.contradict(f"{CLAIMS_NAME} says {key} {was!r}, {giver} {gives!r}")


def _establish(
    shown: JudgedClaim, cells: list[Explanation], published: Published, lists: Statements
) -> None:
    names = ", ".join(cell.cell for cell in cells)
    if not lists.contradicted:
        lists.established.append(f"each cell that it reads holds: {names}")
        lists.established.append(
            f"differences, intervals and the verdict '{shown.verdict}' follow from these cells by "
            "the rule"
        )
    if (meaning := _certainty(shown, published)) is not None:
        lists.not_established.append(
            f"the paper's statement: known as '{shown.published_certainty}' ({meaning})"
        )
    if cells:
        lists.not_established.append("what its cells take on trust; see `explain` of each")


def _frozen(explainer: Explainer, name: str, lists: Statements) -> str:
    """Compare the claim with the one that was frozen, and give the outcome in words."""
    written = "that the claim was written before its numbers were known"
    today = (explainer.published, explainer.today.recipes)
    try:
        since = since_freeze(explainer.study, explainer.chain.results, *today)
    except InputError as error:
        lists.contradict(str(error))
        return "edited"
    other = unlike_committed(explainer.chain.results, None if since is None else since.freeze)
    if other is not None:
        lists.contradict(f"{freeze_path(explainer.chain.results)}: {other[1]}")
        return other[1]
    if since is None:
        lists.not_established.append(f"{written}: the study was not frozen")
        return "no"
    if name in since.claims:
        lists.not_established.append(f"{written}: it was changed since the freeze")
        return f"{since.moment}; changed since, and its cells exist: {since.claims[name]}"
    if since.changes:  # perhaps of what its cells measure
        words = f"its words are as they were; {since.count} of the study since"
        lists.not_established.append(f"{written}: {words}")
        return f"{since.moment}; {words}"
    lists.established.append(f"it is the claim that was frozen {since.moment}")
    noted = [proof.says for proof in since.proofs] or ["noted by its own machine"]
    lists.not_established.append(f"the day of the freeze: {'; '.join(noted)}")
    return f"{since.moment}; this claim is as it was"


def _certainty(shown: JudgedClaim, published: Published) -> str | None:
    known = {str(code): meaning for code, meaning in published.certainty.items()}
    code = shown.published_certainty
    return None if code is None else known.get(code, "not of this version")
