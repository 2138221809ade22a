"""Packs that we write: git reads what was put, nothing twice, and nothing before it is complete."""

from __future__ import annotations

import random
from pathlib import Path

import pygit2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.errors import CorruptedError, RepositoryError
from esaa_git.store.deltas import TreeBases, encode_delta, encode_distance
from esaa_git.store.objects import BLOB, COMMIT, TREE, TreeEntry, encode_tree, object_id
from esaa_git.store.packwriter import ForeignPack, PackSink
from esaa_git.store.repository import Repository
from tests.conftest import Git
from tests.support.logs import make_repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repo", bare=True)


def packs(repository: Repository) -> list[Path]:
    return sorted((repository.common_dir / "objects" / "pack").glob("*.pack"))


def leftovers(repository: Repository) -> list[Path]:
    return list((repository.common_dir / "objects").glob("tmp_*"))


def tree_of(count: int, seed: int = 0) -> bytes:
    made = random.Random(seed)
    return encode_tree(
        {f"{n:04d}.json": TreeEntry("100644", made.randbytes(20).hex()) for n in range(count)}
    )


# -- deltas -----------------------------------------------------------------------------------


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """Return what the delta makes of the base, by gitformat-pack(5)."""
    at, sizes = 0, []
    for _ in range(2):
        size = shift = 0
        while True:
            byte = delta[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        sizes.append(size)
    assert sizes[0] == len(base)
    out = b""
    while at < len(delta):
        command = delta[at]
        at += 1
        if command & 0x80:
            values = []
            for bits in (range(4), range(4, 7)):
                value = 0
                for number, bit in enumerate(bits):
                    if command & 1 << bit:
                        value |= delta[at] << 8 * number
                        at += 1
                values.append(value)
            start, length = values[0], values[1] or 0x10000
            out += base[start : start + length]
        else:
            out += delta[at : at + command]
            at += command
    assert sizes[1] == len(out)
    return out


@given(st.binary(min_size=1, max_size=400), st.data())
def test_a_delta_makes_the_new_version_of_the_old(base: bytes, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(base) - 1), max_size=5))
    new = bytearray(base)
    for place in places:
        new[place : place + 20] = data.draw(st.binary(min_size=20, max_size=20))[
            : len(base) - place
        ]

    assert apply_delta(base, encode_delta(base, bytes(new[: len(base)]))) == new[: len(base)]


def test_a_delta_copies_more_than_one_command_can() -> None:
    base = random.Random(1).randbytes(200_000)
    new = base[:70_000] + b"x" * 20 + base[70_020:]

    delta = encode_delta(base, new)

    assert apply_delta(base, delta) == new
    assert len(delta) < 64


@given(st.integers(0, 2**40))
def test_a_distance_is_read_back(distance: int) -> None:
    encoded = encode_distance(distance)

    found = encoded[0] & 0x7F
    for byte in encoded[1:]:
        found = (found + 1) << 7 | byte & 0x7F
    assert found == distance
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert not encoded[-1] & 0x80


def test_a_base_shares_length_and_one_end_with_its_next_version() -> None:
    bases, tree = TreeBases(), tree_of(20)
    bases.add(tree, 12, 0)

    changed_last = tree[:-20] + b"\1" * 20
    assert bases.find(tree) is not None
    assert bases.find(changed_last) is not None
    assert bases.find(tree_of(20, seed=1)) is None
    assert bases.find(tree + tree_of(1)) is None
    assert bases.find(tree_of(2)) is None


def test_chains_of_deltas_end() -> None:
    bases, tree = TreeBases(), tree_of(20)

    bases.add(tree, 12, TreeBases.DEEPEST)

    assert bases.find(tree) is None


def test_only_the_last_trees_are_remembered() -> None:
    bases = TreeBases()
    for seed in range(TreeBases.KEPT):
        bases.add(tree_of(10, seed), 12, 0)

    assert bases.find(tree_of(10, 0)) is None
    assert bases.find(tree_of(10, TreeBases.KEPT - 1)) is not None


# -- writing ----------------------------------------------------------------------------------


def test_git_reads_what_was_put(repository: Repository, git: Git) -> None:
    contents = [(BLOB, b""), (BLOB, b"one\n"), (BLOB, random.Random(2).randbytes(300_000))]
    contents += [(TREE, tree_of(3)), (TREE, b"")]
    commit = b"tree %s\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n"
    contents.append((COMMIT, commit % object_id(TREE, tree_of(3)).encode()))

    with PackSink(repository) as sink:
        oids = [sink.put(kind, data) for kind, data in contents]
        sink.install()

    assert oids == [object_id(kind, data) for kind, data in contents]
    assert [repository.read(oid) for oid in oids] == contents
    assert len(packs(repository)) == 1
    git(repository.git_dir, "verify-pack", str(packs(repository)[0]))
    assert leftovers(repository) == []


