"""What the hooks refuse, through real pushes, and how they say it.

The forged events are made with plain git and ssh-keygen, as docs/FORMAT.md has them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from tests.snapshots.history import LOG, MAIN, ONE, build
from tests.snapshots.world import World

SERVER = "server.git"
BEHIND = 4
"""So many events of the log are not on the server yet."""


def record(world: World) -> None:
    world.quietly(build)
    forger = Forger(world)
    _pre_receive(world, forger)
    _effects(world)
    _update(world, forger)
    _append_only(world, forger)
    _pre_push(world, forger)


class Forger:
    """Writes events that no honest orchestrator would, with the key that the event asks for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.key = self.git("config", "esaa.signingKey")
        self.persons = self.git("config", "esaa.approverKey")
        self.stranger = str(world.path("home/guest"))
        self.old = self.git("rev-parse", f"{LOG}~{BEHIND}")
        self.next = self.git("rev-parse", f"{LOG}~{BEHIND - 1}")
        self.number = int(self.git("rev-list", "--count", self.next))

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        return self._world.git(ONE, *arguments, stdin=stdin)

    def forge(
        self,
        change: Callable[[str], str] = str,
        *,
        of: str = "",
        key: str | None = "",
        signature: str = "",
    ) -> str:
        """Write an event commit anew, with its unsigned text changed; None for a key: unsigned."""
        text, _ = self._split(of or self.next)
        payload = change(text)
        if key is not None:
            own = self.persons if "\nauthor person@" in text else self.key
            armour = signature or self._sign(payload, key or own)
            head, _, message = payload.partition("\n\n")
            folded = armour.rstrip("\n").replace("\n", "\n ")
            payload = f"{head}\ngpgsig {folded}\n\n{message}"
        return self.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=payload.encode())

    def signature(self, of: str) -> str:
        return self._split(of)[1]

    def tree(self, *, event: Callable[[str], str] = str, roadmap: str = "") -> str:
        """Return the next event's tree with another event or another state in it."""
        listed = self.git("ls-tree", self.next)
        if roadmap:
            listed = re.sub(r"tree \w+(?=\troadmap$)", f"tree {roadmap}", listed, flags=re.M)
        text = event(self.git("cat-file", "blob", f"{self.next}:event.json") + "\n")
        blob = self.git("hash-object", "-w", "--stdin", stdin=text.encode())
        listed = re.sub(r"blob \w+(?=\tevent\.json$)", f"blob {blob}", listed, flags=re.M)
        return self.git("mktree", stdin=f"{listed}\n".encode())

    def _split(self, oid: str) -> tuple[str, str]:
        """Return a commit's text without its signature, and the signature."""
        text = self.git("cat-file", "commit", oid) + "\n"
        found = re.search(r"^gpgsig (.*\n(?: .*\n)*)", text, re.MULTILINE)
        assert found is not None, f"{oid} is not signed"
        return text.replace(found[0], ""), found[1].replace("\n ", "\n")

    def _sign(self, payload: str, key: str) -> str:
        data = self._world.path("tmp/payload")
        data.write_text(payload, encoding="utf-8")
        self._world.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", key, str(data)])
        signature = data.with_name("payload.sig")
        text = signature.read_text(encoding="utf-8")
        signature.unlink()
        return text


def _server(world: World, name: str, *options: str) -> None:
    """Make a server that has all but the newest events, and then the hook."""
    world.git(".", "init", "--quiet", "--bare", name)
    world.git(ONE, "push", "--quiet", f"../{name}", f"{LOG}~{BEHIND}:{LOG}", MAIN)
    world.silent(name, "hooks", "install", "--server", ".", *options)


def _push(world: World, what: str, *refspecs: str, to: str = SERVER) -> None:
    world.heading(what)
    world.try_git(ONE, "push", "--quiet", "--porcelain", f"../{to}", *refspecs)


