"""Contracts and tasks to test under: those of a new project, with any value of them changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, Final

from esaa_git.core.contracts import ALLOWED_SIGNERS, Contracts, is_contract_file
from esaa_git.core.documents import decode_yaml
from esaa_git.resources import resource_path

# Nobody has kept the private halves of these keys.
_SIGNERS: Final = (
    b'orchestrator namespaces="git" ssh-ed25519 '
    b"AAAAC3NzaC1lZDI1NTE5AAAAIEL56nhw2t74AbCQC7F48Jct96hFhj+Ng+F2CGv6wAN2\n"
    b'person@example.com,approver,admin namespaces="git" ssh-ed25519 '
    b"AAAAC3NzaC1lZDI1NTE5AAAAIBysZ+hoEfhZ6YBclIxLMzbOOsgg+PYreVPqB2GS3Uqz\n"
)


@cache
def template_files() -> Mapping[str, bytes]:
    """Return the contracts of a new project, by name."""
    folder = resource_path("templates", "default")
    files = {
        path.name: path.read_bytes() for path in folder.iterdir() if is_contract_file(path.name)
    }
    return {**files, ALLOWED_SIGNERS: _SIGNERS}


@cache
def template_document(name: str) -> Any:
    """Return what one of them says."""
    return decode_yaml(template_files()[name], name)


Place = tuple[str, ...]
"""A knob: the name of a contract's file, then the keys that lead to the value."""


def contracts(changes: Mapping[Place, Any] | None = None) -> Contracts:
    """Return the contracts of a new project, with the values at these places changed."""
    return _default() if not changes else Contracts(changed_files(changes))


@cache
def _default() -> Contracts:
    return Contracts(template_files())


def changed_files(changes: Mapping[Place, Any]) -> dict[str, bytes]:
    """Return the files of the contracts with the values at these places changed."""
    files = dict(template_files())
    documents: dict[str, Any] = {}
    for (name, *keys), value in changes.items():
        document = documents.setdefault(name, deepcopy(template_document(name)))
        for key in keys[:-1]:
            document = document.setdefault(key, {})
        document[keys[-1]] = value
    for name, document in documents.items():
        files[name] = json.dumps(document).encode()
    return files


def task(task_id: str = "T-1", kind: str = "spec", **more: Any) -> dict[str, Any]:
    """Return the definition of a task."""
    return {"task_id": task_id, "kind": kind, "title": f"Task {task_id}", **more}


def pipeline(*kinds: str) -> Iterable[dict[str, Any]]:
    """Yield tasks of these kinds, each depending on the one before."""
    for number, kind in enumerate(kinds, start=1):
        after = [f"T-{number - 1}"] if number > 1 else []
        yield task(f"T-{number}", kind, depends_on=after)
