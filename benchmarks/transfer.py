"""Export and import of a long log, and what the import leaves in the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import logs
from benchmarks.harness import Row, say, timed
from benchmarks.verify import audit
from benchmarks.workshop import Workshop
from esaa_git.app.export import ACTIVITY, OBJECTS, export_files
from esaa_git.app.import_log import import_log
from esaa_git.store.log import GitEventLog
from esaa_git.store.refs import GitRefs
from esaa_git.trust.signer import SigningKeys

SUBJECT = "export and import"


def measure(shop: Workshop) -> Iterator[Row]:
    subject = shop.natural(shop.sizes.deep)
    events = subject.log.load()[0].seq
    target = shop.place("exported")
    say("  exporting")
    took = timed(lambda: export_files(subject.repository, target))
    yield _rate("export", took, events, f"{_size(target) / events:,.0f} bytes an event")
    place = shop.place("imported")
    fresh = logs.Subject(place, shop.key)
    before = logs.pack_bytes(place)
    log = GitEventLog(
        fresh.repository, GitRefs(fresh.repository), SigningKeys(lambda: fresh.signer)
    )
    say("  importing")
    took = timed(
        lambda: import_log(log, target / ACTIVITY, token="0" * 32, objects=target / OBJECTS)
    )
    packed = (logs.pack_bytes(place) - before) / events
    yield _rate("import", took, events, f"{packed:,.0f} bytes of packs an event")
    # The first commit of the branch was there before: a commit and a tree.
    loose = logs.loose_objects(place) - 2
    yield Row(
        SUBJECT, "loose objects after an import", "", loose, None, note="" if loose else "none"
    )
    imported = log.load()[0].seq
    assert imported == events
    fresh.log = log
    yield _rate("verify --full of what was imported", timed(lambda: audit(fresh, 1)), events, "")
    shop.clear(place, target)


def _rate(name: str, seconds: float, events: int, note: str) -> Row:
    rate = f"{events / seconds:,.0f} events/s ({events:,} events in {seconds:.1f} s)"
    said = f"{rate}, {note}" if note else rate
    return Row(SUBJECT, name, "us", seconds / events * 1e6, None, note=said)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
