"""Edits of the files that say whose key may sign: one line changes, and every other byte stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.app.roadmap import read_keyring, write_keyring
from esaa_git.core.events.spec import ROLES
from esaa_git.errors import ConfigurationError, KeyUnavailable, RefusedError, UsageError
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.keyring import Keyring, openpgp_file
from esaa_git.trust.keys import create_key
from esaa_git.trust.publickey import PublicKey, key_spec, read_public_key
from esaa_git.trust.signers import SignerSet
from esaa_git.trust.wire import encode_string
from esaa_git.verification.keyhistory import spans


def public(number: int, comment: str = "") -> PublicKey:
    """A valid key whose private half nobody has."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = number.to_bytes(32, "big")
    raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    blob = encode_string(b"ssh-ed25519") + encode_string(raw)
    text = sshsig.encode_public_key(blob)
    return PublicKey(sshsig.fingerprint(blob), "ssh-ed25519", text, comment)


ALICE, BOB, CAROL, DAVE = (public(number) for number in range(1, 5))
FILE = f"""\
# Who may sign.

orchestrator,build@example.com  namespaces="git" {ALICE.text}   the build machine
\t"admin,bob@example.com" valid-before="20300101Z",namespaces="git,file" {BOB.text} bob, at home\r
# the end, without a line's end
approver {CAROL.text}""".encode()
KEYS = Keyring(FILE)


