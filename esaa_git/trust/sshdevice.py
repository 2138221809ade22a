"""A security key by the file that names it: `ssh-keygen` asks the device (OpenSSH's PROTOCOL.u2f).

Which library talks to the device, OpenSSH says: its own, or the one in SSH_SK_PROVIDER.
"""

from __future__ import annotations

from pathlib import Path

from esaa_git.errors import KeyUnavailable
from esaa_git.trust import sshsig
from esaa_git.trust.signer import SIGN_TIMEOUT_SECONDS, SshKeySigner


class DeviceSigner(SshKeySigner):
    """Signs through `ssh-keygen -Y sign`.

    What it says of a touch goes to the person's terminal, and it asks for a PIN there. Every answer
    is verified before it is handed out: the log takes no program's word.
    """

    def __init__(self, blob: bytes, path: Path) -> None:
        super().__init__(blob)
        self._path = path

    def sign(self, payload: bytes, *, namespace: str = sshsig.NAMESPACE) -> bytes:
        """Return the signature over `payload` as armoured text; raises `KeyUnavailable`."""
        import subprocess

        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(self._path)]
        try:
            done = subprocess.run(
                command, input=payload, stdout=subprocess.PIPE, timeout=SIGN_TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise self._unavailable("nobody touched it in time") from None
        except OSError as error:
            raise self._unavailable(str(error)) from None
        if done.returncode:
            raise self._unavailable(f"ssh-keygen ended with exit status {done.returncode}")
        try:
            signature = sshsig.decode(done.stdout)
            sshsig.verify_decoded(payload, signature, namespace=namespace)
            if signature.public_key != self.blob:
                raise self._unavailable("another key has signed")
            inner = sshsig.normalised(signature.signature)
        except (sshsig.MalformedSignature, sshsig.BadSignature) as error:
            raise self._unavailable(str(error)) from None
        return sshsig.encode(signature._replace(signature=inner))

    def _unavailable(self, cause: str) -> KeyUnavailable:
        return KeyUnavailable(
            f"the security key of '{self._path}' did not sign",
            cause=cause,
            hint=f"plug it in, see that 'ssh-keygen -Y sign -n git -f {self._path}' signs, then "
            "repeat the command",
        )
