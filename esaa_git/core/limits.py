"""How much is read at most of what a stranger may have written (docs/FORMAT.md, "Limits").

Sizes are in bytes and are looked at before the content is: a git object's in its header. What
these leave is what honest writers need and more; each writer of ours refuses to go beyond them.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20

COMMIT: Final = 64 * KIB
"""An event commit or an effect commit: its message, and a signature of 8 KiB at most."""

BRANCH_COMMIT: Final = MIB
"""A commit of a branch that may claim an event; a longer one is searched in parts."""

EVENT: Final = 16 * MIB
"""`event.json`: the largest is a `run.init` with many new tasks."""

EVENT_TREE: Final = 4 * KIB
"""The tree of an event commit, which has a handful of entries."""

TREE: Final = 4 * MIB
TREE_ENTRIES: Final = 65_536
"""Any other tree below an event: `roadmap/`, `files/`, `exchange/`."""

TREE_DEPTH: Final = 128
"""Folders within each other below an event."""

FILES_BELOW: Final = 100_000
"""Files at any depth below `files/` or `exchange/`."""

CONTRACT_FILE: Final = MIB
CONTRACTS: Final = 8 * MIB
CONTRACT_FILES: Final = 200
"""One file of the contracts, all of them together, and how many there are."""

SIGNERS: Final = 128 * KIB
"""`allowed_signers`, and `openpgp_signers.yaml`: read of a genesis before anything else is."""

PATTERNS: Final = 20
PATTERN: Final = 256
"""Patterns that one line of `allowed_signers` has for its principals, and characters in each."""

DOCUMENT: Final = 16 * MIB
"""One document of the state."""

EXCHANGE_PART: Final = 64 * MIB
"""One part of an exchange; its content is not read for a verification."""

DECISION: Final = 4 * KIB
"""A decision document, its signature, or the salt of its words; ours take under 2 KiB."""

DECISION_WORDS: Final = 64 * KIB
"""The words of a decision, or of a reviewer."""

REFUSAL: Final = MIB
"""Why an answer was refused, in words."""

JSON_DEPTH: Final = 64
"""Lists and objects within each other in canonical JSON."""

YAML: Final = MIB
YAML_DEPTH: Final = 32
YAML_NODES: Final = 50_000
"""One document that people write, and what it may hold."""

PLAN: Final = 16 * MIB
PLAN_NODES: Final = 2_000_000
"""A plan, which lists every task there will be."""

EVENTS_IN_A_PUSH: Final = 20_000
"""Events that a server looks at in one push; `git esaa push` sends more in several."""

TOO_MUCH: Final = "too much at once"
"""What a server's hook says of such a push, by which `git esaa push` knows to send it in parts."""
