"""A key that ssh-agent holds, asked over its socket (draft-ietf-sshm-ssh-agent)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from esaa_git.errors import KeyUnavailable
from esaa_git.trust import sshsig
from esaa_git.trust.signer import SIGN_TIMEOUT_SECONDS, SshSigner
from esaa_git.trust.wire import WireReader, encode_string

AGENT_TIMEOUT_SECONDS: Final = 5.0


# draft-ietf-sshm-ssh-agent, sections 6.1 and 6.2; 256 KiB is OpenSSH's own limit.
_REQUEST_IDENTITIES: Final = 11

_IDENTITIES_ANSWER: Final = 12

_SIGN_REQUEST: Final = 13

_SIGN_RESPONSE: Final = 14

_RSA_SHA2_512: Final = 4

_AGENT_MAXIMUM_BYTES: Final = 262144


class AgentSigner(SshSigner):
    """Signs through the ssh-agent at `SSH_AUTH_SOCK`, which must hold the key already.

    Every answer is verified before it is handed out: the log takes no agent's word.
    """

    def __init__(self, blob: bytes, path: Path | None = None) -> None:
        super().__init__(blob)
        file = f" {path.with_suffix('') if path.suffix == '.pub' else path}" if path else ""
        start = "" if os.environ.get("SSH_AUTH_SOCK") else "'eval $(ssh-agent)', then "
        self._hint = f"run {start}'ssh-add{file}', then repeat the command"
        answer = self._ask(bytes([_REQUEST_IDENTITIES]), _IDENTITIES_ANSWER, AGENT_TIMEOUT_SECONDS)
        try:
            held = [(answer.string(), answer.string())[0] for _ in range(answer.uint32())]
        except sshsig.MalformedSignature as error:
            raise self._unavailable("ssh-agent gave no list of keys", str(error)) from None
        if blob not in held:
            raise self._unavailable(
                f"ssh-agent does not hold the key '{self.fingerprint}'",
                f"it holds {len(held)} other keys",
            )

    def sign(self, payload: bytes, *, namespace: str = sshsig.NAMESPACE) -> bytes:
        """Return the signature over `payload` as armoured text; raises `KeyUnavailable`."""
        armored = super().sign(payload, namespace=namespace)
        try:
            sshsig.verify(payload, armored, namespace=namespace)
        except (sshsig.MalformedSignature, sshsig.BadSignature) as error:
            raise self._unavailable("ssh-agent gave a bad signature", str(error)) from None
        return armored

    def _sign(self, data: bytes) -> bytes:
        flags = _RSA_SHA2_512 if self.key_type == "ssh-rsa" else 0
        request = encode_string(self.blob) + encode_string(data) + flags.to_bytes(4, "big")
        answer = self._ask(bytes([_SIGN_REQUEST]) + request, _SIGN_RESPONSE, SIGN_TIMEOUT_SECONDS)
        try:
            return answer.string()
        except sshsig.MalformedSignature as error:
            raise self._unavailable("ssh-agent gave a bad signature", str(error)) from None

    def _ask(self, request: bytes, expected: int, timeout: float) -> WireReader:
        import socket

        address = os.environ.get("SSH_AUTH_SOCK")
        if not address:
            raise self._unavailable(
                f"no ssh-agent to sign with the key '{self.fingerprint}'",
                "SSH_AUTH_SOCK is not set",
            )
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
                agent.settimeout(timeout)
                agent.connect(address)
                agent.sendall(encode_string(request))
                with agent.makefile("rb") as stream:
                    size = int.from_bytes(stream.read(4), "big")
                    answer = stream.read(min(size, _AGENT_MAXIMUM_BYTES))
        except TimeoutError:
            cause = f"no answer within {timeout:.0f} seconds"
            raise self._unavailable("ssh-agent does not answer", cause) from None
        except OSError as error:
            raise self._unavailable(
                f"cannot talk to ssh-agent at '{address}'", str(error)
            ) from None
        if len(answer) != size or answer[:1] != bytes([expected]):
            raise self._unavailable(
                "ssh-agent refused", f"its answer is of type {answer[0] if answer else 'none'}"
            )
        return WireReader(answer[1:])

    def _unavailable(self, message: str, cause: str) -> KeyUnavailable:
        return KeyUnavailable(message, cause=cause, hint=self._hint)
