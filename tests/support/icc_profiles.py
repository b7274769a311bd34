"""Matrix ICC profiles made from chromaticities and a gamma, as cameras and phones embed them (ICC.1, v2)."""

import struct

import numpy as np

# D50 adapted colourants (red, green, blue; XYZ) of two wide spaces, as their published profiles hold them.
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
_D50 = (0.9642, 1.0, 0.8249)


def matrix_profile(colourants, curve: float | np.ndarray, name: str) -> bytes:
    """`curve`: a gamma, or a table of light for evenly spaced encoded values on [0, 1]."""
    tags = [
        (b"desc", _text(name)),
        (b"cprt", b"text" + bytes(4) + b"none\0"),
        (b"wtpt", _xyz(_D50)),
        *((kind, _xyz(xyz)) for kind, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colourants, strict=True)),
        *((kind, _curve(curve)) for kind in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    first = 128 + 4 + 12 * len(tags)
    table, data = b"", b""
    for kind, content in tags:
        table += kind + struct.pack(">II", first + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = bytearray(128)
    struct.pack_into(">I", header, 0, first + len(data))
    header[8:12], header[12:24], header[36:40] = b"\x02\x10\0\0", b"mntrRGB XYZ ", b"acsp"
    header[68:80] = _fixed(_D50)
    return bytes(header) + struct.pack(">I", len(tags)) + table + data


def _fixed(values) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _curve(curve: float | np.ndarray) -> bytes:
    if isinstance(curve, float):
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(curve * 256)) + bytes(2)
    return b"curv" + bytes(4) + struct.pack(">I", len(curve)) + np.rint(curve * 65535).astype(">u2").tobytes()


def _text(text: str) -> bytes:
    content = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(content)) + content + bytes(4 + 4 + 2 + 1 + 67)
