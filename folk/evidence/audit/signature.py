"""Signatures of seals and attestations by ssh keys.

Source: `ssh-keygen -Y`, https://man.openbsd.org/ssh-keygen.
"""

import re
import shutil
import subprocess
from pathlib import Path

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_text

# A signature is valid for one purpose only.
SEAL = "folk-seal"
ATTESTATION = "folk-attestation"


def sign(path: Path, key: Path, signature: Path, namespace: str = SEAL) -> None:
    """Sign a file with a private key, or the public key of one in an agent.

    Raises:
        InputError: ssh-keygen is missing or cannot use the key.
    """
    write_text(signature, _ssh_keygen("sign", namespace, "-f", str(key), reads=path))


def check_signature(
    path: Path, signature: Path, signers: Path | None, namespace: str = SEAL
) -> str:
    """Check the signature of a file.

    Args:
        path: the file.
        signature: its signature.
        signers: ssh's list of allowed signers, a name and a public key per line. Without one, the
            owner of the key is not checked.
        namespace: purpose of the signature.

    Returns:
        output of ssh-keygen: the signer, or only the key.

    Raises:
        InputError: the signature does not match the file, or its key is not in `signers`.
    """
    if signers is None:
        output = _ssh_keygen("check-novalidate", namespace, "-s", str(signature), reads=path)
        return f"{output.strip()}; the owner of the key was not checked; give --signers"
    if not signers.is_file():
        raise InputError(f"--signers {signers}: no such file")
    known = ("-s", str(signature), "-f", str(signers))
    found = _ssh_keygen("find-principals", None, *known, reads=path).split()
    if not found:
        raise InputError(f"{signature}: unknown signer, not in {signers}")
    return _ssh_keygen("verify", namespace, *known, "-I", found[0], reads=path).strip()


def fingerprint(checked: str) -> str:
    """Return the fingerprint of the key that `check_signature` found."""
    found = re.search(r"\bSHA256:[A-Za-z0-9+/]+", checked)
    assert found is not None, checked
    return found[0]


def _ssh_keygen(action: str, namespace: str | None, *options: str, reads: Path) -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise InputError("ssh-keygen is not installed; it comes with OpenSSH's client")
    purpose = [] if namespace is None else ["-n", namespace]
    command = [program, "-Y", action, *purpose, *options]
    with reads.open("rb") as stream:
        done = subprocess.run(
            command, stdin=stream, capture_output=True, text=True, check=False, errors="replace"
        )
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
        raise InputError(f"{reads}: ssh-keygen -Y {action}: {lines[-1]}")
    return done.stdout