def test_versions_of_a_tree_take_little_room_and_stay_readable(repository: Repository) -> None:
    tree = bytearray(tree_of(100))
    versions = []
    made = random.Random(3)
    for _ in range(200):
        entry = made.randrange(100)
        size = len(tree) // 100
        tree[(entry + 1) * size - 20 : (entry + 1) * size] = made.randbytes(20)
        versions.append(bytes(tree))

    with PackSink(repository) as sink:
        oids = [sink.put(TREE, version) for version in versions]
        sink.install()

    assert [repository.read(oid) for oid in oids] == [(TREE, version) for version in versions]
    assert packs(repository)[0].stat().st_size < 200 * len(tree) // 5


def test_an_object_is_put_into_the_pack_once(repository: Repository) -> None:
    with PackSink(repository) as sink:
        assert sink.put(BLOB, b"same") == sink.put(BLOB, b"same")
        sink.install()
        assert sink.objects == 1


def test_what_the_repository_has_is_not_put_again(repository: Repository) -> None:
    loose = repository.put(BLOB, b"loose")
    with PackSink(repository) as sink:
        assert sink.put(BLOB, b"loose") == loose
        sink.install()
        assert sink.objects == 0
    assert packs(repository) == []


def test_what_an_earlier_pack_has_is_not_put_again(repository: Repository) -> None:
    with PackSink(repository, most_objects=2) as sink:
        for number in (1, 2, 3, 1, 2, 3):
            sink.put(BLOB, b"%d" % number)
        sink.install()
        assert sink.objects == 3
    assert len(packs(repository)) == 2


def test_a_pack_ends_at_its_largest_size(repository: Repository) -> None:
    made = random.Random(4)
    with PackSink(repository, most_bytes=100_000) as sink:
        for _ in range(10):
            sink.put(BLOB, made.randbytes(60_000))
        sink.install()
    assert len(packs(repository)) == 5
    assert all(pack.stat().st_size < 200_000 for pack in packs(repository))


def test_a_closed_pack_can_be_read_before_it_is_installed(repository: Repository) -> None:
    with PackSink(repository, most_objects=1) as sink:
        oid = sink.put(BLOB, b"early")
        assert sink.read(oid) == (BLOB, b"early")
        with pytest.raises(KeyError):
            repository.read(oid)


def test_without_install_nothing_is_left(repository: Repository) -> None:
    before = sorted((repository.common_dir / "objects").rglob("*"))

    with PackSink(repository, most_objects=1) as sink:
        sink.put(BLOB, b"one")
        sink.put(BLOB, b"two")
        assert leftovers(repository)

    assert sorted((repository.common_dir / "objects").rglob("*")) == before


def test_a_sink_is_used_inside_its_block(repository: Repository) -> None:
    with pytest.raises(ValueError, match="inside its 'with' statement"):
        PackSink(repository).put(BLOB, b"x")


def test_the_pack_of_a_linked_worktree_lands_in_the_shared_repository(
    repo: Path, tmp_path: Path, git: Git
) -> None:
    git(repo, "worktree", "add", "-q", str(tmp_path / "linked"))
    linked = make_repository(tmp_path / "linked")

    with PackSink(linked) as sink:
        oid = sink.put(BLOB, b"shared")
        sink.install()

    assert git(repo, "cat-file", "-p", oid) == "shared"


# -- packs from elsewhere ---------------------------------------------------------------------


def a_pack(repository: Repository, *contents: bytes) -> Path:
    with PackSink(repository) as sink:
        for content in contents:
            sink.put(BLOB, content)
        sink.put(TREE, tree_of(1))
        sink.install()
    return packs(repository)[0]


def test_a_foreign_pack_is_read_and_belongs_to_nobody(
    tmp_path: Path, repository: Repository
) -> None:
    pack = a_pack(make_repository(tmp_path / "other", bare=True), b"one", b"two")

    with ForeignPack(repository, pack) as foreign:
        assert dict(foreign.blobs()) == {
            object_id(BLOB, content): content for content in (b"one", b"two")
        }
        assert foreign.read(object_id(BLOB, b"one")) == (BLOB, b"one")
        with pytest.raises(KeyError):
            foreign.read("0" * 40)

    assert object_id(BLOB, b"one") not in repository.odb
    assert leftovers(repository) == []


@pytest.mark.parametrize("at", [0, 30, -1])
def test_a_damaged_pack_is_refused(tmp_path: Path, repository: Repository, at: int) -> None:
    data = bytearray(a_pack(make_repository(tmp_path / "other", bare=True), b"one").read_bytes())
    data[at] ^= 0x55
    damaged = tmp_path / "damaged.pack"
    damaged.write_bytes(data)

    with pytest.raises(CorruptedError, match="is not a pack"), ForeignPack(repository, damaged):
        pass
    assert leftovers(repository) == []


def test_a_pack_that_is_not_there_is_named(tmp_path: Path, repository: Repository) -> None:
    with (
        pytest.raises(RepositoryError, match="cannot read the objects in"),
        ForeignPack(repository, tmp_path / "none.pack"),
    ):
        pass
    assert leftovers(repository) == []


def test_the_filter_of_known_ids_starts_with_the_repositorys_own(repository: Repository) -> None:
    known = pygit2.Repository(str(repository.git_dir)).revparse_single("main").id

    with PackSink(repository) as sink:
        kind, data = repository.read(str(known))
        assert sink.put(kind, data) == str(known)
        sink.install()
        assert sink.objects == 0