def _forgeries(forger: Forger) -> dict[str, str]:
    """Return events that do not hold, by what is wrong with them."""
    git, old = forger.git, forger.old

    def altered(old_text: str, new_text: str, *, hashed: bool) -> str:
        tree = forger.tree(event=lambda text: text.replace(old_text, new_text))

        def change(text: str) -> str:
            text = re.sub(r"^tree \w+", f"tree {tree}", text)
            if not hashed:
                return text
            data = git("cat-file", "blob", f"{tree}:event.json") + "\n"
            digest = hashlib.sha256(data.encode()).hexdigest()
            text = re.sub(r"(?<=\nESAA-Event-SHA256: )\w+", digest, text)
            return text.replace(old_text, new_text)

        return forger.forge(change)

    earlier = git("rev-parse", f"{old}~9:roadmap")
    stale = forger.tree(roadmap=earlier)
    aside = git("rev-parse", f"{old}~3")
    return {
        "an event without a signature": forger.forge(key=None),
        "an event signed by a stranger": forger.forge(key=forger.stranger),
        "an event with the signature of another": forger.forge(
            signature=forger.signature(f"{LOG}~{BEHIND - 2}")
        ),
        "an event that is there already": forger.forge(
            lambda text: re.sub(r"(?<=\nparent )\w+", old, text), of=old
        ),
        "an event with two parents": forger.forge(
            lambda text: text.replace("\nauthor ", f"\nparent {aside}\nauthor ", 1)
        ),
        "an event without a parent": forger.forge(
            lambda text: re.sub(r"\nparent \w+", "", text)
        ),
        "an event of another log": forger.forge(
            lambda text: re.sub(r"(?<=\nESAA-Log: )\w+", "f" * 32, text)
        ),
        "an event with another subject": forger.forge(
            lambda text: re.sub(r"\n\n[^\n]+", "\n\nNothing happened", text, count=1)
        ),
        "an event with a state that does not follow": forger.forge(
            lambda text: re.sub(r"^tree \w+", f"tree {stale}", text)
        ),
        "an event whose digest is another's": altered("Test it", "Test me", hashed=False),
        "an event that was altered and signed anew": altered("Test it", "Test me", hashed=True),
        "an event that skips a number": altered(
            f'"event_seq":{forger.number}', f'"event_seq":{forger.number + 1}', hashed=True
        ),
        "an event that is no canonical JSON": altered('":', '": ', hashed=True),
        "an event of a kind that nobody knows": altered("task.create", "task.invent", hashed=True),
    }  # fmt: skip


def _pre_receive(world: World, forger: Forger) -> None:
    _server(world, SERVER)
    blob = forger.git("hash-object", "-w", "--stdin", stdin=b"no log\n")
    forger.git("tag", "--annotate", "--message", "a tag", "v1", LOG)
    _push(world, "pre-receive: the log is deleted", f":{LOG}")
    _push(world, "pre-receive: the log is rolled back", f"+{LOG}~9:{LOG}")
    _push(world, "pre-receive: the branch in the log's place", f"+{MAIN}:{LOG}")
    _push(world, "pre-receive: a blob in the log's place", f"+{blob}:{LOG}")
    _push(world, "pre-receive: a tag in the log's place", f"+refs/tags/v1:{LOG}")
    for what, oid in _forgeries(forger).items():
        _push(world, f"pre-receive: {what}", f"+{oid}:{LOG}")
    _push(world, "pre-receive: another history by replacement", f"{LOG}~2:refs/replace/{'1' * 40}")
    world.heading("nothing moved until here")
    world.try_git(SERVER, "for-each-ref", "--format=%(objectname) %(refname)")
    _push(world, "pre-receive: the honest events", LOG)
    first = "first.git"
    world.git(".", "init", "--quiet", "--bare", first)
    world.silent(first, "hooks", "install", "--server", ".")
    world.git(first, "config", "esaa.genesis", "1" * 40)
    _push(world, "pre-receive: not the genesis that the server names", LOG, to=first)
    world.git(first, "config", "esaa.genesis", "no id")
    _push(world, "pre-receive: a setting that means nothing", LOG, to=first)


