"""Files that an object's file refers to: its buffers, materials and textures. What has to travel with it.

Only what lies beside or below the file: a path that is absolute or climbs out of its folder is left behind,
and the texture is then missing, which costs the object's samples by name.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

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
