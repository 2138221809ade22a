"""What a remote has `git fetch` bring: our refs beside a person's own, and never over the log."""

from __future__ import annotations

from collections.abc import Iterable

from esaa_git.errors import ConfigurationError
from esaa_git.store.repository import Repository


class Refspecs:
    """The refspecs that are configured for one remote.

    Args:
        log_ref, tracking: where the log is, and where that of the remote is kept.
    """

    def __init__(self, repository: Repository, name: str, log_ref: str, tracking: str) -> None:
        self._repository = repository
        self._key = f"remote.{name}.fetch"
        self._log_ref = log_ref
        self._tracking = tracking

    @property
    def present(self) -> list[str]:
        """All of them, whoever wrote them, as git has them."""
        return self._repository.settings(self._key)

    @property
    def has_log(self) -> bool:
        """Whether the log is fetched."""
        return self._of_log in self.present

    @property
    def _of_log(self) -> str:
        return f"{self._log_ref}:{self._tracking}"

    def set_up(self, records: Iterable[str]) -> list[str]:
        """Have git fetch the log and these records, and say what was changed.

        Raises:
            ConfigurationError: if a refspec that is not ours would overwrite the log.
        """
        wanted, present = [self._of_log, *records], self.present
        done = []
        for spec in present:
            target = spec.partition(":")[2]
            if spec in wanted or spec.startswith("^") or not target:
                continue
            if target == self._tracking or _covers(target, self._log_ref):
                if not target.startswith("refs/esaa/"):
                    raise ConfigurationError(
                        f"'{self._key}' would have every 'git fetch' write to the log itself",
                        cause=f"it says '{spec}', as in a mirror",
                        hint=f"run 'git config --fixed-value --unset {self._key} \"{spec}\"'",
                    )
                self._repository.git("config", "--fixed-value", "--unset-all", self._key, spec)
                done.append(f"'{spec}' is fetched no more")
        for spec in wanted:
            if spec not in present:
                self._repository.git("config", "--add", self._key, spec)
                done.append(f"fetches '{spec}'")
        setting = "core.logAllRefUpdates"
        if (self._repository.setting(setting) or "").lower() != "always":
            self._repository.set_local(setting, "always")
            done.append("every move of a ref is kept in its reflog")
        return done


def _covers(pattern: str, ref: str) -> bool:
    head, star, tail = pattern.partition("*")
    return ref == pattern if not star else ref.startswith(head) and ref.endswith(tail)
