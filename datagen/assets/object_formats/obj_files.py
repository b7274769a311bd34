"""Wavefront OBJ and its material libraries: what Blender's importer would misread, drop or draw plain
grey."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from pairbridge.datagen.assets.object_formats.far_origin import far_centre
from pairbridge.datagen.assets.object_formats.file_references import find_beside
from pairbridge.datagen.assets.object_formats.unusable_objects import unusable
from pairbridge.datagen.core.errors import is_of_machine

BOM = b"\xef\xbb\xbf"
_VERTEX = re.compile(rb"(?m)^([ \t]*v[ \t]+)([^\s#]+)[ \t]+([^\s#]+)[ \t]+([^\s#]+)")
_NOT_FINITE = re.compile(rb"(?im)^[ \t]*v[ \t][^\n#]*\b(nan|inf)")
# Three coordinates and three colours.
_COLOURED = re.compile(rb"(?m)^[ \t]*v(?:[ \t]+[^\s#]+){6}")
_LIBRARY = re.compile(rb"(?m)^[ \t]*mtllib[ \t]+([^\r\n]+?)[ \t\r]*$")
_USED = re.compile(rb"(?m)^[ \t]*usemtl[ \t]+([^\r\n]+?)[ \t\r]*$")
# What exporters write where there is no material.
_NO_MATERIAL = frozenset({"none", "(null)", "null", "default", "off"})

# The options of a map and how many words follow each; of -o, -s and -t, one to three numbers.
_OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-mm": 2,
    "-o": 3,
    "-s": 3, "-t": 3, "-texres": 1, "-type": 1,
}  # fmt: skip
_MAPS = ("map_Ka", "map_Kd", "map_Ks", "map_Ke", "map_Ns", "map_d", "map_refl", "refl", "map_Pr", "map_Pm",
         "map_Ps",
         "map_Bump", "bump", "norm", "disp", "decal")  # fmt: skip
_PLAIN = ("newmtl", "Ka", "Kd", "Ks", "Ke", "Ns", "Ni", "Tr", "Tf", "d", "illum", "Pr", "Pm", "Ps", "Pc",
          "Pcr",
          "aniso", "anisor")  # fmt: skip
# Blender knows a key in one letter case only.
_KEYS = {key.lower(): key for key in (*_MAPS, *_PLAIN)} | {"map_opacity": "map_d", "map_tr": "map_d"}
# A material that states its colour as ambient alone is shown in it.
_AMBIENT = {"map_Ka": "map_Kd", "Ka": "Kd"}


def mend_obj(path: Path, data: bytes) -> dict[str, bytes]:
    """The files, by name, that Blender shall read in the place of the OBJ; none where it reads it as it is.

    Raises AssetError for a text without vertices, for vertices or colours that are not finite, and for
    materials that are not there.
    """
    text = _plain(data)
    if not _VERTEX.search(text):
        raise unusable(path, "no_geometry", "no line of it states a vertex")
    text = _near_origin(path, text)
    names = _libraries(path, text)
    contents = [_read(path.parent / name) for name in names]
    _check_materials(path, text, contents)
    libraries = [
        _mended_library((path.parent / name).parent, content)
        for name, content in zip(names, contents, strict=True)
    ]
    as_written = all((path.parent / name).is_file() for name in _stated(text))
    if text == data and as_written and not any(changed for _, changed in libraries):
        return {}
    if not libraries:
        return {path.name: text}
    materials = "\n".join(content for content, _ in libraries)
    return {
        path.name: b"mtllib materials.mtl\n" + _LIBRARY.sub(b"", text),
        "materials.mtl": materials.encode("utf-8", "surrogateescape"),
    }


def obj_companions(path: Path) -> Iterator[str]:
    """Names, relative to the OBJ's folder, of its material libraries and their pictures."""
    for name in _libraries(path, _plain(_read(path))):
        yield name
        folder = PurePosixPath(name).parent
        for key, value in _entries(_read(path.parent / name)):
            if key in _MAPS:
                found = find_beside(path.parent / folder, _picture(value)[1])
                if found is not None:
                    yield str(folder / found)


def _plain(data: bytes) -> bytes:
    """The text without a byte order mark, its continued lines joined."""
    return data.removeprefix(BOM).replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")


