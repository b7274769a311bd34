"""What can be said of an object's file before Blender reads it: its kind, its length, its numbers, its
references.

Blender's importers set NaN to 0 without a word, take a cut STL for a short one, and explain a picture called
.glb badly. So the first bytes, the stated lengths and the coordinates are looked at here, in NumPy. What the
importers would misread is written anew for them (`Mended`); the file itself stays as it is.
"""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from pairbridge.datagen.assets.object_formats.file_references import PICTURE_FOLDERS, PICTURES, is_beside
from pairbridge.datagen.assets.object_formats.gltf_files import gltf_companions, gltf_pictures, mend_gltf
from pairbridge.datagen.assets.object_formats.obj_files import mend_obj, obj_companions
from pairbridge.datagen.assets.object_formats.ply_files import mend_ply, ply_picture
from pairbridge.datagen.assets.object_formats.stl_files import (
    STL_HEADER,
    is_text,
    mend_stl,
    states_its_length,
)
from pairbridge.datagen.assets.object_formats.unusable_objects import importer_reason, unusable
from pairbridge.datagen.assets.object_rules import ObjectRules, UpAxis
from pairbridge.datagen.assets.signatures import SIGNATURE_BYTES, content_of
from pairbridge.datagen.assets.texture_files import file_problem, texture_problem
from pairbridge.datagen.core.errors import AssetError, is_of_machine

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
# Of the formats that are written anew where Blender would misread them.
_MENDERS = {".glb": mend_gltf, ".gltf": mend_gltf, ".obj": mend_obj, ".ply": mend_ply, ".stl": mend_stl}
_BOM = b"\xef\xbb\xbf"

# Which axis is up where a file says nothing of it and its format does not either. Scans (PLY) come from
# programs that have y up, CAD (STL) from those that have z up. FBX, USD and .blend files state their own.
_UP: dict[str, UpAxis] = {".glb": "y", ".gltf": "y", ".obj": "y", ".ply": "y", ".stl": "z"}


def default_up(path: Path) -> UpAxis | None:
    """The axis that is up in files of this suffix; None where each file states it."""
    return _UP.get(path.suffix.lower())


def check_object_file(path: Path, rules: ObjectRules) -> dict[str, bytes]:
    """The files, by name, that Blender shall read in the place of this one; none where it reads it as it is.

    Raises OSError where a file cannot be read, AssetError for one that is missing, empty, above the limit,
    not what its suffix says, shorter than it states, or that holds a vertex which is not finite.

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
        return {}
    with open(path, "rb") as stream:
        start = stream.read(4096)
    if not _starts_as(suffix, start, size):
        raise unusable(path, "wrong_suffix", f"its contents are not those of a {suffix} file{_found(start)}")
    mender = _MENDERS.get(suffix)
    try:
        data = path.read_bytes()
        _check_pictures(path, data)
        return mender(path, data) if mender else {}
    except (
        ArithmeticError,
        LookupError,
        MemoryError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        if isinstance(error, OSError) and is_of_machine(error):
            raise
        # Headers may state anything: none of it may stop a run.
        raise unusable(path, "damaged", importer_reason(f"its header is broken ({error})")) from error


def _check_pictures(path: Path, data: bytes) -> None:
    """Raise AssetError for a picture beside the file, or inside it, that claims more than it can hold."""
    suffix = path.suffix.lower()
    inside: Iterable[tuple[str, bytes]] = ()
    if suffix in (".glb", ".gltf"):
        inside = gltf_pictures(path, data)
    elif suffix == ".usdz":
        inside = _stored(path)
    found = [(name, texture_problem(io.BytesIO(content), name)) for name, content in inside]
    for name in companions(path):
        # Pictures beside formats that only Blender reads may be another object's.
        if suffix not in _OPAQUE or Path(name).name.encode() in data:
            found.append((name, file_problem(path.parent / name)))
    for name, problem in found:
        if problem is not None:
            raise unusable(path, "missing_texture", f"its texture {name} cannot be used: {problem}")


def _stored(path: Path) -> Iterator[tuple[str, bytes]]:
    """The pictures in a .usdz, which is a ZIP archive of files as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
                    raise unusable(path, "damaged", f"{member.filename} in it is packed, which USDZ forbids")
                if Path(member.filename).suffix.lower() in PICTURES:
                    yield member.filename, archive.read(member)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise unusable(path, "damaged", f"its archive cannot be read: {error}") from error


def _starts_as(suffix: str, start: bytes, size: int) -> bool:
    text = start.removeprefix(_BOM)
    match suffix:
        case ".gltf":
            return text.lstrip().startswith(b"{")
        case ".obj":
            return b"\0" not in start and content_of(start[:SIGNATURE_BYTES]) is None
        case ".stl":
            # A header of 80 bytes may hold anything, a signature as well.
            return (
                is_text(start)
                or states_its_length(start, size)
                or (size >= STL_HEADER and content_of(start[:SIGNATURE_BYTES]) is None and text[:1] != b"{")
            )
    return text.startswith(_STARTS[suffix])


def _found(start: bytes) -> str:
    content = content_of(start[:SIGNATURE_BYTES])
    return f"; it is {content}" if content else ""


# Files that an object's file refers to: its buffers, materials and textures. What has to travel with it.

# Formats whose references only Blender can read: their pictures lie beside them or in a folder of this name.
_OPAQUE = frozenset({".fbx", ".usd", ".usda", ".usdc", ".blend"})


def companions(path: Path) -> tuple[str, ...]:
    """Relative names, sorted, of the existing files that the object at `path` needs beside itself: those that
    it names, and of a format that only Blender can read every picture that it may name. Raises OSError.
    """
    if path.suffix.lower() in _OPAQUE:
        return _existing(path.parent, _pictures(path.parent))
    return stated_companions(path)


def stated_companions(path: Path) -> tuple[str, ...]:
    """As `companions`, of formats alone whose references can be read: none of the others. Raises OSError."""
    suffix = path.suffix.lower()
    if suffix == ".gltf":
        named = set(gltf_companions(path))
    elif suffix == ".obj":
        named = set(obj_companions(path))
    elif suffix == ".ply":
        named = set(_ply_pictures(path))
    else:
        named = set()
    return _existing(path.parent, named)


def _existing(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in set(names) if is_beside(name) and (folder / name).is_file()))


def _ply_pictures(path: Path) -> Iterator[str]:
    try:
        picture = ply_picture(path)
    except AssetError:
        return  # said when it is loaded
    if picture is not None:
        yield picture


def _pictures(folder: Path) -> Iterator[str]:
    for name in PICTURE_FOLDERS:
        if (folder / name).is_dir():
            yield from (
                file.relative_to(folder).as_posix()
                for file in (folder / name).iterdir()
                if file.suffix.lower() in PICTURES
            )
