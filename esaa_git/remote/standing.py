"""The branch that is checked out, where the last run works on another: whether a push takes it."""

from __future__ import annotations

from dataclasses import dataclass

from esaa_git.store.objects import decode_commit
from esaa_git.store.position import contains
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository
from esaa_git.verification.claims import CARRIER, EFFECT, ClaimJudge


@dataclass(frozen=True, slots=True)
class Standing:
    """The branch on which the person stands, and where it is."""

    repository: Repository
    judge: ClaimJudge
    remote: str
    ref: str
    tip: str

    @classmethod
    def of(cls, repository: Repository, judge: ClaimJudge, remote: str) -> Standing | None:
        """Return it; None for a detached HEAD, a bare repository, and a branch of the log's."""
        raw = repository.raw
        if repository.workdir is None or raw.head_is_unborn or raw.head_is_detached:
            return None
        if str(raw.head.name) == repository.events_ref:
            return None
        return cls(repository, judge, remote, str(raw.head.name), str(raw.head.target))

    @property
    def name(self) -> str:
        return self.ref.removeprefix("refs/heads/")

    def to_send(self, there: str | None) -> dict[str, str]:
        """Return the branch to be pushed, where what the remote lacks of it carries effects.

        Args:
            there: where the remote has it.
        """
        if there == self.tip or not self._goes_on_from(there):
            return {}
        for oid in self._new(there):
            commit = decode_commit(self.repository.read(oid)[1])
            if self.judge.standing(oid, commit).kind in (EFFECT, CARRIER):
                return {self.ref: self.tip}
        return {}

    def left_out(self, there: str | None) -> list[str]:
        """Say what of it a push has left out, and which command sends that."""
        name, remote = self.name, self.remote
        if there is None:
            return [f"'{name}' is not on '{remote}': 'git push {remote} {name}' puts it there"]
        if self._goes_on_from(there):
            what = (
                f"{len(self._new(there))} commits that '{remote}' has not, none of them an effect"
            )
            ways = f"'git push {remote} {name}' sends them"
            return [] if there == self.tip else [f"'{name}' has {what}: {ways}"]
        if there in self.repository.odb and contains(self.repository, there, self.tip):
            return []
        ways = f"'git pull {remote} {name}' brings them"
        what = f"'{remote}' has commits of it that are not here"
        return [f"'{name}' was left out, because {what}: {ways}"]

    def _goes_on_from(self, there: str | None) -> bool:
        if there is None:
            return True
        return there in self.repository.odb and contains(self.repository, self.tip, there)

    def _new(self, there: str | None) -> list[str]:
        """Return its commits that the remote lacks: of this branch, else of any."""
        lacking = ("--not", f"--remotes={self.remote}") if there is None else (f"^{there}", "--")
        return run_git(self.repository.git_dir, "rev-list", self.tip, *lacking).decode().split()
