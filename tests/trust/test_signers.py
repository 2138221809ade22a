"""Who may sign: the two files, read as ssh-keygen and gpg read them, only more strictly."""

from __future__ import annotations

import gc
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.errors import ConfigurationError
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import (
    ROLES,
    SignatureRefused,
    allowed_signers_line,
    matches,
    parse_allowed_signers,
)
from esaa_git.trust.signers import SignerSet
from tests.support.sshkeys import ALICE, BOB, PAYLOAD, STRANGER


def signers(*lines: str) -> SignerSet:
    return SignerSet.parse("".join(f"{line}\n" for line in lines).encode())


def refused(signer_set: SignerSet, armored: bytes, payload: bytes = PAYLOAD) -> SignatureRefused:
    with pytest.raises(SignatureRefused) as caught:
        signer_set.verify(payload, armored)
    return caught.value


# ---- verifying SSH signatures ---------------------------------------------------------------


def test_a_signature_of_a_listed_key_gives_its_principals() -> None:
    found = signers(f"alice@example.com,admin {ALICE.line}", f"orchestrator {BOB.line}").verify(
        PAYLOAD, ALICE.sign()
    )
    assert found.principals == {"alice@example.com", "admin"}
    assert found.fingerprint == ALICE.fingerprint
    assert found.key_type == "ssh-ed25519"


def test_each_refusal_has_its_reason() -> None:
    signer_set = signers(f"admin {ALICE.line}", f'admin namespaces="file" {BOB.line}')
    assert signer_set.verify(PAYLOAD, ALICE.sign()).principals == {"admin"}
    assert refused(signer_set, ALICE.sign(), PAYLOAD + b"!").reason == "bad"
    assert refused(signer_set, STRANGER.sign()).reason == "unknown-key"
    assert refused(signer_set, ALICE.sign(namespace="file")).reason == "wrong-namespace"
    assert refused(signer_set, BOB.sign()).reason == "wrong-namespace"
    assert refused(signer_set, BOB.sign(namespace="file")).reason == "wrong-namespace"
    assert refused(signer_set, ALICE.sign() * 2).reason == "malformed"
    assert refused(signer_set, ALICE.sign() + b"\n").reason == "malformed"
    assert refused(signer_set, b"").reason == "malformed"


def test_a_signature_that_names_a_listed_key_but_is_of_another_is_bad() -> None:
    stolen = sshsig.decode(STRANGER.sign())._replace(public_key=ALICE.blob)
    assert refused(signers(f"admin {ALICE.line}"), sshsig.encode(stolen)).reason == "bad"


def test_a_refusal_crosses_a_process_boundary() -> None:
    refusal = refused(signers(f"admin {ALICE.line}"), STRANGER.sign())
    copy = pickle.loads(pickle.dumps(refusal))
    assert (copy.reason, copy.detail, str(copy)) == (refusal.reason, refusal.detail, str(refusal))


def test_lines_of_one_key_add_up() -> None:
    signer_set = signers(
        f"orchestrator {ALICE.line}",
        f'admin namespaces="file" {ALICE.line}',
        f"approver,alice {ALICE.line} her other line",
    )
    assert signer_set.roles_of_key(ALICE.blob) == {"orchestrator", "approver", "alice"}
    assert signer_set.roles_of_fingerprint(ALICE.fingerprint) == {
        "orchestrator",
        "approver",
        "alice",
    }
    assert signer_set.verify(PAYLOAD, ALICE.sign()).principals == {
        "orchestrator",
        "approver",
        "alice",
    }
    assert signer_set.roles_of_key(STRANGER.blob) == frozenset()
    assert signer_set.roles_of_fingerprint(STRANGER.fingerprint) == frozenset()


def test_a_key_counts_whatever_the_clock_says() -> None:
    signer_set = signers(f'admin valid-after="20010101",valid-before="20020101Z" {ALICE.line}')
    assert signer_set.verify(PAYLOAD, ALICE.sign()).principals == {"admin"}