def _effects(world: World) -> None:
    """Commits of a branch that claim events, and policy about what travels together."""
    world.git(ONE, "branch", "topic", f"{MAIN}~3")
    _push(world, "pre-receive: a copy of an effect", f"{_copy(world)}:refs/heads/copy")
    claim = _copy(world, lambda text: re.sub(r"\bT-\d+", "T-77", text))
    _push(world, "pre-receive: a claim of what never was", f"{claim}:refs/heads/claim")
    world.git(SERVER, "config", "esaa.requireEffects", "true")
    world.git(SERVER, "config", "receive.denyDeleteCurrent", "ignore")
    _push(world, "pre-receive: a branch that loses its effects", f"+topic:{MAIN}")
    _push(world, "pre-receive: a branch with effects is deleted", f":{MAIN}")
    other = "effects.git"
    world.git(".", "init", "--quiet", "--bare", other)
    world.silent(other, "hooks", "install", "--server", ".")
    world.git(other, "config", "esaa.requireEffects", "true")
    _push(world, "pre-receive: a log without its effects", LOG, to=other)
    _push(world, "pre-receive: a branch without its events", MAIN, to=other)
    _push(world, "pre-receive: log and branch together", "--atomic", LOG, MAIN, to=other)


def _copy(world: World, change: Callable[[str], str] = str) -> str:
    """Write an effect's commit anew, under other words: it claims an event that is another's."""
    effect = world.git(ONE, "cat-file", "commit", f"{MAIN}~1") + "\n"
    forged = change(effect.replace("\n\n", "\n\nCopied: ", 1)).encode()
    return world.git(ONE, "hash-object", "-t", "commit", "-w", "--stdin", stdin=forged)


def _update(world: World, forger: Forger) -> None:
    name = "update.git"
    _server(world, name, "--update")
    world.path(f"{name}/hooks/pre-receive").unlink()
    _push(world, "update: the log is deleted", f":{LOG}", to=name)
    _push(world, "update: the log is rolled back", f"+{LOG}~9:{LOG}", to=name)
    _push(world, "update: an unsigned event", f"{forger.forge(key=None)}:{LOG}", to=name)
    replaced = f"{LOG}~2:refs/replace/{'1' * 40}"
    _push(world, "update: another history by replacement", replaced, to=name)
    _push(world, "update: the honest events", LOG, to=name)


def _append_only(world: World, forger: Forger) -> None:
    name = "shell.git"
    _server(world, name, "--fallback")
    _push(world, "append-only: the log is deleted", f":{LOG}", to=name)
    _push(world, "append-only: the log is rolled back", f"+{LOG}~9:{LOG}", to=name)
    _push(world, "append-only: an unsigned event", f"{forger.forge(key=None)}:{LOG}", to=name)
    _push(world, "append-only: the honest events", LOG, to=name)


def _pre_push(world: World, forger: Forger) -> None:
    name = "plain.git"
    world.git(".", "init", "--quiet", "--bare", name)
    world.git(ONE, "push", "--quiet", f"../{name}", f"{LOG}~90:{LOG}", f"{MAIN}~9:{MAIN}")
    world.silent(ONE, "hooks", "install")
    _push(world, "pre-push: a branch without its events", MAIN, to=name)
    _push(world, "pre-push: a new branch without its events", f"{MAIN}:refs/heads/new", to=name)
    _push(world, "pre-push: an ordinary branch", f"{MAIN}~9:refs/heads/old", to=name)
    world.git(ONE, "config", "esaa.requireEffects", "true")
    _push(world, "pre-push: a log without its effects", LOG, to=name)
    world.git(ONE, "config", "--unset", "esaa.requireEffects")
    _push(world, "pre-push: log and branch together", "--atomic", LOG, MAIN, to=name)
    _push(world, "pre-push: a copy of an effect", f"{_copy(world)}:refs/heads/copy", to=name)
    _push(world, "pre-push: no remote", MAIN, to="nowhere.git")
    head = world.git(ONE, "rev-parse", MAIN)
    hook, asked = ".git/hooks/pre-push", ["origin", "/nowhere"]
    line = f"{MAIN} {head} {MAIN} {world.git(ONE, 'rev-parse', f'{MAIN}~2')}\n"
    world.heading("pre-push: started by hand")
    world.program(ONE, [hook, *asked], stdin=line.encode())
    world.program(ONE, [hook, *asked], stdin=b"garbage\n")
    world.program(ONE, [hook], stdin=b"")
    for place in (f"{SERVER}/hooks/pre-receive", "update.git/hooks/update"):
        folder, _, inside = place.partition("/")
        world.program(folder, [inside], stdin=b"garbage\n")
