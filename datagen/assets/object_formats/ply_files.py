"""PLY: its header and vertices, and what Blender's importer would misread, drop or draw plain grey."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.object_formats.far_origin import check_shape_kept, far_centre
from pairbridge.datagen.assets.object_formats.file_references import PICTURES, find_beside
from pairbridge.datagen.assets.object_formats.unusable_objects import unusable

_BOM = b"\xef\xbb\xbf"
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
# Blender knows coordinates of a texture and colours by one name each.
_NAMES = {
    "u": "s", "v": "t", "texture_u": "s", "texture_v": "t", "texcoord_u": "s", "texcoord_v": "t",
    "diffuse_red": "red", "diffuse_green": "green", "diffuse_blue": "blue",
    "r": "red", "g": "green", "b": "blue",
}  # fmt: skip
_SPLATS = ({"f_dc_0", "opacity"}, {"f_dc_0", "rot_0"}, {"packed_position"})
_FACES = frozenset({"face", "tristrips"})
_PICTURE = re.compile(rb"(?im)^comment[ \t]+TextureFile[ \t]+([^\r\n]+?)[ \t\r]*$")


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    count: int
    types: dict[str, str]  # property -> type; "list" for lists


@dataclass(frozen=True, slots=True)
class _Ply:
    head: bytes
    body: bytes
    encoding: str
    elements: tuple[_Element, ...]

    def properties(self, *names: str) -> set[str]:
        return {name for element in self.elements if element.name in names for name in element.types}

    def count(self, *names: str) -> int:
        return sum(element.count for element in self.elements if element.name in names)


def mend_ply(path: Path, data: bytes) -> dict[str, bytes]:
    """The file, by name, that Blender shall read in the place of this one; none where it reads it as it is.

    Raises AssetError for vertices and colours that are not finite, for points without faces, for Gaussian
    splats, and for colours and pictures that Blender would leave out.
    """
    ply = _parsed(data.removeprefix(_BOM))
    if ply is None:
        raise unusable(path, "damaged", "its header cannot be read")
    _check_contents(path, ply)
    for element in ply.elements:
        # Each takes a byte at least; importers allocate what is claimed.
        if element.count > len(ply.body):
            why = f"it claims {element.count} of {element.name} in {len(ply.body)} bytes"
            raise unusable(path, "truncated", why)
    body = _near_origin(path, ply)
    head = _renamed(ply.head)
    mended = head + body
    return {path.name: mended} if mended != data else {}


def ply_picture(path: Path) -> str | None:
    """The picture, relative to the file's folder, that its texture coordinates belong to; None if it states
    none.

    Raises AssetError where it states one that is not there.
    """
    with open(path, "rb") as stream:
        ply = _parsed(stream.read(1 << 16).removeprefix(_BOM))
    if ply is None or not {_NAMES.get(name, name) for name in ply.properties("vertex")} >= {"s", "t"}:
        return None
    stated = _PICTURE.search(ply.head)
    if stated is None:
        ends = (find_beside(path.parent, path.stem + suffix) for suffix in sorted(PICTURES))
        return next((found for found in ends if found is not None), None)
    name = stated[1].decode("utf-8", "surrogateescape")
    found = find_beside(path.parent, name)
    if found is None:
        raise unusable(path, "missing_texture", f"its texture {name} is missing")
    return found


def _parsed(data: bytes) -> _Ply | None:
    end = re.search(rb"(?m)^end_header[ \t]*\r?\n", data)
    if end is None:
        return None
    encoding, elements = "ascii", []
    for line in data[: end.start()].decode("utf-8", "replace").splitlines():
        match line.split():
            case ["format", stated, *_]:
                encoding = stated
            case ["element", name, count] if count.isdigit():
                elements.append(_Element(name, int(count), {}))
            case ["property", "list", *_, name] if elements:
                elements[-1].types[name] = "list"
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].types[name] = kind
            case ["comment" | "obj_info" | "ply", *_] | []:
                pass
            case _:
                return None
    return _Ply(data[: end.end()], data[end.end() :], encoding, tuple(elements))


def _check_contents(path: Path, ply: _Ply) -> None:
    names, faces = ply.properties("vertex", "chunk"), ply.properties("face")
    if any(splat <= names for splat in _SPLATS):
        why = f"it is a Gaussian splat: {ply.count('vertex')} points that only a splat renderer can draw"
        raise unusable(path, "gaussian_splat", why)
    if not ply.count(*_FACES):
        raise unusable(path, "no_geometry", f"it is a point cloud: {ply.count('vertex')} points and no faces")
    names = {_NAMES.get(name, name) for name in names}
    if "texcoord" in faces and not names >= {"s", "t"}:
        why = (
            "its texture coordinates stand at its faces, which Blender leaves out: convert it to glTF or OBJ"
        )
        raise unusable(path, "unsupported", why)
    if {_NAMES.get(name, name) for name in faces} >= {"red", "green", "blue"} and "red" not in names:
        raise unusable(
            path,
            "unsupported",
            "its colours stand at its faces, which Blender leaves out: move them to its vertices",
        )


def _near_origin(path: Path, ply: _Ply) -> bytes:
    """The body, its vertices moved to the origin where they lie far from it."""
    place = next((number for number, element in enumerate(ply.elements) if element.name == "vertex"), None)
    if place is None or "list" in (vertex := ply.elements[place]).types.values():
        return ply.body
    columns = [name for name in "xyz" if name in vertex.types]
    if ply.encoding == "ascii":
        first = sum(element.count for element in ply.elements[:place])
        lines = ply.body.splitlines()
        rows = [line.split() for line in lines[first : first + vertex.count]]
        if any(len(row) < len(vertex.types) for row in rows):
            return ply.body
        values = {
            name: np.array([row[index] for row in rows], "S") for index, name in enumerate(vertex.types)
        }
        values = {name: _numbers(column) for name, column in values.items()}
    else:
        if place:
            return ply.body
        order = ">" if ply.encoding == "binary_big_endian" else "<"
        kind = np.dtype([(name, order + _TYPES[stated]) for name, stated in vertex.types.items()])
        values = np.frombuffer(ply.body, kind, min(vertex.count, len(ply.body) // kind.itemsize)).copy()
    for name in vertex.types:
        drawn = name in "xyz" or _NAMES.get(name, name) in ("red", "green", "blue")
        if drawn and not np.isfinite(values[name]).all():
            what = "vertices" if name in "xyz" else "vertices' colours"
            raise unusable(path, "not_finite", f"some of its {what} are not finite")
    points = np.stack([values[name] for name in columns], axis=-1) if columns else np.empty((0, 3))
    centre = far_centre(points)
    if centre is None:
        return ply.body
    coarse = ply.encoding != "ascii" and {vertex.types[name] for name in columns} <= {"float", "float32"}
    if coarse:
        check_shape_kept(path, points)
    moved = points.astype(np.float64) - centre
    if ply.encoding == "ascii":
        places = [list(vertex.types).index(name) for name in columns]
        for row, point in zip(rows, moved.tolist(), strict=True):
            for index, value in zip(places, point, strict=True):
                row[index] = b"%.9g" % value
        lines[first : first + vertex.count] = [b" ".join(row) for row in rows]
        return b"\n".join(lines) + b"\n"
    for index, name in enumerate(columns):
        values[name] = moved[:, index]
    return values.tobytes() + ply.body[values.nbytes :]


def _numbers(column: np.ndarray) -> np.ndarray:
    try:
        return column.astype(np.float64)
    except ValueError:  # -nan(ind)
        return np.full(len(column), np.nan)


def _renamed(head: bytes) -> bytes:
    """The header with the names of properties that Blender knows, of its vertices."""
    lines, vertex = [], False
    present = set(re.findall(rb"(?m)^property[ \t]+\w+[ \t]+(\w+)", head))
    for line in head.splitlines(keepends=True):
        words = line.split()
        if words[:1] == [b"element"]:
            vertex = words[1:2] == [b"vertex"]
        if vertex and len(words) == 3 and words[0] == b"property":
            known = _NAMES.get(words[2].decode("ascii", "replace"))
            if known and known.encode() not in present:
                line = b"property %s %s\n" % (words[1], known.encode())
        lines.append(line)
    return b"".join(lines)