# ---- reading allowed_signers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("principals", "roles"),
    [
        ("admin", {"admin"}),
        ("admin,alice@example.com", {"admin", "alice@example.com"}),
        ("*", set(ROLES)),
        ("a*", {"approver", "admin"}),
        ("admi?", {"admin"}),
        ("*,!admin", set(ROLES) - {"admin"}),
        ("!admin,admin", set()),
        ("*@example.com", set()),
        ("Admin", {"Admin"}),
        ("adm.n", {"adm.n"}),
        ('"the admin,admin"', {"the admin", "admin"}),
    ],
)
def test_principals_are_names_and_the_roles_that_patterns_match(
    principals: str, roles: set[str]
) -> None:
    assert signers(f"{principals} {ALICE.line}").roles_of_key(ALICE.blob) == roles


@pytest.mark.parametrize(
    "principals",
    ["*@example.com", "a*@ex?mple.com,!al*", "alice@example.com", "[ab]*", "!*,*", "*"],
)
def test_a_name_matches_where_ssh_keygen_says_so(tmp_path: Path, principals: str) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"{principals} {ALICE.line}\n")
    (tmp_path / "sig").write_bytes(ALICE.sign())
    [line] = parse_allowed_signers(allowed.read_bytes())
    for name in ("alice@example.com", "anna@example.com", "anna@exmple.com", "admin", "[ab]c"):
        command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", name, "-n", "git"]
        command += ["-s", str(tmp_path / "sig")]
        accepted = subprocess.run(command, input=PAYLOAD, capture_output=True).returncode == 0
        assert matches(name, line.principals) == accepted, name


