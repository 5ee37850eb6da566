"""Command `freeze`, which fixes what a study asks and claims before its first record."""

from pathlib import Path
from typing import Annotated, Any

import typer

from folk.cli.read import PublishedFile, Results, Signers, StudyFile, effective_study, from_here
from folk.cli.seal import say, signature_problems
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import Study


def freeze(
    study: StudyFile,
    results: Results = Path("results"),
    published: PublishedFile = Path("config/published"),
    late: Annotated[
        bool, typer.Option("--late", help="freeze although records exist, and state their number")
    ] = False,
    sign: Annotated[
        Path | None, typer.Option(help="ssh key that signs the freeze, as freeze.json.sig")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="list what changed since; write nothing")
    ] = False,
    signers: Signers = None,
) -> None:
    """Fix what a study asks and claims, before its first record.

    These are its values, recipes, claims, margins and published numbers.

    Later the report, `explain` and `verify` name what changed since.
    """
    from folk.cli.recipes_today import recipes_today
    from folk.evidence.audit.freeze import (
        freeze_path,
        since_freeze,
        unlike_committed,
        values_of,
        write_freeze,
    )
    from folk.evidence.audit.signature import sign as sign_file
    from folk.evidence.results.compared import check_comparisons
    from folk.evidence.results.published import load_published

    if check and (sign is not None or late):
        raise InputError("--check: cannot be combined with --sign or --late; remove one")
    if signers is not None and not check:
        raise InputError("--signers: needs --check; add it")
    named, path = effective_study(study, results)
    folder = from_here(results) / named.name
    numbers, recipes = load_published(published), recipes_today(named, path)
    place = freeze_path(folder)
    signature = place.with_name(f"{place.name}.sig")
    if not check:
        check_comparisons(named, numbers)
        values = values_of(named, numbers, recipes)
        write_freeze(folder, values, _power(named, path, published, results), late=late)
        if sign is not None:
            sign_file(place, sign, signature)
    since = since_freeze(named, folder, numbers, recipes)
    if since is None:
        raise InputError(f"{place}: missing; write it with `python -m folk freeze`")
    problems = [*signature_problems("freeze", place, signature, signers), *since.changes]
    other = unlike_committed(folder, since.freeze) if check else None  # else made just now
    problems += [] if other is None else [f"{place}: {other[1]}"]
    problems += [proof.says for proof in since.proofs if not proof.holds]
    for line in [*problems, *(proof.says for proof in since.proofs if proof.holds)]:
        say(line)
    counts = {"claims": named.claims, **since.freeze.values}
    counted = ", ".join(f"{key} {len(counts[key])}" for key in ("claims", "published", "recipes"))
    say(f"{place}: frozen {since.in_words}; {counted}; digest {since.freeze.digest}")
    if problems:
        raise typer.Exit(1)


def _power(study: Study, path: Path, published: Path, results: Path) -> dict[str, Any] | None:
    """Simulate the study's power; None below the papers' size, where nothing is assumed of it."""
    from folk.cli.planned_jobs import Planner
    from folk.cli.power import power_of
    from folk.evidence.plan.measured import read_ledger
    from folk.stages.recipes.named import recipes_of

    if study.scale != "paper":
        return None
    planner = Planner(study, recipes_of(study, path), read_ledger(results))
    return power_of(study, planner, published).to_json()
