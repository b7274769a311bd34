"""Deterministic ustar blocks of one sample, and a strict walk over a tar that accepts nothing else.

A shard holds regular files named `<key>.<field>` and no other kind of member: mtime, uid and gid 0, mode
0644, no names, the members of a sample adjacent and sorted by field, two zero blocks at the end. `tar` pads
archives further to 10 KiB records; POSIX asks only for the two blocks, every reader stops there, and so do
we.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.shards.sample import FIELD_PATTERN, check_key, foreign_field

BLOCK = 512
TRAILER = bytes(2 * BLOCK)

# Eleven octal digits; larger members would need GNU or pax extensions, which some readers lack.
MAX_MEMBER_BYTES = 8**11 - 1
MAX_NAME_BYTES = 100

_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
}
_OCTAL = re.compile(rb"[0-7]{11}\0\Z")


class Member(NamedTuple):
    """One file inside a tar; `offset` is where its data begins, one block after its header."""

    key: str
    field: str
    offset: int
    size: int


def sample_tar(key: str, fields: Mapping[str, bytes]) -> bytes:
    """ustar blocks of one sample, fields sorted, no trailer: shards are concatenations of these.

    Raises ShardError for a key or field outside the contract of `pairbridge.datagen.shards.sample`, or a
    sample without fields.
    """
    check_key(key)
    if not fields:
        raise ShardError(
            f"sample {key} has no fields",
            consequence="it would leave no trace in the shard",
            remedy="record it as a hole with a reason",
        )
    blocks = []
    for field in sorted(fields):
        data = fields[field]
        blocks += [member_header(key, field, len(data)), data, bytes(padding(len(data)))]
    return b"".join(blocks)


def padding(size: int) -> int:
    """Zero bytes between the end of a member's data and the next block border."""
    return -size % BLOCK


def member_header(key: str, field: str, size: int) -> bytes:
    """The one header that `<key>.<field>` of `size` bytes can have. A reader compares with it byte for
    byte."""
    if not FIELD_PATTERN.match(field):
        raise foreign_field(field, of=f" of sample {key}")
    name = f"{key}.{field}".encode()
    if len(name) > MAX_NAME_BYTES or size > MAX_MEMBER_BYTES:
        raise ShardError(
            f"{key}.{field} has a name of {len(name)} and a content of {size} bytes",
            consequence=f"ustar holds {MAX_NAME_BYTES} and {MAX_MEMBER_BYTES}; extensions are not universal",
            remedy="shorten the recipe's id, or store smaller fields",
        )
    header = b"".join(
        (
            name.ljust(100, b"\0"),
            b"0000644\0",  # mode
            b"0000000\0" * 2,  # uid, gid
            b"%011o\0" % size,
            b"00000000000\0",  # mtime
            b" " * 8,  # checksum, counted as spaces
            b"0",  # regular file
            bytes(100),  # link name
            b"ustar\x0000",
            bytes(32 + 32 + 8 + 8 + 155 + 12),  # owner, group, device numbers, name prefix, rest of the block
        )
    )
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def walk_tar(path: Path) -> Iterator[Member]:
    """Members of the tar at `path` in file order, refusing whatever `sample_tar` does not write.

    Raises ShardError, naming the byte offset, for: a cut anywhere, links, devices, folders, pax and GNU
    extensions, absolute, parent or otherwise path-like names, suffixes other than png, npy and json (so
    pickles), headers that differ from `member_header` in any byte, non-zero padding, a repeated member,
    scattered or unsorted members of one sample, and bytes after the trailer.
    """
    size = path.stat().st_size
    seen: set[str] = set()
    previous: tuple[str, str] | None = None
    with open(path, "rb") as stream:
        position = 0
        while True:
            header = stream.read(BLOCK)
            if header == bytes(BLOCK):
                break
            if len(header) < BLOCK:
                raise _damaged(path, position, "the tar ends without its trailer; it was cut")
            member = _parse_header(path, position, header)
            if previous and previous[0] == member.key and previous[1] >= member.field:
                raise _damaged(path, position, f"{member.key}.{member.field} is repeated or out of order")
            if (not previous or previous[0] != member.key) and member.key in seen:
                raise _damaged(path, position, f"key {member.key} appears a second time")
            seen.add(member.key)
            previous = (member.key, member.field)
            end = member.offset + member.size
            if end + padding(member.size) > size:
                raise _damaged(path, position, f"the data of {member.key}.{member.field} is cut")
            stream.seek(end)
            if any(stream.read(padding(member.size))):
                raise _damaged(path, end, f"the padding after {member.key}.{member.field} is not zero")
            yield member
            position = stream.tell()
        if stream.read() != TRAILER[BLOCK:]:
            raise _damaged(path, position, "the trailer is not exactly two zero blocks")


def read_span(path: Path, start: int, end: int) -> bytes:
    """The bytes of a file from `start` up to `end`, or to where it ends before."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return pread_exactly(fd, end - start, start)
    finally:
        os.close(fd)


def pread_exactly(fd: int, size: int, offset: int) -> bytes:
    """`size` bytes at `offset`, or fewer at the end of the file; os.pread alone may return less at any
    time."""
    chunks = []
    while size:
        chunk = os.pread(fd, size, offset)
        if not chunk:
            break
        chunks.append(chunk)
        size -= len(chunk)
        offset += len(chunk)
    return b"".join(chunks)


def _parse_header(path: Path, position: int, header: bytes) -> Member:
    kind = header[156:157]
    if kind not in (b"0", b"\0"):
        what = _KINDS.get(kind, f"a member of type {kind!r}")
        raise _damaged(path, position, f"it holds {what}; only regular files are read")
    name = header[:100].rstrip(b"\0")
    try:
        key, dot, field = name.decode("ascii").partition(".")
    except UnicodeDecodeError:
        raise _damaged(path, position, f"member name {name!r} is not ASCII") from None
    check_key(key)
    if not dot or not FIELD_PATTERN.match(field):
        raise foreign_field(field, of=f" of sample {key}")
    if not _OCTAL.match(header[124:136]):
        raise _damaged(path, position, f"the size of {key}.{field} is unreadable")
    size = int(header[124:135], 8)
    if header != member_header(key, field, size):
        raise _damaged(path, position, f"the header of {key}.{field} is not the one this project writes")
    return Member(key, field, position + BLOCK, size)


def _damaged(path: Path, position: int, why: str) -> ShardError:
    return ShardError(
        f"{path} at byte {position}: {why}",
        consequence="samples would be lost or invented without a word",
        remedy="delete the shard and its .json and run `pairbridge generate` again: only it is rebuilt",
    )