def test_everything_that_the_format_allows_is_read() -> None:
    signer_set = SignerSet.parse(
        f"""\
# a comment

  \t# another, indented
admin {ALICE.line}
\tapprover,bob@example.com\t \tssh-ed25519\t{BOB.line.split()[1]}\tBob Example, "laptop"\r
orchestrator NameSpaces="git,file",VALID-AFTER="20260102030405Z",valid-before="202701020304" \
{STRANGER.line} a comment
admin namespaces="!git,a\\"b" {STRANGER.line}""".encode()
    )
    alice, bob, stranger, elsewhere = signer_set.allowed
    assert (alice.principals, alice.blob, alice.namespaces) == (("admin",), ALICE.blob, None)
    assert (bob.principals, bob.blob) == (("approver", "bob@example.com"), BOB.blob)
    assert stranger.namespaces == ("git", "file")
    assert stranger.valid_after == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert stranger.valid_before == datetime(2027, 1, 2, 3, 4)  # noqa: DTZ001 - it names no zone
    assert elsewhere.namespaces == ("!git", 'a"b')
    assert signer_set.roles_of_key(STRANGER.blob) == {"orchestrator"}


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("admin", "expected"),
        ("admin ", "expected"),
        (ALICE.line, "neither"),
        (f"admin {ALICE.line[:-2]}", "base64"),
        (f"admin ssh-rsa {ALICE.line.split()[1]}", "not of the type"),
        (f"admin ssh-dss {ALICE.line.split()[1]}", "unknown option"),
        (f"admin ssh-ed25519-cert-v01@openssh.com {ALICE.line.split()[1]}", "certificates"),
        (f"admin cert-authority {ALICE.line}", "certificates"),
        (f'admin Cert-Authority,namespaces="git" {ALICE.line}', "certificates"),
        (f"admin no-touch-required {ALICE.line}", "unknown option"),
        (f"admin namespaces=git {ALICE.line}", "neither"),
        (f"admin namespaces {ALICE.line}", "one value"),
        (f'admin namespaces="git {ALICE.line}', "neither"),
        (f'admin namespaces="git\\" {ALICE.line}', "neither"),
        (f'admin namespaces="git",namespaces="git" {ALICE.line}', "one value"),
        (f'admin namespaces="" {ALICE.line}', "empty pattern"),
        (f'admin namespaces="git", {ALICE.line}', "neither"),
        (f'admin namespaces="git" valid-after="20260101" {ALICE.line}', "no key"),
        ('admin namespaces="git"', "neither"),
        (f'admin valid-after="2026" {ALICE.line}', "valid-after"),
        (f'admin valid-after="20261301" {ALICE.line}', "not a time"),
        (f'admin valid-before="202601012500" {ALICE.line}', "not a time"),
        (f'admin valid-after="20270101",valid-before="20260101" {ALICE.line}', "not later"),
        (f"admin,,approver {ALICE.line}", "empty pattern"),
        (f"admin,! {ALICE.line}", "empty pattern"),
        (f'"admin {ALICE.line}', "expected"),
        (f'ad"min" {ALICE.line}', "expected"),
        (f"admin\x00 {ALICE.line}", "control character"),
        (f"admin {ALICE.line} a\x1bcomment", "control character"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(line: str, cause: str) -> None:
    good = f"# comment\nadmin {ALICE.line}\n"
    assert len(SignerSet.parse(good.encode()).allowed) == 1
    with pytest.raises(ConfigurationError, match="line 3 of 'allowed_signers'") as caught:
        SignerSet.parse(f"{good}{line}\nadmin {BOB.line}\n".encode())
    assert caught.value.cause is not None
    assert cause in caught.value.cause


def test_a_pattern_is_matched_in_a_few_steps() -> None:
    """A regular expression would go back over every star, for ever."""
    name, hostile = "a" * 200, "*a" * 100 + "*b"
    assert not matches(name, (hostile,))
    assert matches(name, ("*a" * 100,))
    assert not matches(name, ("?" * 199,))
    assert matches(name, ("?*" * 100,))
    assert matches("orchestrator", ("*o*r*",))
    found = signers(f"{name},{hostile},orchestrator,admin {ALICE.line}")
    assert found.roles_of_key(ALICE.blob) == {name, "orchestrator", "admin"}
    assert signers(f'admin namespaces="{hostile},git" {ALICE.line}').verify(PAYLOAD, ALICE.sign())


@given(st.text("ab", max_size=8), st.text("ab*?", max_size=8))
def test_a_pattern_matches_where_an_expression_would(name: str, pattern: str) -> None:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert matches(name, (pattern,)) == (re.fullmatch(expression, name) is not None)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f"{'a,' * 20}admin {ALICE.line}", id="21 principals"),
        pytest.param(f"{'a' * 257} {ALICE.line}", id="a long principal"),
        pytest.param(f'admin namespaces="{"git," * 21}x" {ALICE.line}', id="22 namespaces"),
        pytest.param(f'admin namespaces="{"*a" * 129}" {ALICE.line}', id="a long namespace"),
    ],
)
def test_lines_with_more_than_anybody_needs_are_refused(line: str) -> None:
    with pytest.raises(ConfigurationError, match="line 1"):
        signers(line)


def test_a_hundred_thousand_lines_are_not_read() -> None:
    content = f"admin {ALICE.line}\n".encode() * 100_000
    with pytest.raises(ConfigurationError) as caught:
        SignerSet.parse(content)
    assert "131,072 are read at most" in str(caught.value.cause)
    with pytest.raises(ConfigurationError, match="line 1"):
        SignerSet.parse(b"", b"- a\n" * 100_000)


def test_a_line_that_is_not_utf8_is_named() -> None:
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        SignerSet.parse(f"admin {ALICE.line}\n".encode() + b"\xff\n")
    assert caught.value.cause == "not UTF-8"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nobody yet\n"])
def test_a_file_that_names_nobody_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="no signer"):
        SignerSet.parse(content)
    with pytest.raises(ConfigurationError, match="no signer"):
        SignerSet.parse(content, b"[]\n")


def test_a_written_line_is_read_back_and_is_for_git_and_a_persons_decisions() -> None:
    line = allowed_signers_line(["admin", "alice@example.com"], ALICE.line + " her laptop")
    (signer,) = signers(line).allowed
    assert signer.principals == ("admin", "alice@example.com")
    assert signer.blob == ALICE.blob
    assert signer.namespaces == ("git", "git-esaa-decision")
    (machine,) = signers(allowed_signers_line(["orchestrator"], ALICE.line)).allowed
    assert machine.namespaces == ("git",)
    assert signers(line).verify(PAYLOAD, ALICE.sign()).principals == set(signer.principals)


