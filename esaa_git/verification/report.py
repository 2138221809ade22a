"""What an audit found: a report, and the verified point that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from esaa_git.ports.checks import Audit
from esaa_git.verification.branch import Relinked
from esaa_git.verification.pins import Mark
from esaa_git.verification.presence import Gone


@dataclass
class Report:
    """What an audit found, with what it covered and what it could not.

    `sound` is the last event commit before the first offending one. `boundary` is where the log
    that is here begins, if not with `genesis`; `trust` says why that is believed (`Anchor.trust`).
    `elsewhere` are the effects (branch, commit, task) that other branches hold and `branch` does
    not, `other_tips` where branches beside `branch` were found to hold effects. `relinked` are the
    effects that a branch holds in other commits than their own, `foreign` the commits whose claims
    of events are let be, each with why, `gone` what of effects is not at the tip of its branch.
    `is_open` says that something was noted, now or at the verified point, that fails with strict.
    """

    audit: Audit
    ref: str
    tip: str | None
    log_id: str | None
    genesis: str | None
    since: int
    jobs: int
    branch: str | None = None
    branch_tip: str | None = None
    branch_commits: int = 0
    other_tips: tuple[str, ...] = ()
    failed_commit: str | None = None
    sound: str | None = None
    boundary: str | None = None
    trust: str = "first-use"
    hint: str | None = None
    elsewhere: list[tuple[str, str, str]] = field(default_factory=list)
    relinked: list[Relinked] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_open: bool = False

    @property
    def is_recorded(self) -> bool:
        """Whether the log itself says of every relinked effect which commit carries it."""
        return all(one.is_recorded for one in self.relinked)

    @property
    def mark(self) -> Mark:
        """The verified point that a report without a failure answers for."""
        assert self.tip is not None
        assert self.log_id is not None
        return Mark(
            self.log_id,
            self.genesis,
            self.tip,
            self.audit.checked_to,
            self.branch,
            self.branch_tip,
            self.boundary,
            self.other_tips,
            tuple(self.elsewhere) if self.branch is not None else (),
            self.is_open,
        )
