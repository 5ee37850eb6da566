"""A run's encoder as a folder for a model hub, and its upload.

    OUT/model.safetensors   the weights, with the keys of a plain timm model
    OUT/config.json         timm's own description
    OUT/README.md           the card
    OUT/record.json         of the pre-training; seal.json where there is one

`HF_ENDPOINT` names another hub, `HF_TOKEN` the right to write, as for every program of that hub.
"""

import shutil
from pathlib import Path

from folk.evidence.audit.run_facts import RunFacts
from folk.evidence.core.digest import digest_file
from folk.evidence.core.errors import InputError, brief_with_type
from folk.evidence.core.files import write_text
from folk.evidence.core.json_file import read_keys
from folk.evidence.core.secrets import without_secrets
from folk.evidence.report.card import render_card


def write_model_folder(
    facts: RunFacts, out: Path, repo: str | None, license_id: str | None
) -> None:
    """Make the folder `out` of a run; its card names `repo`, OWNER/NAME on the hub, or `out`.

    Raises:
        InputError: `out` exists, something contradicts the run's numbers, or a file is missing or
            has another digest than its record.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: exists already; give a new folder")
    for problem in facts.contradicted:
        raise InputError(f"{facts.run}: not published: {problem}; see `folk verify`")
    outputs = {entry["name"]: entry for entry in facts.job.outputs}
    for name in ("encoder.safetensors", "config.json"):
        if name not in outputs:
            raise InputError(f"{facts.job.path}: lists no {name}; pre-train this run again")
        path = Path(outputs[name]["path"])
        if not path.is_file():
            raise InputError(f"{path}: missing; `dvc pull` the results, or pre-train this run")
        if digest_file(path).sha256 != outputs[name]["sha256"]:
            raise InputError(f"{path}: other bytes than {facts.job.path} records")
    config = Path(outputs["config.json"]["path"])
    architecture = read_keys(config, "pre-train this run again")["architecture"]
    source = f"local-dir:{out}" if repo is None else f"hf-hub:{repo}"
    card = render_card(facts, architecture, source, license_id)
    copies = [(outputs["encoder.safetensors"]["path"], "model.safetensors"),
              (config, "config.json"), (facts.job.path, "record.json")]  # fmt: skip
    if facts.seal is not None:
        copies.append((facts.seal["path"], "seal.json"))
    out.mkdir(parents=True, exist_ok=True)
    for path, name in copies:
        shutil.copyfile(path, out / name)
    write_text(out / "README.md", card)


def upload(folder: Path, repo: str, message: str) -> str:
    """Upload a folder to a model repository in one commit, and return its address.

    A repository that does not exist is made, private.

    Raises:
        InputError: the hub cannot be reached or does not accept the upload.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        added = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
        return str(api.create_commit(repo, added, commit_message=message).commit_url)
    except Exception as error:  # huggingface_hub, httpx and hf_xet raise their own
        reason = without_secrets(brief_with_type(error))
        raise InputError(
            f"{api.endpoint}: {repo} was not uploaded: {reason}; {folder} is whole: call "
            "`hf auth login` or correct the name, and upload it with `hf upload`"
        ) from error