@pytest.mark.parametrize(
    "name", ["", "a b", "a,b", "*", "admi?", "!admin", "#admin", 'a"b', "a\nb"]
)
def test_a_principal_that_would_mean_something_else_is_not_written(name: str) -> None:
    with pytest.raises(ConfigurationError, match="principal"):
        allowed_signers_line(["admin", name], ALICE.line)


def test_a_line_needs_a_principal_and_a_key() -> None:
    with pytest.raises(ConfigurationError, match="principal"):
        allowed_signers_line([], ALICE.line)
    with pytest.raises(ConfigurationError, match="public key"):
        allowed_signers_line(["admin"], "ssh-ed25519 AAAA")


WORDS = ["admin", "namespaces", "git", "valid-after", "20260101", "cert-authority", "ssh-ed25519"]
WORDS += ["principals", "fingerprint", "public_key", "- ", ": ", "&a", "*a", ALICE.line, "0" * 40]
fragments = st.one_of(st.sampled_from(WORDS), st.sampled_from(' ,!*"=\\#\n\t[]{}Z\x00\udcff'))


@given(st.one_of(st.binary(max_size=200), st.lists(fragments, max_size=12).map("".join)))
def test_any_bytes_give_signers_or_the_documented_error(content: bytes | str) -> None:
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    for allowed, openpgp in ((data, None), (f"admin {ALICE.line}".encode(), data)):
        try:
            signer_set = SignerSet.parse(allowed, openpgp)
        except ConfigurationError:
            continue
        assert signer_set.allowed


@given(st.binary(max_size=300))
def test_any_bytes_for_a_signature_are_refused(data: bytes) -> None:
    signer_set = signers(f"admin {ALICE.line}")
    framed = b"-----BEGIN PGP SIGNATURE-----\n" + data + b"-----END PGP SIGNATURE-----\n"
    for armored in (data, sshsig.armor(data), framed):
        assert refused(signer_set, armored).reason == "malformed"


# ---- OpenPGP --------------------------------------------------------------------------------


class Gpg:
    """A person's own gpg, with keys, in a home whose path is short enough for its sockets."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.alice = self.make_key("alice@example.com")
        self.bob = self.make_key("bob@example.com")

    def __call__(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    def make_key(self, name: str, expire: str = "0", *options: str) -> str:
        parameters = ("--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", expire)
        self(*options, *parameters)
        listing = self("--with-colons", "--list-secret-keys", f"={name}").decode()
        return next(row.split(":")[9] for row in listing.split("\n") if row.startswith("fpr:"))

    def export(self, key: str) -> str:
        return self("--armor", "--export", key).decode()

    def sign(self, key: str, payload: bytes = PAYLOAD, *options: str) -> bytes:
        return self(*options, "--detach-sign", "--armor", "--local-user", key, data=payload)


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    for program in ("gpg", "gpgconf", "gpg-agent"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with tempfile.TemporaryDirectory(prefix="g-", dir="/tmp") as home:
        try:
            yield Gpg(Path(home))
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def entry(fingerprint: str, public_key: str, principals: str = "[approver]") -> str:
    block = "".join(f"    {line}\n" for line in public_key.splitlines())
    return f"- principals: {principals}\n  fingerprint: {fingerprint}\n  public_key: |\n{block}"


@pytest.fixture(scope="module")
def pinned(gpg: Gpg) -> SignerSet:
    """Alice's OpenPGP key pinned as an approver, beside an SSH key."""
    yaml = entry(gpg.alice, gpg.export(gpg.alice), "[approver, alice@example.com, 'b*']")
    return SignerSet.parse(f"admin {ALICE.line}\n".encode(), yaml.encode())


