"""Verifying: against reading and checking the signatures of the same commits, and nothing else.

The limit reads every commit of the log, and every effect commit, from the object database and
verifies its signature with the same keys. All that `verify --full` does besides (trees, schema,
state machine, contracts, recorded state, digests, the branch) has to fit into the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from benchmarks import logs
from benchmarks.harness import Row, by_turns, compared, cores, skipped, timed
from benchmarks.programs import ROOT, run
from benchmarks.workshop import Workshop
from esaa_git.store.objects import split_signature
from esaa_git.store.position import walk_back
from esaa_git.trust.roles import signer_set
from esaa_git.verification.audit import Auditor

SUBJECT = "verify --full"
US = 1e6


def measure(shop: Workshop) -> Iterator[Row]:
    subject = shop.natural(shop.sizes.verify)
    yield against_signatures(shop, subject, "one core / signatures alone")
    yield over_cores(shop, subject)
    yield against_git(shop, subject)
    yield from memory(shop)


def against_signatures(shop: Workshop, subject: logs.Subject, name: str) -> Row:
    """Verify the whole log on one core, and only its signatures."""
    commits = _commits(subject)
    events = subject.log.load()[0].seq
    seconds = by_turns(
        [
            lambda: timed(partial(audit, subject, 1)),
            lambda: timed(partial(check_signatures, subject, commits)),
        ],
        shop.sizes.rounds,
        warm_up=min(1, shop.sizes.rounds - 1),
    )
    rate, limit = (events / median(arm) for arm in seconds)
    return compared(
        SUBJECT,
        name,
        "us",
        seconds,
        allowed=3.0,
        scale=US / events,
        note=f"{events:,} events and {len(commits) - events:,} effects, packed: "
        f"{rate:,.0f} events/s and core against {limit:,.0f}",
    )


def over_cores(shop: Workshop, subject: logs.Subject) -> Row:
    """Verify on two cores and on one; the limit is half the time of one."""
    name = "two cores / half the time of one"
    if cores() < 2:
        return skipped(SUBJECT, name, "there is one core")
    arms: list[Callable[[], float]] = [
        lambda: timed(partial(audit, subject, 2)),
        lambda: timed(partial(audit, subject, 1)) / 2,
    ]
    seconds = by_turns(arms, shop.sizes.rounds, warm_up=0)
    events = subject.log.load()[0].seq
    speed_up = median(seconds[1]) * 2 / median(seconds[0])
    return compared(
        SUBJECT,
        name,
        "us",
        seconds,
        allowed=1.25,
        scale=US / events,
        note=f"{speed_up:.2f} times as fast: {events / median(seconds[0]):,.0f} events/s",
    )


def against_git(shop: Workshop, subject: logs.Subject) -> Row:
    """Verify everything about an event, and have git verify the signature of its commit."""
    folder = subject.folder
    _trust(subject)
    rounds = shop.sizes.programs
    every = _commits(subject)
    sample = iter(every[:: max(1, len(every) // (rounds + 1))])
    events = subject.log.load()[0].seq
    ours = timed(partial(audit, subject, 1)) / events
    git = [
        timed(lambda: run(["git", "verify-commit", next(sample)], folder)) for _ in range(rounds)
    ]
    return compared(
        SUBJECT,
        "one event / git verify-commit",
        "us",
        [[ours] * rounds, git],
        scale=US,
        note=f"{1 / ours:,.0f} events/s against {1 / median(git):,.0f} commits/s",
    )


def memory(shop: Workshop) -> Iterator[Row]:
    """Verify a short log and a long one, each in a process of its own, and compare the peaks.

    What is promised is that history costs no memory, so the promise is for logs of the same
    tasks. The state is held in memory, and grows with the tasks.
    """
    sizes = shop.sizes
    both = f"{sizes.deep:,} events / {sizes.verify:,}"
    for name, make, allowed in (
        ("same tasks", shop.repeated, 1.2),
        ("more tasks", shop.natural, None),
    ):
        small, large = (_peaks(make(events)) for events in (sizes.verify, sizes.deep))
        for at, what in enumerate(("peak RSS", "without mapped packs")):
            title = f"{what}, {both}, {name}"
            if not small[at]:
                yield skipped(SUBJECT, title, "this system does not tell")
                continue
            pair = (large[at] / 1024, small[at] / 1024)
            yield Row(SUBJECT, title, "MiB", *pair, allowed)


def _peaks(subject: logs.Subject) -> list[int]:
    said = run([sys.executable, "-m", "benchmarks.peak", str(subject.folder)], ROOT)
    return [int(number) for number in said.split()]


# -- the work -------------------------------------------------------------------------------


def audit(subject: logs.Subject, jobs: int) -> None:
    """Verify from genesis.

    Raises:
        RuntimeError: if the log is not sound, and there is nothing to measure.
    """
    report = Auditor(subject.repository, full=True, jobs=jobs, remember=False).run()
    if not report.audit.is_ok:
        raise RuntimeError(f"the log to measure on is not sound: {report.audit.message}")


def check_signatures(subject: logs.Subject, commits: list[str]) -> None:
    """Read every commit and verify its signature, and nothing else."""
    read, signers = subject.repository.raw.odb.read, signer_set(subject.contracts)
    for oid in commits:
        parts = split_signature(read(oid)[1])
        assert parts is not None
        signers.verify(*parts)


def _commits(subject: logs.Subject) -> list[str]:
    """Return every commit of the log, and every effect commit."""
    repository = subject.repository
    tip = repository.ref_target(subject.log.ref)
    assert tip is not None
    found = list(walk_back(repository, tip))
    effects = list(walk_back(repository, str(repository.ref_target(f"refs/heads/{logs.BRANCH}"))))
    return found[::-1] + effects[-2::-1]


def _trust(subject: logs.Subject) -> None:
    signers = subject.folder / ".git" / "allowed_signers"
    signers.write_bytes(subject.contracts.files["allowed_signers"])
    subject.repository.set_local("gpg.ssh.allowedSignersFile", str(signers))
