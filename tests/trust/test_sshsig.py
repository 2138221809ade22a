"""The SSHSIG format, against ssh-keygen: it reads what we write, we read what it writes."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.trust import sshsig
from esaa_git.trust.oneform import CURVES, low_s
from esaa_git.trust.sshsig import BadSignature, MalformedSignature, SshSignature, WrongNamespace
from esaa_git.trust.wire import WireReader, encode_mpint, encode_string

PAYLOAD = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nclaim T-1000\n"
KEY_TYPES = {
    "ed25519": ["-t", "ed25519"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "ecdsa-256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa-521": ["-t", "ecdsa", "-b", "521"],
}
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ED25519_BLOB = encode_string(b"ssh-ed25519") + encode_string(
    ED25519.public_key().public_bytes_raw()
)
P256 = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key of every type, written by ssh-keygen."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    folder = tmp_path_factory.mktemp("keys")
    for name, options in KEY_TYPES.items():
        command = ["ssh-keygen", "-q", "-N", "", "-C", "", *options, "-f", str(folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return folder


def ssh_keygen_sign(key: Path, payload: bytes, namespace: str = "git") -> bytes:
    """A signature by ssh-keygen, with the smaller s, of which it makes half."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace]
    armored = subprocess.run(command, input=payload, capture_output=True, check=True).stdout
    signature = sshsig.decode(armored)
    return sshsig.encode(signature._replace(signature=sshsig.normalised(signature.signature)))


def ssh_keygen_accepts(folder: Path, public_key: str, payload: bytes, armored: bytes) -> bool:
    (folder / "allowed").write_text(f"somebody {public_key}\n")
    (folder / "sig").write_bytes(armored)
    command = ["ssh-keygen", "-q", "-Y", "verify", "-f", str(folder / "allowed"), "-I", "somebody"]
    command += ["-n", "git", "-s", str(folder / "sig")]
    return subprocess.run(command, input=payload, capture_output=True).returncode == 0


def sign(payload: bytes = PAYLOAD, **changes: object) -> bytes:
    """An Ed25519 signature as it should be, or with some of its fields replaced."""
    inner = encode_string(b"ssh-ed25519") + encode_string(ED25519.sign(sshsig.signed_data(payload)))
    signature = SshSignature(ED25519_BLOB, "git", "sha512", inner)
    return sshsig.encode(signature._replace(**changes))  # type: ignore[arg-type]


# ---- the real tool --------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEY_TYPES)
def test_a_signature_of_ssh_keygen_verifies_and_gives_its_key(keys: Path, name: str) -> None:
    armored = ssh_keygen_sign(keys / name, PAYLOAD)
    blob = sshsig.decode_public_key((keys / f"{name}.pub").read_text())
    assert sshsig.verify(PAYLOAD, armored) == blob
    assert sshsig.decode(armored).public_key == blob
    assert sshsig.encode(sshsig.decode(armored)) == armored


@pytest.mark.parametrize("name", KEY_TYPES)
def test_a_signature_of_ssh_keygen_over_another_payload_is_bad(keys: Path, name: str) -> None:
    armored = ssh_keygen_sign(keys / name, PAYLOAD)
    with pytest.raises(BadSignature):
        sshsig.verify(PAYLOAD + b"\n", armored)


@pytest.mark.parametrize("name", KEY_TYPES)
def test_fingerprint_and_public_key_are_those_that_ssh_keygen_prints(keys: Path, name: str) -> None:
    line = (keys / f"{name}.pub").read_text()
    blob = sshsig.decode_public_key(line)
    assert sshsig.encode_public_key(blob) == line.strip()
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-f", keys / name], capture_output=True, check=True
    ).stdout.decode()
    assert sshsig.fingerprint(blob) == printed.split()[1]


def test_a_signature_for_another_namespace_is_refused(keys: Path) -> None:
    armored = ssh_keygen_sign(keys / "ed25519", PAYLOAD, namespace="file")
    assert sshsig.verify(PAYLOAD, armored, namespace="file")
    with pytest.raises(WrongNamespace):
        sshsig.verify(PAYLOAD, armored)