def _near_origin(path: Path, text: bytes) -> bytes:
    """The text, its vertices moved to the origin in double precision where they lie far from it."""
    rows = [match[1:4] for match in (found.groups() for found in _VERTEX.finditer(text))]
    try:
        points = np.array(rows, "S").astype(np.float64).reshape(-1, 3)
    except ValueError as error:
        if _NOT_FINITE.search(text) is None:
            raise unusable(path, "damaged", f"one of its vertices is no number: {error}") from error
        raise unusable(path, "not_finite", "some of its vertices are not finite") from error
    if not np.isfinite(points).all():
        raise unusable(path, "not_finite", "some of its vertices are not finite")
    if _NOT_FINITE.search(text) is not None:
        raise unusable(path, "not_finite", "some of its vertices' colours are not finite")
    centre = far_centre(points)
    if centre is None:
        return text
    moved = iter((points - centre).tolist())
    return _VERTEX.sub(lambda found: found[1] + b"%.9g %.9g %.9g" % tuple(next(moved)), text)


def _stated(text: bytes) -> list[str]:
    return [name.decode("utf-8", "surrogateescape") for name in dict.fromkeys(_LIBRARY.findall(text))]


def _libraries(path: Path, text: bytes) -> list[str]:
    """The libraries that are there: those stated, else the one that goes by the OBJ's name, else the only
    one."""
    found: list[str] = []
    for stated in _stated(text):
        whole = find_beside(path.parent, stated)
        # Several names stand on one line; one name may hold spaces.
        parts = [find_beside(path.parent, part) for part in stated.split()] if whole is None else [whole]
        found += [name for name in parts if name is not None]
    if not found and _USED.search(text) is not None:
        own = find_beside(path.parent, f"{path.stem}.mtl")
        beside = (
            [own]
            if own
            else [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() == ".mtl"]
        )
        found = beside if len(beside) == 1 else []
    return list(dict.fromkeys(found))


def _check_materials(path: Path, text: bytes, contents: list[bytes]) -> None:
    used = {name.decode("utf-8", "surrogateescape") for name in _USED.findall(text)}
    defined = {value for content in contents for key, value in _entries(content) if key == "newmtl"}
    lost = sorted(name for name in used - defined if name.lower() not in _NO_MATERIAL)
    stated = _stated(text)
    # A file that names no library misses none, and without one the colours of the vertices are what is shown.
    if not lost or not (stated or contents) or (not contents and _COLOURED.search(text) is not None):
        return
    missing = [name for name in stated if find_beside(path.parent, name) is None]
    why = f"its material library {missing[0]!r} is missing" if missing else "no material library of it has it"
    raise unusable(path, "missing_material", f"its material {lost[0]!r} is not there: {why}")


def _entries(content: bytes) -> Iterator[tuple[str, str]]:
    """(key as Blender knows it, the rest of the line) of each line of a library."""
    for key, value in _lines(content):
        yield _KEYS.get(key.lower(), key), value


def _lines(content: bytes) -> Iterator[tuple[str, str]]:
    for line in content.removeprefix(BOM).decode("utf-8", "surrogateescape").splitlines():
        key, value = (*line.split(maxsplit=1), "", "")[:2]
        yield key, value.strip()


def _mended_library(folder: Path, content: bytes) -> tuple[str, bool]:
    """The library with every picture named by its absolute path, and whether Blender would read it
    otherwise."""
    entries = list(_entries(content))
    keys_of: list[set[str]] = []
    for key, _ in entries:
        if key == "newmtl" or not keys_of:
            keys_of.append(set())
        keys_of[-1].add(key)
    lines, changed, material = [], content.startswith(BOM), -1
    for (key, value), (written, _) in zip(entries, _lines(content), strict=True):
        material += key == "newmtl" or material < 0
        instead = _AMBIENT.get(key)
        # A map takes the place of a plain colour.
        taken = {"map_Kd"} if key == "map_Ka" else {"Kd", "map_Kd"}
        if instead and not keys_of[material] & taken:
            key = instead
        changed |= written != key
        if key in _MAPS:
            options, name = _picture(value)
            found = find_beside(folder, name)
            changed |= found is not None and found != name
            # Names such as tile.<UDIM>.png are no files, but lie in the folder as well.
            value = f"{options}{(folder / (found or name)).absolute()}"
        lines.append(f"{key} {value}")
    return "\n".join(lines) + "\n", changed


def _picture(value: str) -> tuple[str, str]:
    """The options of a map, and its picture's name, which may hold spaces."""
    words = re.findall(r"\S+\s*", value)
    at = 0
    while at < len(words) - 1 and words[at].strip().lower() in _OPTIONS:
        count = _OPTIONS[words[at].strip().lower()]
        at += 1
        for number in range(count):
            # -o, -s and -t take one to three numbers.
            if at >= len(words) - 1 or (count == 3 and number and not _is_number(words[at])):
                break
            at += 1
    return "".join(words[:at]), "".join(words[at:]).strip()


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+]?[\d.]+(?:e[-+]?\d+)?", word.strip(), re.IGNORECASE) is not None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if is_of_machine(error):
            raise
        return b""