def changed(before: bytes, after: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the lines that went, and those that came."""
    old, new = before.split(b"\n"), after.split(b"\n")
    return [one for one in old if one not in new], [one for one in new if one not in old]


def test_a_keyring_lists_what_the_files_say() -> None:
    alice, bob, carol = KEYS.keys
    assert (alice.fingerprint, alice.comment, alice.line) == (
        ALICE.fingerprint,
        "the build machine",
        3,
    )
    assert alice.principals == ("orchestrator", "build@example.com")
    assert alice.roles == {"orchestrator"}
    assert (bob.comment, bob.roles) == ("bob, at home", {"admin"})
    assert bob.valid_before == "2030-01-01T00:00:00+00:00"
    assert (carol.comment, carol.roles) == ("", {"approver"})
    assert KEYS.roles == {"orchestrator", "admin", "approver"}
    assert Keyring(b"# nobody\n").keys == ()


def test_a_new_key_comes_at_the_end() -> None:
    key = public(9, "dave's laptop")
    after = KEYS.trust(key, ["admin", "approver"])
    line = f'approver,admin namespaces="git" {key.text} dave\'s laptop\n'
    assert after.allowed == FILE + b"\n" + line.encode()
    assert after.roles_of(key.fingerprint) == {"admin", "approver"}


def test_other_roles_change_the_principals_and_nothing_else() -> None:
    after = KEYS.trust(BOB, ["approver", "admin"])
    gone, come = changed(FILE, after.allowed)
    assert len(gone) == len(come) == 1
    assert come[0] == gone[0].replace(b'"admin,bob@', b'"approver,admin,bob@')
    assert KEYS.trust(BOB, ["admin"]) is KEYS


def test_a_revoked_key_takes_its_line_with_it() -> None:
    after = KEYS.revoke(CAROL.fingerprint)
    assert after.allowed == FILE[: FILE.rindex(b"\n") + 0]
    assert not after.listed(CAROL.fingerprint)


def test_a_replaced_key_keeps_principals_and_namespaces_but_no_limit_in_time() -> None:
    key = PublicKey(DAVE.fingerprint, DAVE.key_type, DAVE.text, "new")
    after = KEYS.replace(BOB.fingerprint, key)
    gone, come = changed(FILE, after.allowed)
    assert gone == [FILE.split(b"\n")[3]]
    assert come == [f'\t"admin,bob@example.com" namespaces="git,file" {DAVE.text} new\r'.encode()]
    simple = KEYS.replace(ALICE.fingerprint, DAVE)
    line = f'orchestrator,build@example.com  namespaces="git" {DAVE.text}'
    assert simple.allowed.split(b"\n")[2] == line.encode()
    with pytest.raises(ConfigurationError, match="listed already"):
        KEYS.replace(ALICE.fingerprint, BOB)
    assert KEYS.replace(DAVE.fingerprint, public(7)) is KEYS


@pytest.mark.parametrize(("who", "role"), [(ALICE, "orchestrator"), (BOB, "admin")])
def test_the_last_of_a_needed_role_stays(who: PublicKey, role: str) -> None:
    with pytest.raises(RefusedError, match=f"no key with the role {role}") as caught:
        KEYS.revoke(who.fingerprint)
    hint = caught.value.hint or ""
    assert f"git esaa key trust KEY --role {role}" in hint
    # Only the key configured here can be rotated, and it is an orchestrator's.
    assert ("git esaa key rotate" in hint) == (role == "orchestrator")
    with pytest.raises(RefusedError, match=role):
        KEYS.trust(who, ["approver"])
    with_another = KEYS.trust(DAVE, [role])
    assert not with_another.revoke(who.fingerprint).listed(who.fingerprint)


def test_an_only_key_cannot_be_revoked() -> None:
    only = Keyring(f"orchestrator,admin {ALICE.text}\n".encode())
    with pytest.raises(RefusedError, match="orchestrator or admin"):
        only.revoke(ALICE.fingerprint)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (f"orch*,admin {ALICE.text}", "patterns"),
        (f"*,!approver {ALICE.text}", "patterns"),
        (f"admin {ALICE.text}\norchestrator {ALICE.text}", "lines 1, 2"),
        (f'approver namespaces="file" {ALICE.text}\nadmin {BOB.text}', "other namespaces"),
    ],
)
def test_what_cannot_be_changed_safely_is_left_to_a_person(line: str, cause: str) -> None:
    with pytest.raises(ConfigurationError, match="by hand") as caught:
        Keyring(f"{line}\n".encode()).trust(ALICE, ["approver", "admin", "orchestrator"])
    assert cause in (caught.value.cause or "")


def test_a_file_that_cannot_be_read_is_not_edited() -> None:
    with pytest.raises(ConfigurationError, match="line 1"):
        Keyring(b"admin ssh-ed25519 nonsense\n").trust(ALICE, ["admin"])


def test_a_key_is_found_by_fingerprint_comment_and_file(tmp_path: Path) -> None:
    line = create_key(tmp_path / "key", comment="mine")
    keys = Keyring(FILE + f"\nadmin {line}\nadmin {DAVE.text} mine too".encode())
    mine = keys.keys[3].fingerprint
    path = tmp_path / "key"
    for text in (mine, mine.removeprefix("SHA256:"), "mine", str(path), f"{path}.pub"):
        assert keys.find(text) == mine
    twice = Keyring(f"admin {ALICE.text} same\nadmin {BOB.text} same\n".encode())
    with pytest.raises(UsageError, match="comment of 2 keys"):
        twice.find("same")
    for text in ("", "nobody", DAVE.fingerprint):
        with pytest.raises(UsageError, match="no key"):
            KEYS.find(text)


# -- laws --------------------------------------------------------------------------------------

COMMENTS = st.sampled_from(["", "# a remark", "  # indented", "\t", "#orchestrator ssh-ed25519"])
OPTIONS = st.sampled_from(
    ["", 'namespaces="git" ', 'namespaces="git,file",valid-before="20300101Z" ']
)
NAMES = st.lists(
    st.sampled_from([*ROLES, "alice@example.com"]), min_size=1, max_size=4, unique=True
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    lines = [f"orchestrator,admin {public(100).text} root"]
    for number in range(draw(st.integers(0, 5))):
        lines += draw(st.lists(COMMENTS, max_size=2))
        names, options = ",".join(draw(NAMES)), draw(OPTIONS)
        comment = draw(st.sampled_from(["", " alice", "  two words", " # no remark"]))
        quote = draw(st.sampled_from(["", '"']))
        end = draw(st.sampled_from(["", "\r", " "]))
        lines.append(f"{quote}{names}{quote} {options}{public(number).text}{comment}{end}")
    return ("\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))).encode()


@given(
    files(),
    st.integers(0, 6),
    st.lists(st.sampled_from(ROLES), min_size=1, max_size=3, unique=True),
)
def test_trust_gives_exactly_the_roles_and_touches_one_line(
    content: bytes, number: int, roles: list[str]
) -> None:
    key, before = public(number), Keyring(content)
    known = bool(before.listed(key.fingerprint))
    after = before.trust(key, roles)
    assert after.roles_of(key.fingerprint) == set(roles)
    others = [one for one in before.keys if one.fingerprint != key.fingerprint]
    left = [one for one in after.keys if one.fingerprint != key.fingerprint]
    assert left == others
    if known:
        old, new = content.split(b"\n"), after.allowed.split(b"\n")
        assert len(old) == len(new)
        assert sum(a != b for a, b in zip(old, new, strict=True)) <= 1
    else:
        assert after.allowed.startswith(content)
    assert after.trust(key, roles) is after
    if not known:
        gone = after.revoke(key.fingerprint).allowed
        assert gone == content + (b"" if content.endswith(b"\n") else b"\n")


@given(files(), st.integers(0, 4))
def test_replace_keeps_order_principals_and_everything_around(content: bytes, number: int) -> None:
    before, old, new = Keyring(content), public(number), public(200, "new one")
    after = before.replace(old.fingerprint, new)
    swapped = [
        new.fingerprint if one.fingerprint == old.fingerprint else one.fingerprint
        for one in before.keys
    ]
    assert [one.fingerprint for one in after.keys] == swapped
    assert [one.principals for one in after.keys] == [one.principals for one in before.keys]
    assert [one.roles for one in after.keys] == [one.roles for one in before.keys]
    assert len(changed(content, after.allowed)[0]) <= 1


# -- limits in time ----------------------------------------------------------------------------


def test_a_key_counts_between_its_limits_and_by_the_line_that_is_in_time() -> None:
    signers = SignerSet.parse(
        f'admin valid-before="20260201Z" {ALICE.text}\n'
        f'orchestrator valid-after="202601010000",valid-before="20260301" {ALICE.text}\n'
        f"approver {BOB.text}\n".encode()
    )
    known = signers._keys[sshsig.decode_public_key(ALICE.text)]

    def at(day: str) -> set[str]:
        return set(signers.known_at(known, f"{day}T00:00:00.000Z").principals)

    assert at("2025-12-31") == {"admin"}
    assert at("2026-01-15") == {"admin", "orchestrator"}
    assert at("2026-02-01") == {"admin", "orchestrator"}
    assert at("2026-02-02") == {"orchestrator"}
    with pytest.raises(SignatureRefused, match="valid before 2026-03-01"):
        at("2026-03-02")
    late = SignerSet.parse(f'admin valid-after="20260101Z" {ALICE.text}\n'.encode())
    with pytest.raises(SignatureRefused, match=r"not-yet-valid: .* valid after 2026-01-01"):
        late.known_at(known, "2025-12-31T23:59:59.999Z")


# -- what the log says -------------------------------------------------------------------------


def test_spans_join_where_nothing_changed_for_a_key() -> None:
    first = Keyring(f"orchestrator,admin {ALICE.text}\n".encode())
    second = first.trust(BOB, ["admin"])
    third = second.replace(ALICE.fingerprint, CAROL)
    found = spans([(1, first), (10, second), (20, third)])
    seen = {
        name: [(one.first, one.last) for one in found[key.fingerprint]]
        for name, key in (("alice", ALICE), ("bob", BOB), ("carol", CAROL))
    }
    assert seen == {"alice": [(1, 20)], "bob": [(11, None)], "carol": [(21, None)]}
    again = spans([(1, second), (10, first), (20, second)])[BOB.fingerprint]
    assert [(one.first, one.last) for one in again] == [(1, 10), (21, None)]


# -- keys by name, and files -------------------------------------------------------------------


def test_a_public_key_is_read_from_a_file_or_a_line(tmp_path: Path) -> None:
    line = create_key(tmp_path / "key", comment="a comment")
    key = read_public_key(f"{tmp_path / 'key'}.pub")
    assert key == read_public_key(line)
    assert f"{key.text} {key.comment}" == line
    (tmp_path / "two.pub").write_text(f"{line}\n{ALICE.text}\n")
    (tmp_path / "empty.pub").write_text("")
    for given_text, words in {
        str(tmp_path / "key"): "private key",
        str(tmp_path / "two.pub"): "holds 2 keys",
        str(tmp_path / "empty.pub"): "holds 0 keys",
        str(tmp_path / "missing.pub"): "no public key",
        "ssh-ed25519 AAAA": "no public key that can be trusted",
        "ssh-dss AAAAB3NzaC1kc3MAAACB x": "no public key that can be trusted",
        str(tmp_path): "no public key",
    }.items():
        with pytest.raises(UsageError, match=words):
            read_public_key(given_text)


def test_a_fingerprint_of_openpgp_is_told_from_a_path(tmp_path: Path) -> None:
    digits = "0123456789ABCDEF0123456789ABCDEF01234567"
    assert key_spec(digits.lower()).format == "openpgp"
    assert key_spec(str(tmp_path / "key")).format == "ssh"
    assert key_spec(f"key::{ALICE.text}").key == f"key::{ALICE.text}"


def test_files_are_written_at_once_with_their_mode(tmp_path: Path) -> None:
    roadmap = tmp_path / ".roadmap"
    roadmap.mkdir()
    assert read_keyring(tmp_path) is None
    (roadmap / "allowed_signers").write_bytes(FILE)
    (roadmap / "allowed_signers").chmod(0o640)
    before = read_keyring(tmp_path)
    assert before is not None
    after = before.trust(DAVE, ["admin"])
    assert write_keyring(tmp_path, before, after) == ["allowed_signers"]
    assert (roadmap / "allowed_signers").read_bytes() == after.allowed
    assert (roadmap / "allowed_signers").stat().st_mode & 0o777 == 0o640
    assert write_keyring(tmp_path, after, after) == []
    assert sorted(path.name for path in roadmap.iterdir()) == ["allowed_signers"]


# -- OpenPGP -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpg_key() -> Iterator[str]:
    """The fingerprint of a key in a keyring of its own."""
    if shutil.which("gpg") is None:
        pytest.skip("no gpg here")
    with tempfile.TemporaryDirectory(prefix="esaa-g") as home:
        before = os.environ.get("GNUPGHOME")
        os.environ["GNUPGHOME"] = home
        command = ["gpg", "--batch", "--passphrase", "", "--quick-gen-key"]
        subprocess.run([*command, "t <t@example.com>", "ed25519"], check=True, capture_output=True)
        listing = subprocess.run(
            ["gpg", "--list-keys", "--with-colons"], check=True, capture_output=True, text=True
        ).stdout
        rows = [line.split(":") for line in listing.split("\n")]
        yield next(row[9] for row in rows if row[0] == "fpr")
        subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)
        os.environ.pop("GNUPGHOME")
        if before is not None:
            os.environ["GNUPGHOME"] = before


def test_an_openpgp_key_comes_changes_and_goes(gpg_key: str) -> None:
    key = read_public_key(" ".join((gpg_key[:20], gpg_key[20:].lower())))
    assert key.fingerprint == gpg_key
    one = KEYS.trust(key, ["approver"])
    assert one.allowed == FILE
    assert one.openpgp == openpgp_file(["approver"], key).encode()
    two = one.trust(key, ["admin", "approver"])
    assert two.roles_of(gpg_key) == {"admin", "approver"}
    assert two.openpgp is not None
    noted = Keyring(FILE, two.openpgp + b"# the end\n")
    gone = noted.revoke(gpg_key)
    head = openpgp_file([], key).split("\n", maxsplit=1)[0]
    assert gone.openpgp == f"{head}\n# the end\n".encode()
    rotated = two.revoke(BOB.fingerprint).replace(gpg_key, DAVE)
    assert rotated.roles_of(DAVE.fingerprint) == {"admin", "approver"}
    back = rotated.replace(DAVE.fingerprint, key)
    assert back.roles_of(gpg_key) == {"admin", "approver"}
    with pytest.raises(KeyUnavailable, match="does not export"):
        read_public_key("0" * 40)


def test_a_list_in_flow_style_is_left_to_a_person(gpg_key: str) -> None:
    key = read_public_key(gpg_key)
    armored = key.text.replace("\n", "\\n")
    entry = f'{{principals: [admin], fingerprint: {gpg_key}, public_key: "{armored}"}}'
    flow = Keyring(FILE, f"[{entry}]\n".encode())
    with pytest.raises(ConfigurationError, match="by hand"):
        flow.revoke(gpg_key)