def test_our_armour_is_accepted_by_ssh_keygen(keys: Path, tmp_path: Path) -> None:
    public_key = sshsig.encode_public_key(ED25519_BLOB)
    assert ssh_keygen_accepts(tmp_path, public_key, PAYLOAD, sign())
    assert not ssh_keygen_accepts(tmp_path, public_key, PAYLOAD + b"!", sign())


# ---- RSA and security keys ------------------------------------------------------------------


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def rsa_blob(key: rsa.RSAPublicKey) -> bytes:
    numbers = key.public_numbers()
    return encode_string(b"ssh-rsa") + encode_mpint(numbers.e) + encode_mpint(numbers.n)


@pytest.mark.parametrize(
    ("algorithm", "digest"), [(b"rsa-sha2-256", SHA256()), (b"rsa-sha2-512", SHA512())]
)
def test_rsa_verifies_with_sha2(
    rsa_key: rsa.RSAPrivateKey, algorithm: bytes, digest: SHA256 | SHA512
) -> None:
    raw = rsa_key.sign(sshsig.signed_data(PAYLOAD), PKCS1v15(), digest)
    blob = rsa_blob(rsa_key.public_key())
    armored = sign(public_key=blob, signature=encode_string(algorithm) + encode_string(raw))
    assert sshsig.verify(PAYLOAD, armored) == blob


def test_rsa_with_sha1_is_refused_though_the_signature_is_right(rsa_key: rsa.RSAPrivateKey) -> None:
    raw = rsa_key.sign(sshsig.signed_data(PAYLOAD), PKCS1v15(), SHA1())
    inner = encode_string(b"ssh-rsa") + encode_string(raw)
    with pytest.raises(MalformedSignature, match="algorithm"):
        sshsig.verify(PAYLOAD, sign(public_key=rsa_blob(rsa_key.public_key()), signature=inner))


@pytest.mark.parametrize(
    ("exponent", "bits", "reason"),
    [
        (65537, 2047, "2047 bits"),
        (65537, 16385, "16385 bits"),
        ((1 << 64) + 1, 2048, "exponent"),
        (4, 2048, "exponent 4 is not odd"),
        (1, 2048, "exponent 1 is not odd and at least 65537"),
        (3, 2048, "exponent 3 "),
    ],
)
def test_an_rsa_key_that_is_too_weak_or_too_costly_is_refused(
    exponent: int, bits: int, reason: str
) -> None:
    modulus = (1 << bits - 1) + 1
    blob = encode_string(b"ssh-rsa") + encode_mpint(exponent) + encode_mpint(modulus)
    inner = encode_string(b"rsa-sha2-512") + encode_string(bytes(256))
    with pytest.raises(MalformedSignature, match=reason):
        sshsig.verify(PAYLOAD, sign(public_key=blob, signature=inner))


def security_key_signature(
    kind: str, *, flags: int = 1, counter: int = 7, claimed_counter: int | None = None
) -> tuple[bytes, bytes]:
    """What a FIDO authenticator returns for `PAYLOAD` (PROTOCOL.u2f), and its public key."""
    application = b"ssh:"
    tail = bytes([flags]) + counter.to_bytes(4, "big")
    data = sha256(application).digest() + tail + sha256(sshsig.signed_data(PAYLOAD)).digest()
    if kind == "ed25519":
        name = b"sk-ssh-ed25519@openssh.com"
        fields = [ED25519.public_key().public_bytes_raw()]
        raw = ED25519.sign(data)
    else:
        name = b"sk-ecdsa-sha2-nistp256@openssh.com"
        fields = [b"nistp256", point(P256)]
        r, s = decode_dss_signature(P256.sign(data, ec.ECDSA(SHA256())))
        raw = encode_mpint(r) + encode_mpint(low_s(CURVES["nistp256"], s))
    blob = b"".join(map(encode_string, [name, *fields, application]))
    if claimed_counter is not None:
        tail = bytes([flags]) + claimed_counter.to_bytes(4, "big")
    return blob, sign(public_key=blob, signature=encode_string(name) + encode_string(raw) + tail)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_security_key_verifies_here_and_in_ssh_keygen(
    keys: Path, tmp_path: Path, kind: str
) -> None:
    blob, armored = security_key_signature(kind)
    assert sshsig.verify(PAYLOAD, armored) == blob
    assert ssh_keygen_accepts(tmp_path, sshsig.encode_public_key(blob), PAYLOAD, armored)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_security_key_signs_its_counter_and_must_have_been_touched(kind: str) -> None:
    with pytest.raises(BadSignature, match="payload"):
        sshsig.verify(PAYLOAD, security_key_signature(kind, claimed_counter=8)[1])
    with pytest.raises(BadSignature, match="touch"):
        sshsig.verify(PAYLOAD, security_key_signature(kind, flags=0)[1])


