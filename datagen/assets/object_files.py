"""What can be said of an object's file before Blender reads it: its kind, its length, its numbers.

Blender's importers set NaN to 0 without a word, take a cut STL for a short one, and explain a picture called
.glb badly. So the first bytes, the stated lengths and the coordinates are looked at here, in NumPy.
"""

import base64
import binascii
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.core.errors import AssetError

OBJECT_SUFFIXES = frozenset(
    {".glb", ".gltf", ".obj", ".fbx", ".ply", ".stl", ".usd", ".usda", ".usdc", ".usdz", ".blend"}
)

# How files of each format start. What is not here (.obj, .gltf, .stl) is told from its text or its length.
_USDC, _USDA, _ZIP = b"PXR-USDC", b"#usda", b"PK\x03\x04"
_STARTS: dict[str, tuple[bytes, ...]] = {
    ".glb": (b"glTF",),
    ".fbx": (b"Kaydara FBX Binary", b"; FBX"),
    ".ply": (b"ply",),
    ".usd": (_USDC, _USDA),
    ".usda": (_USDA,),
    ".usdc": (_USDC,),
    ".usdz": (_ZIP,),
    # Plain, zstd, gzip.
    ".blend": (b"BLENDER", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"),
}
_NOT_FINITE = {
    ".obj": re.compile(rb"(?im)^v[ \t][^\n]*\b(nan|inf)"),
    # A facet's normal may be NaN where it has no area; its corners may not.
    ".stl": re.compile(rb"(?im)^\s*vertex[^\n]*\b(nan|inf)"),
    ".ply": re.compile(rb"(?i)\b(nan|inf)"),
}
_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_FLOAT = 5126
_STL_HEADER = 84


def check_object_file(path: Path, rules: ObjectRules) -> None:
    """Raise AssetError for a file that is missing, empty, above the limit, not what its suffix says, shorter
    than it states, or that holds a vertex which is not finite.

    Suffixes that are not in OBJECT_SUFFIXES belong to add-ons; their contents are not looked into.
    """
    if not path.is_file():
        raise unusable(path, "missing", "there is no such file")
    size = path.stat().st_size
    if size == 0:
        raise unusable(path, "empty_file", "it is empty")
    if size > rules.max_file_mib << 20:
        raise unusable(
            path,
            "file_too_large",
            f"it has {size >> 20} MiB, above object_rules.max_file_mib of {rules.max_file_mib}",
        )
    suffix = path.suffix.lower()
    if suffix not in OBJECT_SUFFIXES:
        return
    with open(path, "rb") as stream:
        start = stream.read(4096)
    if not _starts_as(suffix, start, size):
        raise unusable(path, "wrong_suffix", f"its contents are not those of a {suffix} file{_found(start)}")
    if suffix in (".glb", ".gltf", ".obj", ".stl", ".ply"):
        _check_numbers(path, suffix, path.read_bytes())


def unusable(path: Path, fault: str, why: str) -> AssetError:
    """The error for an object's file that cannot be used; `fault` is its one-word name."""
    return AssetError(
        f"object {path} cannot be loaded: {why}",
        remedy="repair, replace or remove the file, or `exclude` it in its folder's catalogue.yaml",
        fault=fault,
    )


def _starts_as(suffix: str, start: bytes, size: int) -> bool:
    match suffix:
        case ".gltf":
            return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
        case ".obj":
            return b"\0" not in start
        case ".stl":
            return start.lstrip().lower().startswith(b"solid") or (
                size >= _STL_HEADER and not any(start.startswith(other) for other in _other_starts())
            )
    return start.startswith(_STARTS[suffix])


def _other_starts() -> list[bytes]:
    images = [b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"{", b"<"]
    return [begin for begins in _STARTS.values() for begin in begins] + images


def _found(start: bytes) -> str:
    kinds = {begin: f"a {suffix} file" for suffix, begins in _STARTS.items() for begin in begins[:1]}
    kinds |= {b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", _ZIP: "a zip archive"}
    return next((f"; it is {kind}" for begin, kind in kinds.items() if start.startswith(begin)), "")


def _check_numbers(path: Path, suffix: str, data: bytes) -> None:
    match suffix:
        case ".glb":
            stated = struct.unpack_from("<I", data, 8)[0] if len(data) >= 12 else 12
            if stated > len(data):
                raise unusable(path, "truncated", f"it ends after {len(data)} of {stated} bytes")
            finite = _gltf_finite(path, *_glb_chunks(data))
        case ".gltf":
            finite = _gltf_finite(path, data, b"")
        case ".stl":
            finite = _stl_finite(path, data)
        case ".ply":
            finite = _ply_finite(data)
        case _:
            finite = _NOT_FINITE[suffix].search(data) is None
    if not finite:
        raise unusable(path, "not_finite", "some of its vertices are not finite")


def _glb_chunks(data: bytes) -> tuple[bytes, bytes]:
    chunks, at = [], 12
    while at + 8 <= len(data) and len(chunks) < 2:
        length = struct.unpack_from("<I", data, at)[0]
        chunks.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return (*chunks, b"", b"")[:2]


def _gltf_finite(path: Path, text: bytes, binary: bytes) -> bool:
    """Whether all POSITION accessors are finite, as far as they can be read: what is malformed is left to the
    importer, which raises.
    """
    try:
        gltf = json.loads(text)
        wanted = {
            primitive["attributes"]["POSITION"]
            for mesh in gltf.get("meshes", ())
            for primitive in mesh["primitives"]
            if "POSITION" in primitive["attributes"]
        }
        buffers: dict[int, bytes] = {}
        return all(_accessor_finite(path, gltf, index, binary, buffers) for index in sorted(wanted))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError):
        return True


def _accessor_finite(
    path: Path, gltf: dict[str, Any], index: int, binary: bytes, buffers: dict[int, bytes]
) -> bool:
    accessor = gltf["accessors"][index]
    # Without a view the values are compressed (Draco) or zero.
    if accessor["componentType"] != _FLOAT or "bufferView" not in accessor:
        return True
    view = gltf["bufferViews"][accessor["bufferView"]]
    if view["buffer"] not in buffers:
        buffers[view["buffer"]] = _gltf_buffer(path, gltf["buffers"][view["buffer"]], binary)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", 12)
    # NumPy does not complain of an empty buffer.
    if start + stride * (accessor["count"] - 1) + 12 > len(buffers[view["buffer"]]):
        return True
    values = np.ndarray((accessor["count"], 3), "<f4", buffers[view["buffer"]], start, (stride, 4))
    return bool(np.isfinite(values).all())


def _gltf_buffer(path: Path, buffer: dict[str, Any], binary: bytes) -> bytes:
    uri = buffer.get("uri")
    if uri is None:
        return binary
    if uri.startswith("data:"):
        try:
            return base64.b64decode(uri.partition(",")[2])
        except binascii.Error as error:
            raise ValueError(str(error)) from error
    beside = path.parent / unquote(uri)
    # A pipe never ends.
    return beside.read_bytes() if beside.is_file() else b""


def _stl_finite(path: Path, data: bytes) -> bool:
    count = struct.unpack_from("<I", data, 80)[0] if len(data) >= _STL_HEADER else 0
    whole = _STL_HEADER + 50 * count
    if data.lstrip().lower().startswith(b"solid") and len(data) != whole:
        if b"endsolid" not in data.lower():
            raise unusable(path, "truncated", "its solid does not end")
        return _NOT_FINITE[".stl"].search(data) is None
    if len(data) < whole:
        raise unusable(path, "truncated", f"it ends after {len(data)} of {whole} bytes")
    facets = np.frombuffer(data, np.dtype([("normal", "<3f4"), ("corners", "<9f4"), ("_", "<u2")]), count, 84)
    return bool(np.isfinite(facets["corners"]).all())


def _ply_finite(data: bytes) -> bool:
    head, mark, body = data.partition(b"end_header\n")
    if not mark:
        head, _, body = data.partition(b"end_header\r\n")
    lines = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    encoding = next((line[1] for line in lines if line[:1] == ["format"]), "ascii")
    if encoding == "ascii":
        return _NOT_FINITE[".ply"].search(body) is None
    order = ">" if encoding == "binary_big_endian" else "<"
    first = next((number for number, line in enumerate(lines) if line[:1] == ["element"]), None)
    if first is None or lines[first][1] != "vertex":
        return True
    fields = []
    for line in lines[first + 1 :]:
        if line[:1] == ["element"]:
            break
        if line[:1] == ["property"]:
            if line[1] not in _PLY_TYPES:
                return True
            fields.append((line[2], order + _PLY_TYPES[line[1]]))
    kind = np.dtype(fields)
    count = min(int(lines[first][2]), len(body) // kind.itemsize)
    vertices = np.frombuffer(body, kind, count)
    return all(np.isfinite(vertices[axis]).all() for axis in "xyz" if axis in vertices.dtype.names)


# Files that an object's file refers to: its buffers, materials and textures. What has to travel with it.


_MATERIALS = re.compile(r"(?im)^\s*mtllib\s+(.+?)\s*$")
_TEXTURES = re.compile(
    r"(?im)^\s*(?:map_\w+|bump|disp|decal|refl|norm)\s+(?:-\S+(?:\s+[-\d.]+)*\s+)*(.+?)\s*$"
)
# Formats whose references only Blender can read: their pictures lie beside them or in a folder of this name.
_OPAQUE = frozenset({".fbx", ".usd", ".usda", ".usdc", ".blend"})
_PICTURE_FOLDERS = ("", "textures", "Textures", "maps")
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tga", ".tif", ".tiff", ".exr", ".hdr", ".webp", ".bmp"})


def companions(path: Path) -> tuple[str, ...]:
    """Relative names, sorted, of the existing files that the object at `path` needs beside itself."""
    suffix = path.suffix.lower()
    if suffix == ".gltf":
        named = set(_gltf_files(path))
    elif suffix == ".obj":
        named = set(_obj_files(path))
    elif suffix in _OPAQUE:
        named = set(_pictures(path.parent))
    else:
        named = set()
    return tuple(sorted(name for name in named if is_beside(name) and (path.parent / name).is_file()))


def is_beside(name: str) -> bool:
    """Whether a relative name stays in the folder it starts from."""
    place = PurePosixPath(name)
    return bool(place.parts) and not place.is_absolute() and ".." not in place.parts


def _gltf_files(path: Path) -> Iterator[str]:
    try:
        content: Any = json.loads(path.read_bytes())
        entries = [*content.get("buffers", ()), *content.get("images", ())]
        uris = [entry["uri"] for entry in entries if isinstance(entry.get("uri"), str)]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return  # the importer says what is wrong with it
    yield from (unquote(uri) for uri in uris if not uri.startswith("data:"))


def _obj_files(path: Path) -> Iterator[str]:
    for name in _MATERIALS.findall(_text(path)):
        yield name
        if is_beside(name):
            folder = PurePosixPath(name).parent
            yield from (str(folder / texture) for texture in _TEXTURES.findall(_text(path.parent / name)))


def _pictures(folder: Path) -> Iterator[str]:
    for name in _PICTURE_FOLDERS:
        if (folder / name).is_dir():
            yield from (
                file.relative_to(folder).as_posix()
                for file in (folder / name).iterdir()
                if file.suffix.lower() in _PICTURES
            )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
