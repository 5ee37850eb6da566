"""Command `seal`, which hashes all records of a study and commits its files to DVC."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from folk.cli.read import Results, Signers, StudyFile, effective_study
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import remove_stale_temp_files


def seal(
    study: StudyFile,
    results: Results = Path("results"),
    sign: Annotated[
        Path | None, typer.Option(help="ssh key that signs the seal, as seal.json.sig next to it")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="compare study, seal and signature; write nothing")
    ] = False,
    signers: Signers = None,
) -> None:
    """Seal a finished study with one digest of all records.

    Commit results/<study>/seal.json to git. Files of studies in dvc.yaml go to DVC.
    """
    from folk.evidence.adapters.dvc_stage import commit_to_dvc, write_metrics_summary
    from folk.evidence.audit.seal import seal_path, signature_path, write_seal
    from folk.evidence.audit.signature import sign as sign_file

    if check and sign is not None:
        raise InputError("--check, --sign: cannot be combined; remove one")
    if signers is not None and not check:
        raise InputError("--signers: needs --check; add it")
    named, study = effective_study(study, results)
    folder = results / named.name
    if check:
        _check(folder, signers)
        return
    for part in (folder, *(folder / name for name in ("tables", "figures", "metrics"))):
        remove_stale_temp_files(part)
    write_metrics_summary(folder, named.stages)
    made = write_seal(named, study, folder)
    say(
        f"seal: {len(made.records)} records, {len(made.failed)} of failed or interrupted jobs, "
        f"chain {made.chain[:12]}, in {seal_path(folder)}"
    )
    if sign is not None:
        sign_file(seal_path(folder), sign, signature_path(folder))
    commit_to_dvc(results.parent, named.name, named.stages, named.unused_stages())


def _check(folder: Path, signers: Path | None) -> None:
    from folk.evidence.audit.seal import read_seal, seal_path, seal_problems, signature_path

    path = seal_path(folder)
    problems = seal_problems(folder)
    problems += signature_problems("seal", path, signature_path(folder), signers)
    for line in problems:
        say(line)
    if problems:
        raise typer.Exit(1)
    held = read_seal(path)
    assert held is not None
    count = len(held.records) + len(held.failed)
    say(f"ok: {count} records and {len(held.files)} files as sealed")
    say(f"chain {held.chain}")
    say(f"digest {held.digest}")


def signature_problems(noun: str, path: Path, signature: Path, signers: Path | None) -> list[str]:
    """Print who signed a file, and list what is wrong: with `signers` also a missing signature."""
    from folk.evidence.audit.signature import check_signature

    if not signature.is_file():
        return [f"{signature}: missing; the {noun} is not signed"] * (signers is not None)
    try:
        say(check_signature(path, signature, signers))
    except InputError as error:
        return [str(error)]
    return []


def say(line: str) -> None:
    """Print a line for people."""
    Console(stderr=True, soft_wrap=True).print(line, highlight=False, markup=False)
