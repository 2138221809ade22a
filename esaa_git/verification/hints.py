"""Which command a mismatch between branch, log and remote needs, by what the refs show.

Plain git brings branches without their log, so the first question is whether a log that was
fetched has more than the one that is here. Then it is whether a commit was amended, copied, or
carries its effect elsewhere. A way that was tried already is not named again.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

from esaa_git.core.events.spec import is_person
from esaa_git.store.eventcommit import contracts_of, read_event_commit
from esaa_git.store.objects import Commit, decode_commit
from esaa_git.store.position import common_event
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository
from esaa_git.trust.keyring import Keyring
from esaa_git.verification.claims import ClaimJudge

LOOK: Final = (
    "where the branch was rebased or squashed, 'git esaa verify --relink --record' looks for its "
    "effects by what they change, and records where they are"
)
OF_ONES_OWN: Final = (
    "a copy (cherry-pick) at the tip is made a commit of one's own by 'git reset --soft HEAD~1', "
    "then 'git commit'"
)
RECORDS_OR_COPY: Final = (
    "where effects were rebased or squashed, 'git esaa verify --relink --record' records it; "
    + OF_ONES_OWN
)

_REMOTES, _LOG = "refs/esaa/remotes/", "/events"


def bring_every_branch(remote: str) -> str:
    """Return the commands by which a clone of one branch gets all; none has to be known by name."""
    return f"'git remote set-branches {remote} \"*\"', then 'git fetch {remote}'"


class Hints:
    """Tells what the refs of one repository show, in commands.

    Args:
        judge: by the log that is here.
        is_looked: the audit has looked for effects by what they change already.
    """

    def __init__(self, repository: Repository, judge: ClaimJudge, *, is_looked: bool) -> None:
        self._repository = repository
        self._judge = judge
        self.is_looked = is_looked

    def of_claim(self, oid: str, commit: Commit, tip: str, why: str) -> str:
        """Return what to do about a commit that claims what the log does not know.

        Args:
            tip: where the branch ends that holds it.
            why: what is known to be wrong with it.
        """
        if self.newer is not None:
            return self.newer
        ways = [] if self.is_looked else [LOOK]
        amended = self._amended(oid, commit, tip)
        if amended is not None:
            return "; ".join([*ways, amended])
        if not why and (remote := self._remote) is not None:
            brings = f"if others recorded it, 'git esaa fetch {remote}' brings their log"
            ways.insert(0, brings)
        if self.is_looked:
            ways.append(OF_ONES_OWN)
        return "; else ".join(ways)

    def of_amend(self, oid: str, tip: str | None) -> list[str]:
        """Return what to do about a commit that may be an effect with something beside it."""
        amended = self._amended(oid, decode_commit(self._repository.read(oid)[1]), tip)
        return [] if amended is None else [amended]

    def of_move(self) -> str:
        """Return what to do where no branch holds what was verified."""
        return self.newer or LOOK

    # -- what the refs show ----------------------------------------------------------------------

    @cached_property
    def newer(self) -> str | None:
        """Which command brings what a fetched log has and the one here has not, if one has."""
        refs = GitRefs(self._repository)
        here = refs.read(self._repository.events_ref)
        for ref in refs.list(_REMOTES) if here is not None else ():
            there = refs.read(ref)
            name = ref.removeprefix(_REMOTES).removesuffix(_LOG)
            if there is None or not ref.endswith(_LOG) or name not in self._remotes:
                continue
            common = common_event(self._repository, str(here), there)
            if common == here != there:
                return (
                    f"run 'git esaa fetch {name}': the log of '{name}' goes on where the one here "
                    "ends, and plain git does not bring it"
                )
            if common not in (None, there):
                return (
                    f"run 'git esaa sync {name}': the log here and the one of '{name}' have "
                    "parted, and plain git does not bring them together"
                )
        return None

    @property
    def _remotes(self) -> list[str]:
        return [str(name) for name in self._repository.raw.remotes.names() if name is not None]

    @property
    def _remote(self) -> str | None:
        names = self._remotes
        return "origin" if "origin" in names else next(iter(names), None)

    def _amended(self, oid: str, commit: Commit, tip: str | None) -> str | None:
        """Say how a commit that was made of an effect by an amend becomes one on top of it."""
        for task in self._judge.state.tasks.values():
            effect = None if task.result is None else task.result.effect_commit
            if effect is None or effect not in self._repository.odb:
                continue
            if f"ESAA-Task: {task.task_id}\n".encode() not in commit.message + b"\n":
                continue
            found, short = decode_commit(self._repository.read(effect)[1]), effect[:12]
            if found.parents != commit.parents:
                continue
            how = f"'git rebase --onto {short} {oid[:12]}' puts it back beneath what follows"
            if oid == tip and found.tree == commit.tree:
                how = f"'git reset --keep {short}' puts it back"
            elif oid == tip:
                how = f"'git reset --soft {short}', then 'git commit', puts your change on top"
            return f"where the effect {short} was amended, {how}"
        return None

    @cached_property
    def admins(self) -> str:
        """Name who may accept: the persons with an admin's key by the contracts in force."""
        read, here = self._repository.read, GitRefs(self._repository)
        tip = here.read(self._repository.events_ref)
        if tip is None:
            return "an admin"
        keyring = Keyring.of(contracts_of(read, read_event_commit(read, tip)))
        listed = (name for one in keyring.keys if "admin" in one.roles for name in one.principals)
        names = {name for name in listed if is_person(name)}
        shown = ", ".join(sorted(names)[:3]) + (" …" if len(names) > 3 else "")
        return f"an admin ({shown})" if names else "an admin"