def test_an_openpgp_signature_of_a_pinned_key_gives_its_principals(
    gpg: Gpg, pinned: SignerSet
) -> None:
    found = pinned.verify(PAYLOAD, gpg.sign(gpg.alice))
    assert found.principals == {"approver", "alice@example.com"}
    assert (found.fingerprint, found.key_type) == (gpg.alice, "openpgp")
    assert pinned.roles_of_fingerprint(gpg.alice) == found.principals
    assert matches("bob", pinned.openpgp[0].principals)
    assert pinned.verify(PAYLOAD, ALICE.sign()).principals == {"admin"}


def test_openpgp_refusals_have_their_reasons(gpg: Gpg, pinned: SignerSet) -> None:
    signature = gpg.sign(gpg.alice)
    assert pinned.verify(PAYLOAD, signature).fingerprint == gpg.alice
    altered_payload = refused(pinned, signature, PAYLOAD + b"!")
    assert altered_payload.reason == "bad"
    assert altered_payload.detail.startswith("not made over this payload")
    assert refused(pinned, gpg.sign(gpg.bob)).reason == "unknown-key"
    assert refused(signers(f"admin {ALICE.line}"), signature).reason == "unknown-key"
    for altered in (
        signature * 2,
        signature + b"\n",
        b"\n" + signature,
        signature + b"garbage",
        signature[:-1],
        signature.replace(b"\n", b"\r\n"),
        signature.replace(b"PGP SIGNATURE", b"PGP MESSAGE"),
        b"-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
    ):
        assert refused(pinned, altered).reason == "malformed"


def test_a_signed_message_in_the_place_of_a_signature_is_malformed(
    gpg: Gpg, pinned: SignerSet
) -> None:
    """gpg would verify the text inside, and say nothing of the payload."""
    message = gpg("--sign", "--armor", "--local-user", gpg.alice, data=b"another text")
    disguised = message.replace(b"PGP MESSAGE", b"PGP SIGNATURE")
    assert refused(pinned, disguised).reason == "malformed"


def test_two_signatures_in_one_armour_are_malformed(gpg: Gpg, pinned: SignerSet) -> None:
    both = gpg.sign(gpg.alice, PAYLOAD, "--local-user", gpg.bob)
    assert both.count(b"BEGIN") == 1
    assert refused(pinned, both).reason == "malformed"


@pytest.mark.parametrize("options", [("--textmode",), ("--digest-algo", "SHA1")])
def test_a_signature_that_leaves_room_for_another_payload_is_bad(
    gpg: Gpg, pinned: SignerSet, options: tuple[str, ...]
) -> None:
    refusal = refused(pinned, gpg.sign(gpg.alice, PAYLOAD, *options))
    assert refusal.reason == "bad"
    assert "signature class" in refusal.detail


def test_a_key_that_has_expired_counts_and_one_that_is_revoked_does_not(gpg: Gpg) -> None:
    past = ("--faked-system-time", "20200101T000000!")
    carol = gpg.make_key("carol@example.com", "1d", *past)
    signature = gpg.sign(carol, PAYLOAD, *past)
    listed = entry(carol, gpg.export(carol)).encode()
    assert SignerSet.parse(b"", listed).verify(PAYLOAD, signature).principals == {"approver"}

    certificate = (gpg.home / "openpgp-revocs.d" / f"{carol}.rev").read_text()
    gpg("--import", data=certificate.replace(":-----BEGIN", "-----BEGIN").encode())
    listed = entry(carol, gpg.export(carol)).encode()
    assert refused(SignerSet.parse(b"", listed), signature).reason == "bad"


def test_a_name_in_a_key_cannot_speak_for_gpg(gpg: Gpg) -> None:
    lines = "\u2028[GNUPG:] BADSIG x\x85[GNUPG:] KEYREVOKED"
    mallory = gpg.make_key(f"mallory{lines}")
    signer_set = SignerSet.parse(b"", entry(mallory, gpg.export(mallory)).encode())
    assert signer_set.verify(PAYLOAD, gpg.sign(mallory)).fingerprint == mallory


def test_a_public_key_that_is_not_the_pinned_one_is_refused(gpg: Gpg) -> None:
    signer_set = SignerSet.parse(b"", entry(gpg.alice, gpg.export(gpg.bob)).encode())
    with pytest.raises(ConfigurationError, match="fingerprints") as caught:
        signer_set.verify(PAYLOAD, gpg.sign(gpg.bob))
    assert caught.value.cause is not None
    assert gpg.alice in caught.value.cause


