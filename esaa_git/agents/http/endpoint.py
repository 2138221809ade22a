"""Where a service is and what opens it: the URL of an entry, its key, and what to say of either."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from esaa_git.agents.adapter import agent_error
from esaa_git.agents.outage import is_refused_key, is_unknown_model
from esaa_git.core.contracts import SWARM
from esaa_git.core.rejection import excerpt
from esaa_git.errors import AgentError
from esaa_git.floor import variable_fault

SECRET_LENGTH: Final = 16
"""A key at least so long is redacted in what a model wrote. A shorter one is none (local servers
take words like `none`), and might be a word of the answer."""

_BLOT: Final = "***"

# Statuses that no attempt should be spent on: the entry or the key is wrong.
_OURS: Final = {
    401: "refuses the key",
    403: "refuses access",
    404: "knows no such address or model",
}

_NEXT_RUN: Final = f"in .roadmap/{SWARM}; it takes effect with the next run"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One entry's service.

    Attributes:
        agent: the name of the entry, for messages.
        settings: of which `url` and `key_env` are used.
        model: the model that is asked for, for messages.
    """

    agent: str
    settings: Mapping[str, Any]
    model: str | None

    def url(self, path: str) -> str:
        """Return where to post: the entry's URL with this path added, and its query kept.

        Raises:
            AgentError: if it is no URL of a service, or holds a password.
        """
        parts = self._parts()
        whole = f"{parts.path.rstrip('/')}/{path}"
        return urlunsplit((parts.scheme, parts.netloc, whole, parts.query, ""))

    @property
    def host(self) -> str:
        return self._parts().netloc

    def key(self) -> str | None:
        """Return the key from the environment, or None where the entry names no variable.

        Raises:
            AgentError: if the variable is not set, or cannot travel in a header.
        """
        name = self.settings.get("key_env")
        if name is None:
            return None
        if (fault := variable_fault(name)) is not None:
            raise self.error(f"${name} is never sent", fault, f"correct 'key_env' {_NEXT_RUN}")
        key = os.environ.get(name, "").strip()
        if not key:
            raise self.error(
                f"${name} is not set", "it is to hold the service's key", f"run 'export {name}=…'"
            )
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise self.error(
                f"${name} holds no key",
                "there are spaces, control characters or letters beyond ASCII in it",
                f"run 'export {name}=…' with the key alone",
            )
        return key

    def refuse(self, status: int, code: str, said: str, location: str) -> None:
        """Raise AgentError for a reply that says that we, and not the model, are wrong.

        Args:
            code, said: what the service says in the body, the key redacted.
            location: where a redirection leads.
        """
        if status // 100 == 3:
            # The key would go there with us, so it is for a person to follow.
            raise self.error(
                f"'{self.host}' sends us elsewhere (status {status})",
                f"to '{excerpt(_without_secrets(location))}'",
                f"correct 'url' {_NEXT_RUN}",
            )
        # Some say by 400 what others have a status for.
        words = f"{code}: {said}"
        meant = status
        if status in (400, 422) and is_refused_key(words):
            meant = 401
        elif status in (400, 422) and is_unknown_model(words):
            meant = 404
        if meant in _OURS:
            raise self.error(
                f"'{self.host}' {_OURS[meant]} (status {status})",
                said or "it gives no reason",
                self._hint(meant),
            )

    def error(
        self, message: str, cause: str, hint: str = f"correct 'url' {_NEXT_RUN}"
    ) -> AgentError:
        return agent_error(self.agent, message, cause, hint)

    def _hint(self, status: int) -> str:
        name = self.settings.get("key_env")
        if status == 401 and name is None:
            return f"name the variable that holds the key as 'key_env' {_NEXT_RUN}"
        if status in (401, 403):
            key = "the key" if name is None else f"${name}"
            return f"see that {key} is one that may use '{self.model}', then run it again"
        return f"correct 'url' or 'model' {_NEXT_RUN}"

    def _parts(self) -> SplitResult:
        try:
            parts: SplitResult | None = urlsplit(self.settings["url"])
            assert parts is not None
            _ = parts.port
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise self.error(
                "its 'url' is no address of a service",
                "it takes http:// or https://, a host, and the path up to the version, as in "
                "https://models.example.com/v1",
            )
        if parts.username is not None or parts.password is not None:
            raise self.error(
                "its 'url' holds a user's name or a password",
                "what stands in a contract is on record for ever",
                f"make a new key, and name its variable as 'key_env' {_NEXT_RUN}",
            )
        return parts


def redacted(text: str, key: str | None) -> str:
    """Return the text without the key."""
    return text if key is None else text.replace(key, _BLOT)


def redacted_body(body: bytes, key: str | None, *, is_answer: bool) -> bytes:
    """Return a body without the key; of an answer, where the key is long enough to be a secret.

    It is done before anything is cut out of the body, since half a key is a secret too.
    """
    if key is None or (is_answer and len(key) < SECRET_LENGTH):
        return body
    return body.replace(key.encode(), _BLOT.encode())


def _without_secrets(location: str) -> str:
    """Return where a redirection leads, without a password or a query."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
