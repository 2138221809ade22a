"""Checkpoints as bytes: one spelling each, and signatures that OpenSSH confirms."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.core import canonical
from esaa_git.errors import CorruptedError, KeyUnavailable, MismatchError
from esaa_git.trust import sshsig
from esaa_git.trust.keys import create_key, load_signer
from esaa_git.trust.signer import KeySpec, Signer
from esaa_git.verification.checkpoint import (
    FILE,
    MAX_SIGNATURES,
    NAMESPACE,
    Checkpoint,
    MalformedCheckpoint,
    decode,
    encode,
    publish,
    read_ref,
    sign,
    signed_by,
)
from tests.conftest import Git
from tests.support.logs import make_repository, write_key

REF = "refs/esaa/checkpoints/42"
PLAIN = Checkpoint("0" * 32, 42, "a" * 40, "b" * 64, "c" * 64, "2026-01-01T09:00:00.000Z")


def key(folder: Path, name: str) -> Signer:
    create_key(folder / name, comment=name)
    return load_signer(KeySpec("ssh", str(folder / name)))


def fixed_key(folder: Path) -> Signer:
    write_key(folder / "key")
    return load_signer(KeySpec("ssh", str(folder / "key")))


def test_the_document_is_these_bytes(tmp_path: Path) -> None:
    signed = sign(PLAIN, fixed_key(tmp_path))
    one = signed.signatures[0]
    assert signed.payload == (
        b'{"event_sha256":"' + b"b" * 64 + b'","log_id":"' + b"0" * 32 + b'",'
        b'"projection_hash_sha256":"' + b"c" * 64 + b'","schema":"git-esaa/checkpoint/1",'
        b'"seq":42,"tip":"' + b"a" * 40 + b'","ts":"2026-01-01T09:00:00.000Z"}\n'
    )
    assert encode(signed) == canonical.encode(
        {
            "checkpoint": json.loads(signed.payload),
            "signatures": [{"public_key": one.public_key, "signature": one.signature}],
        }
    )
    # Ed25519 gives the same signature each time, so the same event gives the same document.
    assert sign(PLAIN, fixed_key(tmp_path)) == signed


def test_what_is_encoded_is_decoded_again(tmp_path: Path) -> None:
    checkpoint = PLAIN
    for name in ("one", "two", "three"):
        checkpoint = sign(checkpoint, key(tmp_path, name))
        assert decode(encode(checkpoint)) == checkpoint
        assert len(signed_by(checkpoint)) == len(checkpoint.signatures)
    assert len({one.public_key for one in checkpoint.signatures}) == 3
    again = sign(checkpoint, load_signer(KeySpec("ssh", str(tmp_path / "two"))))
    assert again == checkpoint


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_openssh_confirms_a_signature(tmp_path: Path) -> None:
    signed = sign(PLAIN, key(tmp_path, "one"))
    one = signed.signatures[0]
    (tmp_path / "signers").write_text(f"one@example.com {one.public_key}\n")
    (tmp_path / "sig").write_text(one.signature)
    command = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-n", NAMESPACE]
    command += ["-I", "one@example.com", "-s", str(tmp_path / "sig")]
    for data, status in ((signed.payload, 0), (signed.payload + b"\n", 255)):
        assert subprocess.run(command, input=data, capture_output=True).returncode == status


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_a_signature_that_openssh_made_is_taken(tmp_path: Path) -> None:
    signer = key(tmp_path, "one")
    command = ["ssh-keygen", "-Y", "sign", "-f", str(tmp_path / "one"), "-n", NAMESPACE]
    made = subprocess.run(command, input=PLAIN.payload, capture_output=True, check=True)
    document = {
        "checkpoint": PLAIN.fields,
        "signatures": [
            {"public_key": signer.public_key_line, "signature": made.stdout.decode()},
        ],
    }
    assert signed_by(decode(canonical.encode(document))) == (signer.blob,)


def test_every_field_is_under_the_signature(tmp_path: Path) -> None:
    signed = sign(PLAIN, fixed_key(tmp_path))
    for name, other in {
        "log_id": "1" * 32,
        "seq": 43,
        "tip": "d" * 40,
        "event_sha256": "d" * 64,
        "projection_hash_sha256": "d" * 64,
        "ts": "2026-01-01T09:00:00.001Z",
    }.items():
        with pytest.raises(sshsig.BadSignature, match="SHA256:"):
            signed_by(replace(signed, **{name: other}))


def test_a_signature_for_commits_is_none_for_a_checkpoint(tmp_path: Path) -> None:
    signer = fixed_key(tmp_path)
    signed = sign(PLAIN, signer)
    one = replace(signed.signatures[0], signature=signer.sign(PLAIN.payload).decode())
    with pytest.raises(sshsig.BadSignature, match="namespace"):
        signed_by(replace(signed, signatures=(one,)))


def test_a_key_without_namespaces_cannot_sign() -> None:
    class OpenPgp:
        blob = None
        public_key_line = fingerprint = "A" * 40
        key_type = "openpgp"

        def sign(self, payload: bytes) -> bytes:
            raise AssertionError

    with pytest.raises(KeyUnavailable, match="signed with an SSH key"):
        sign(PLAIN, OpenPgp())


# -- bytes from outside ------------------------------------------------------------------------


def only_a_value_or_the_one_error(data: bytes) -> None:
    try:
        found = decode(data)
    except MalformedCheckpoint:
        return
    assert encode(found) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_a_checkpoint_or_the_one_error(data: bytes) -> None:
    only_a_value_or_the_one_error(data)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.data())
def test_a_document_with_anything_in_one_place(data: st.DataObject) -> None:
    document = json.loads(encode(PLAIN))
    document["signatures"] = [{"public_key": "ssh-ed25519 AAAA", "signature": "x"}]
    places = [(document, name) for name in document]
    places += [(document["checkpoint"], name) for name in document["checkpoint"]]
    places += [(document["signatures"][0], name) for name in document["signatures"][0]]
    place, name = data.draw(st.sampled_from(places))
    place[name] = data.draw(values)
    try:
        content = canonical.encode(document)
    except canonical.NotCanonical:
        return
    only_a_value_or_the_one_error(content)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_flipped_byte_of_a_signed_one_never_passes(at: int, mask: int) -> None:
    data = bytearray(SIGNED)
    data[at % len(data)] ^= mask
    try:
        found = decode(bytes(data))
        signed_by(found)
    except (MalformedCheckpoint, sshsig.BadSignature):
        return
    raise AssertionError("a changed checkpoint passed")


def _signed() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return encode(sign(PLAIN, fixed_key(Path(folder))))


SIGNED = _signed()


@pytest.mark.parametrize(
    "data",
    [
        SIGNED.rstrip(b"\n"),
        SIGNED + b"\n",
        b" " + SIGNED,
        SIGNED.replace(b'"seq":42', b'"seq":42.0'),
        SIGNED.replace(b'"seq":42', b'"seq":true'),
        SIGNED.replace(b'"seq":42', b'"seq":0'),
        SIGNED.replace(b'"seq":42', b'"seq":"42"'),
        SIGNED.replace(b'"seq":42', b'"seq":42,"seq":42'),
        SIGNED.replace(b"checkpoint/1", b"checkpoint/2"),
        SIGNED.replace(b"2026-01-01T", b"2026-02-30T"),
        SIGNED.replace(b'"tip":"a', b'"tip":"A'),
        SIGNED.replace(b"ssh-ed25519 ", b"ssh-ed25519  "),
        SIGNED.replace(b"BEGIN SSH", b"BEGIN  SSH"),
        b"[" * 100_000,
        b'{"checkpoint":' * 20_000,
        b"0" * 2_000_000,
    ],
)
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedCheckpoint):
        decode(data)


def test_signatures_are_one_a_key_in_their_order(tmp_path: Path) -> None:
    checkpoint = sign(sign(PLAIN, key(tmp_path, "one")), key(tmp_path, "two"))
    document = json.loads(encode(checkpoint))
    first, second = document["signatures"]
    for wrong in ([second, first], [first, first], [first] * (MAX_SIGNATURES + 1)):
        with pytest.raises(MalformedCheckpoint):
            decode(canonical.encode({**document, "signatures": wrong}))
    swapped = [{**first, "signature": second["signature"]}, second]
    with pytest.raises(MalformedCheckpoint, match="another key"):
        decode(canonical.encode({**document, "signatures": swapped}))


# -- on a ref ----------------------------------------------------------------------------------


def test_a_signature_that_is_added_continues_the_ref(tmp_path: Path, git: Git) -> None:
    repository = make_repository(tmp_path / "repo")
    ref = REF
    one = sign(PLAIN, key(tmp_path, "one"))
    publish(repository, one)
    first = git(tmp_path / "repo", "rev-parse", ref)
    shown = git(tmp_path / "repo", "show", f"{ref}:{FILE}")
    assert decode(shown.encode() + b"\n") == one
    # The same again moves nothing; a second party, who has not seen the first, adds to it.
    assert publish(repository, one) == one
    assert git(tmp_path / "repo", "rev-parse", ref) == first
    whole = publish(repository, sign(PLAIN, key(tmp_path, "two")))
    assert len(signed_by(whole)) == 2
    assert read_ref(repository, ref) == whole
    git(tmp_path / "repo", "merge-base", "--is-ancestor", first, ref)
    assert git(tmp_path / "repo", "fsck", "--strict", "--no-dangling") == ""
    # So that a push of it is a fast-forward.
    git(tmp_path, "init", "--quiet", "--bare", "server.git")
    git(tmp_path / "repo", "push", "--quiet", str(tmp_path / "server.git"), f"{first}:{ref}")
    git(tmp_path / "repo", "push", "--quiet", str(tmp_path / "server.git"), f"{ref}:{ref}")


def test_another_checkpoint_of_the_same_event_is_not_put_over_it(tmp_path: Path, git: Git) -> None:
    repository = make_repository(tmp_path / "repo")
    signer = key(tmp_path, "one")
    publish(repository, sign(PLAIN, signer))
    before = git(tmp_path / "repo", "rev-parse", REF)
    with pytest.raises(MismatchError, match="another checkpoint of event 42"):
        publish(repository, sign(replace(PLAIN, tip="d" * 40), signer))
    assert git(tmp_path / "repo", "rev-parse", REF) == before
    git(tmp_path / "repo", "update-ref", REF, "refs/heads/main")
    with pytest.raises(CorruptedError, match="holds no checkpoint"):
        publish(repository, sign(PLAIN, signer))