def test_the_private_home_is_closed_leaves_no_process_and_goes_with_the_set(gpg: Gpg) -> None:
    signer_set = SignerSet.parse(b"", entry(gpg.alice, gpg.export(gpg.alice)).encode())
    before = set(Path(tempfile.gettempdir()).glob("esaa-gpg-*"))
    assert signer_set.verify(PAYLOAD, gpg.sign(gpg.alice)).fingerprint == gpg.alice
    (home,) = set(Path(tempfile.gettempdir()).glob("esaa-gpg-*")) - before
    assert home.stat().st_mode & 0o777 == 0o700
    assert not list(home.glob("S.*")), "an agent's socket"
    del signer_set
    gc.collect()
    assert not home.exists()


def test_the_private_home_is_gone_after_the_program(gpg: Gpg, tmp_path: Path) -> None:
    (tmp_path / "signers").write_text(entry(gpg.alice, gpg.export(gpg.alice)))
    (tmp_path / "signature").write_bytes(gpg.sign(gpg.alice))
    program = (
        "import os, pathlib, sys\n"
        "from esaa_git.trust.signers import SignerSet\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "kept = SignerSet.parse(b'', (folder / 'signers').read_bytes())\n"
        f"kept.verify({PAYLOAD!r}, (folder / 'signature').read_bytes())\n"
        "(child := os.fork()) or sys.exit(0)\n"  # a worker that ends first takes nothing away
        "os.waitpid(child, 0)\n"
        f"kept.verify({PAYLOAD!r}, (folder / 'signature').read_bytes())\n"
        "print(len(list(folder.glob('esaa-gpg-*'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"1\n"
    assert not list(tmp_path.glob("esaa-gpg-*"))


def test_a_missing_gpg_is_said(gpg: Gpg) -> None:
    yaml = entry(gpg.alice, gpg.export(gpg.alice)).encode()
    signer_set = SignerSet.parse(b"", yaml, gpg_program="/nonexistent/gpg")
    with pytest.raises(ConfigurationError, match="'/nonexistent/gpg'"):
        signer_set.verify(PAYLOAD, gpg.sign(gpg.alice))


# The packet of an Ed25519 key, without a user id.
PACKET = b64encode(
    bytes.fromhex("9833046300000016092b06010401da470f01010740") + ALICE.blob[-32:]
).decode()
BLOCK = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{PACKET}\n-----END PGP PUBLIC KEY BLOCK-----\n"
GOOD = entry("0123456789" * 4, BLOCK)


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        ("{", 1),
        ("principals: []", 1),
        ("- admin", 1),
        (GOOD + "- [", 8),
        (GOOD + "- principals: [admin]\n", 8),
        (GOOD + entry("0" * 39, BLOCK), 8),
        (GOOD + entry("0" * 40, BLOCK, "admin"), 8),
        (GOOD + entry("0" * 40, BLOCK, "[]"), 8),
        (GOOD + entry("0" * 40, BLOCK, "[admin, [x]]"), 8),
        (GOOD + entry("0" * 40, BLOCK, "['admin,']"), 8),
        (GOOD + entry("0" * 40, BLOCK.replace("PUBLIC", "PRIVATE")), 8),
        (GOOD + entry("0" * 40, BLOCK * 2), 8),
        (GOOD + entry("0" * 40, BLOCK) + "  fingerprint: " + "1" * 40, 15),
        (GOOD + entry("0" * 40, BLOCK) + "  trust: full", 8),
    ],
)
def test_an_openpgp_entry_that_cannot_be_used_is_named(yaml: str, line: int) -> None:
    (good,) = SignerSet.parse(b"", GOOD.encode()).openpgp
    assert good.fingerprint == "0123456789" * 4
    with pytest.raises(ConfigurationError, match=f"line {line} of 'openpgp_signers.yaml'"):
        SignerSet.parse(b"", yaml.encode())