# ---- strictness -----------------------------------------------------------------------------

VALID = sign()
BLOB = sshsig.dearmor(VALID)
BODY = b64encode(BLOB)


@pytest.mark.parametrize(
    "armored",
    [
        pytest.param(b"", id="empty"),
        pytest.param(VALID[:-1], id="no last LF"),
        pytest.param(VALID + b"\n", id="extra LF"),
        pytest.param(VALID + b"garbage", id="trailing garbage"),
        pytest.param(VALID + VALID, id="twice"),
        pytest.param(b"\n" + VALID, id="leading LF"),
        pytest.param(b" " + VALID, id="leading space"),
        pytest.param(VALID.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(VALID.replace(b"\n", b" \n", 2), id="trailing spaces"),
        pytest.param(VALID.replace(b"SIGNATURE", b"signature"), id="lower case"),
        pytest.param(VALID.replace(BODY[-4:], BODY[-4:] + b"===="), id="padding added"),
        pytest.param(VALID.replace(BODY[:5], b"*" + BODY[:5]), id="stray character"),
        pytest.param(VALID.replace(b"-----END", b"\n-----END"), id="empty line"),
        pytest.param(
            b"-----BEGIN SSH SIGNATURE-----\n" + BODY + b"\n-----END SSH SIGNATURE-----\n",
            id="one long line",
        ),
        pytest.param(
            b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n", id="empty blob"
        ),
        pytest.param(b"-----BEGIN SSH SIGNATURE-----\n", id="header alone"),
    ],
)
def test_an_armour_in_any_other_spelling_is_malformed(armored: bytes) -> None:
    assert sshsig.verify(PAYLOAD, VALID) == ED25519_BLOB
    with pytest.raises(MalformedSignature):
        sshsig.verify(PAYLOAD, armored)
    with pytest.raises(MalformedSignature):
        sshsig.decode(armored)


def test_a_signature_larger_than_any_key_makes_is_malformed() -> None:
    assert len(sign(signature=bytes(5800))) < sshsig.ARMOR_MAXIMUM_BYTES
    with pytest.raises(MalformedSignature, match="longer"):
        sshsig.decode(sign(signature=bytes(6000)))


def test_base64_with_stray_bits_in_its_last_character_is_malformed() -> None:
    armored = sshsig.armor(bytes(170))
    assert sshsig.dearmor(armored) == bytes(170)
    stray = armored.replace(b"A=\n", b"B=\n")
    assert stray != armored
    with pytest.raises(MalformedSignature, match="ssh-keygen"):
        sshsig.dearmor(stray)


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(BLOB.replace(b"SSHSIG", b"SSHSIH"), id="magic"),
        pytest.param(BLOB.replace(b"\x00\x00\x00\x01", b"\x00\x00\x00\x00", 1), id="version 0"),
        pytest.param(BLOB.replace(b"\x00\x00\x00\x01", b"\x00\x00\x00\x02", 1), id="version 2"),
        pytest.param(BLOB + b"\x00", id="left over"),
        pytest.param(BLOB[:10] + b"\xff\xff\xff\xff" + BLOB[14:], id="huge length"),
        pytest.param(
            BLOB.replace(encode_string(b"git") + encode_string(b""), encode_string(b"git") * 2),
            id="reserved",
        ),
        pytest.param(BLOB.replace(encode_string(b"git"), encode_string(b"")), id="empty namespace"),
        pytest.param(
            BLOB.replace(encode_string(b"git"), encode_string(b"g\x00t")), id="NUL in namespace"
        ),
        pytest.param(
            BLOB.replace(encode_string(b"git"), encode_string(b"g\xefit")), id="namespace not ASCII"
        ),
        pytest.param(BLOB.replace(b"sha512", b"sha384"), id="hash"),
    ],
)
def test_a_blob_that_breaks_the_format_is_malformed(blob: bytes) -> None:
    assert blob != BLOB
    with pytest.raises(MalformedSignature):
        sshsig.verify(PAYLOAD, sshsig.armor(blob))


