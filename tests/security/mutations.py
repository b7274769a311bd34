"""Damage to valid files: what a fault of a disk does to them, and what someone would write on purpose."""

import random
import re
import struct
import zlib

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**62, 2**64 - 1)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WORDS = (
    *(b"-1", b"0", b"99999999999999999999", b"1e999", b"nan", b"-inf", b"4611686018427387904", b"0.0000001"),
    *(b"null", b"true", b"[]", b"{}", b'""', b"../../x", b"\\ud800", b"\xff\xfe", b"[" * 300, b'{"a":' * 300),
)


def mutated(data: bytes, others: tuple[bytes, ...], draw: random.Random) -> bytes:
    """`data` after one to four edits; `others` are valid files that parts are taken from."""
    edited = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        _edit(edited, others, draw)
    if edited[:4] == b"\x89PNG" and draw.random() < 0.7:
        # Without right check sums no decoder looks further.
        return _with_check_sums(bytes(edited))
    return bytes(edited)


def _edit(data: bytearray, others: tuple[bytes, ...], draw: random.Random) -> None:
    at = draw.randrange(len(data) + 1)
    size = draw.choice((1, 1, 2, 4, 16, 64, 512))
    match draw.randrange(9):
        case 0 if data:
            data[at % len(data)] ^= 1 << draw.randrange(8)
        case 1:
            data[at : at + size] = draw.randbytes(size)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + size]
        case 4:
            data[at:at] = data[at : at + size] * draw.choice((1, 1, 2, 50))
        case 5 | 6:
            width, order = draw.choice((1, 2, 4, 4, 8)), draw.choice(("little", "big"))
            value = draw.choice((*_EDGES, draw.getrandbits(8 * width))) & ((1 << 8 * width) - 1)
            data[at : at + width] = value.to_bytes(width, order)
        case 7:
            numbers = list(_NUMBER.finditer(data))
            if numbers:
                chosen = draw.choice(numbers)
                data[chosen.start() : chosen.end()] = draw.choice(_WORDS)
        case _:
            other = draw.choice(others)
            start = draw.randrange(len(other) + 1)
            data[at : at + size] = other[start : start + draw.choice((size, 8 * size))]


def _with_check_sums(png: bytes) -> bytes:
    whole, at = [png[:8]], 8
    while at + 12 <= len(png):
        length = struct.unpack_from(">I", png, at)[0]
        content = png[at + 4 : at + 8 + length]
        whole += [png[at : at + 4], content, struct.pack(">I", zlib.crc32(content))]
        at += 12 + length
    return b"".join(whole)
