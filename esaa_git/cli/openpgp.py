"""Writes the file that pins an OpenPGP key, from the user's own keyring."""

from __future__ import annotations

import subprocess
import textwrap

from esaa_git.errors import KeyUnavailable


def export_public_key(fingerprint: str, program: str = "gpg") -> str:
    """Return the content of `openpgp_signers.yaml` for one key.

    Raises:
        KeyUnavailable: if gpg cannot export the key.
    """
    done = subprocess.run(
        [program, "--batch", "--armor", "--export-options=export-minimal", "--export", fingerprint],
        capture_output=True,
        check=False,
    )
    armored = done.stdout.decode("ascii", "replace")
    if done.returncode or not armored.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        raise KeyUnavailable(
            f"gpg does not export the key '{fingerprint}'",
            cause=done.stderr.decode("utf-8", "replace").strip() or None,
            hint=f"run 'gpg --list-keys {fingerprint}' to see whether it is there",
        )
    block = textwrap.indent(armored.strip(), "    ")
    return (
        "# OpenPGP keys that may sign events, with their roles; see allowed_signers.\n"
        f"- principals: [orchestrator, admin]\n  fingerprint: {fingerprint}\n"
        f"  public_key: |\n{block}\n"
    )