def test_a_blob_cut_short_anywhere_is_malformed() -> None:
    for size in range(len(BLOB)):
        with pytest.raises(MalformedSignature):
            sshsig.verify(PAYLOAD, sshsig.armor(BLOB[:size]))


def ecdsa_blob(name: bytes, curve: bytes, encoded_point: bytes) -> bytes:
    return b"".join(map(encode_string, [name, curve, encoded_point]))


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(b"", id="empty"),
        pytest.param(encode_string(b"ssh-dss") + encode_string(bytes(32)), id="DSA"),
        pytest.param(
            encode_string(b"ssh-ed25519-cert-v01@openssh.com") + ED25519_BLOB[15:], id="certificate"
        ),
        pytest.param(
            encode_string(b"ssh-ed25519") + encode_string(bytes(31)), id="Ed25519 too short"
        ),
        pytest.param(ED25519_BLOB + b"\x00", id="left over"),
        pytest.param(
            encode_string(b"sk-ssh-ed25519@openssh.com") + ED25519_BLOB[15:], id="no application"
        ),
        pytest.param(
            encode_string(b"ssh-rsa") + encode_string(b"\x03") + encode_string(bytes(300)),
            id="padded modulus",
        ),
        pytest.param(
            encode_string(b"ssh-rsa") + encode_string(b"\x83") + encode_mpint((1 << 2047) + 1),
            id="negative exponent",
        ),
        pytest.param(
            encode_string(b"ssh-rsa") + encode_string(b"\x00\x03") + encode_mpint((1 << 2047) + 1),
            id="padded exponent",
        ),
        pytest.param(
            ecdsa_blob(b"ecdsa-sha2-nistp256", b"nistp384", point(P256)), id="other curve"
        ),
        pytest.param(
            ecdsa_blob(b"ecdsa-sha2-nistp256", b"nistp256", point(P256)[:-1] + b"\x00"),
            id="off the curve",
        ),
        pytest.param(
            ecdsa_blob(
                b"ecdsa-sha2-nistp256",
                b"nistp256",
                P256.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
            ),
            id="compressed",
        ),
    ],
)
def test_a_key_that_we_cannot_or_will_not_read_is_malformed(blob: bytes) -> None:
    with pytest.raises(MalformedSignature):
        sshsig.verify(PAYLOAD, sign(public_key=blob))
    named = WireReader(blob).text() if blob else "ssh-ed25519"
    with pytest.raises(MalformedSignature):
        sshsig.decode_public_key(f"{named} {b64encode(blob).decode()}")


RAW = ED25519.sign(sshsig.signed_data(PAYLOAD))


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(b"", id="empty"),
        pytest.param(encode_string(b"ssh-ed25519"), id="algorithm alone"),
        pytest.param(encode_string(b"ssh-ed25519") + encode_string(RAW) + b"\x00", id="left over"),
        pytest.param(encode_string(b"ssh-ed448") + encode_string(RAW), id="other algorithm"),
        pytest.param(
            encode_string(b"ssh-ed25519") + encode_string(RAW) + b"\x01\x00\x00\x00\x07",
            id="security key's",
        ),
    ],
)
def test_an_inner_signature_that_breaks_the_format_is_malformed(inner: bytes) -> None:
    with pytest.raises(MalformedSignature):
        sshsig.verify(PAYLOAD, sign(signature=inner))


@pytest.mark.parametrize("raw", [bytes(64), bytes([RAW[0] ^ 1]) + RAW[1:]])
def test_an_inner_signature_of_other_bytes_is_bad(raw: bytes) -> None:
    with pytest.raises(BadSignature):
        sshsig.verify(PAYLOAD, sign(signature=encode_string(b"ssh-ed25519") + encode_string(raw)))


