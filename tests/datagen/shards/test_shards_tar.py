"""Tar bytes: those of Python's own tarfile, and a walk that accepts nothing else."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.shards.tar import BLOCK, TRAILER, sample_tar, walk_tar

KEYS = st.from_regex(r"[a-z0-9_-]{1,80}\Z", fullmatch=True)
FIELDS = st.dictionaries(
    st.from_regex(r"[a-z0-9_]{1,12}\.(png|npy|json)\Z", fullmatch=True), st.binary(max_size=1600), min_size=1
)


@given(key=KEYS, fields=FIELDS)
@settings(max_examples=60, deadline=None)
def test_bytes_are_those_of_tarfile(key: str, fields: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for field in sorted(fields):
            info = tarfile.TarInfo(f"{key}.{field}")
            info.size = len(fields[field])
            tar.addfile(info, io.BytesIO(fields[field]))
    ours = sample_tar(key, fields)
    assert buffer.getvalue()[: len(ours)] == ours
    assert not any(buffer.getvalue()[len(ours) :])


def test_python_reads_a_shard_back(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(sample_tar("k", {"b.png": b"2" * 700, "a.json": b"1"}) + TRAILER)
    with tarfile.open(path) as tar:
        assert {member.name: tar.extractfile(member).read() for member in tar} == {
            "k.a.json": b"1",
            "k.b.png": b"2" * 700,
        }
    assert [(m.key, m.field, m.offset, m.size) for m in walk_tar(path)] == [
        ("k", "a.json", 512, 1),
        ("k", "b.png", 1536, 700),
    ]


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("../up", "a.png"),
        ("/etc/passwd", "a.png"),
        ("a/b", "a.png"),
        ("a.b", "a.png"),
        ("Ä", "a.png"),
        ("", "a.png"),
        ("a\n", "a.png"),
        ("a", "a.pkl"),
        ("a", "a.pyd"),
        ("a", "png"),
        ("a", "../a.png"),
        ("a", "a.png\n"),
        ("a", "x" * 99 + ".png"),
    ],
)
def test_writer_refuses_names_outside_the_contract(key: str, field: str) -> None:
    with pytest.raises(ShardError):
        sample_tar(key, {field: b""})


def _foreign(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"x", **attributes: object) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    data = content + bytes(-len(content) % BLOCK) if info.size else b""
    return info.tobuf(tarfile.PAX_FORMAT) + data


@pytest.mark.parametrize(
    ("crafted", "says"),
    [
        (_foreign("../up.a.png"), "outside"),
        (_foreign("/abs.a.png"), "outside"),
        (_foreign("dir/key.a.png"), "outside"),
        (_foreign("key.model.pyd"), "not one of"),
        (_foreign("key.model.pickle"), "not one of"),
        (_foreign("key.a.png", tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
        (_foreign("key.a.png", tarfile.LNKTYPE, linkname="other.a.png"), "hard link"),
        (_foreign("key.a.png", tarfile.CHRTYPE), "device"),
        (_foreign("key.a.png", tarfile.BLKTYPE), "device"),
        (_foreign("key.a.png", tarfile.FIFOTYPE), "pipe"),
        (_foreign("key.a.png", tarfile.DIRTYPE), "folder"),
        (_foreign("key.a.png", mtime=1), "not the one this project writes"),
        (_foreign("key.a.png", uid=1000), "not the one this project writes"),
        (_foreign("ä" * 60 + ".a.png"), "member of type"),
        (_foreign("key.a.png") * 2, "repeated"),
        (_foreign("key.b.png") + _foreign("key.a.png"), "out of order"),
        (_foreign("k1.a.png") + _foreign("k2.a.png") + _foreign("k1.b.png"), "second time"),
    ],
)
def test_walk_refuses_foreign_members(tmp_path: Path, crafted: bytes, says: str) -> None:
    path = tmp_path / "crafted.tar"
    path.write_bytes(crafted + TRAILER)
    with pytest.raises(ShardError, match=says):
        list(walk_tar(path))


def test_walk_refuses_bytes_after_the_trailer(tmp_path: Path) -> None:
    path = tmp_path / "long.tar"
    path.write_bytes(sample_tar("k", {"a.json": b"1"}) + TRAILER + sample_tar("l", {"a.json": b"1"}))
    with pytest.raises(ShardError, match="trailer"):
        list(walk_tar(path))