def test_an_ecdsa_signature_has_one_spelling() -> None:
    name = b"ecdsa-sha2-nistp256"
    blob = ecdsa_blob(name, b"nistp256", point(P256))
    r, s = decode_dss_signature(P256.sign(sshsig.signed_data(PAYLOAD), ec.ECDSA(SHA256())))

    def armored(numbers: bytes) -> bytes:
        inner = encode_string(name) + encode_string(numbers)
        return sign(public_key=blob, signature=inner)

    s = low_s(CURVES["nistp256"], s)
    assert sshsig.verify(PAYLOAD, armored(encode_mpint(r) + encode_mpint(s))) == blob
    padded = encode_string(b"\x00" + r.to_bytes(33, "big"))
    for numbers in (padded + encode_mpint(s), encode_mpint(r) + encode_mpint(s) + b"\x00"):
        with pytest.raises(MalformedSignature):
            sshsig.verify(PAYLOAD, armored(numbers))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 *",
        f"ssh-rsa {b64encode(ED25519_BLOB).decode()}",
        f"ssh-ed25519 {b64encode(ED25519_BLOB).decode()}=",
        f"ssh-ed25519 {b64encode(ED25519_BLOB).decode()[:-4]}",
        "ssh-ed25519 ÄÖÜ",
    ],
)
def test_a_public_key_line_is_read_strictly(line: str) -> None:
    assert sshsig.decode_public_key(sshsig.encode_public_key(ED25519_BLOB) + " a comment")
    with pytest.raises(MalformedSignature):
        sshsig.decode_public_key(line)


# ---- laws -----------------------------------------------------------------------------------

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(st.binary(min_size=1, max_size=1500))
def test_armour_is_undone_by_dearmour(blob: bytes) -> None:
    armored = sshsig.armor(blob)
    assert sshsig.dearmor(armored) == blob
    first, *body, last, end = armored.split(b"\n")
    assert (first, last, end) == (
        b"-----BEGIN SSH SIGNATURE-----",
        b"-----END SSH SIGNATURE-----",
        b"",
    )
    assert all(len(line) == 70 for line in body[:-1])
    assert 0 < len(body[-1]) <= 70


@given(
    st.builds(SshSignature, st.binary(), names, st.sampled_from(["sha256", "sha512"]), st.binary())
)
def test_encode_is_undone_by_decode(signature: SshSignature) -> None:
    assert sshsig.decode_blob(sshsig.encode_blob(signature)) == signature
    assert sshsig.decode(sshsig.encode(signature)) == signature


@given(st.integers(min_value=1, max_value=1 << 300))
def test_a_positive_mpint_is_read_back(value: int) -> None:
    reader = WireReader(encode_mpint(value))
    assert reader.mpint() == value
    reader.end()


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x80", b"\xff\x01", b"\x00\x01"])
def test_an_mpint_that_is_zero_negative_or_padded_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedSignature):
        WireReader(encode_string(content)).mpint()


def outcome(reads: Callable[[], object]) -> str:
    try:
        reads()
    except (MalformedSignature, BadSignature) as error:
        return type(error).__name__
    return "accepted"


@given(st.binary(max_size=400))
def test_any_bytes_give_a_value_or_the_documented_error(data: bytes) -> None:
    assert outcome(lambda: sshsig.verify(PAYLOAD, data)) == "MalformedSignature"
    assert outcome(lambda: sshsig.verify(PAYLOAD, sshsig.armor(data))) == "MalformedSignature"
    inner = sign(signature=data)
    assert outcome(lambda: sshsig.verify(PAYLOAD, inner)) in {"MalformedSignature", "BadSignature"}
    for name in sshsig.KEY_TYPES:
        keyed = sign(public_key=encode_string(name.encode()) + data)
        assert outcome(partial(sshsig.verify, PAYLOAD, keyed)) != "accepted"
    outcome(lambda: sshsig.decode_public_key(data.decode("latin-1")))


@pytest.mark.parametrize("kind", ["plain", "ed25519", "ecdsa"])
def test_no_bit_of_a_signature_can_be_flipped(kind: str) -> None:
    armored = VALID if kind == "plain" else security_key_signature(kind)[1]
    assert outcome(lambda: sshsig.verify(PAYLOAD, armored)) == "accepted"
    blob = sshsig.dearmor(armored)
    for bit in range(len(blob) * 8):
        flipped = (int.from_bytes(blob, "big") ^ 1 << bit).to_bytes(len(blob), "big")
        altered = sshsig.armor(flipped)
        assert outcome(partial(sshsig.verify, PAYLOAD, altered)) != "accepted", f"bit {bit}"
