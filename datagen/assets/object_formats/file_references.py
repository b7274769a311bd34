"""Which file a name inside another file means: written on Windows, in another letter case, or on its
author's disk."""

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

from pairbridge.datagen.core.errors import FileUnreadable, is_of_machine
from pairbridge.datagen.core.json_digest import file_sha256

# Where the pictures of a file lie that names them by a path of its author's machine.
PICTURE_FOLDERS = ("", "textures", "texture", "tex", "maps")
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tga", ".tif", ".tiff", ".exr", ".hdr", ".webp", ".bmp"})


def find_beside(folder: Path, name: str) -> str | None:
    """The existing file that `name` means in a file of `folder`, relative to the folder; None if there is
    none.

    First as it is written, then with the separators of Windows and any letter case, then by its last part
    alone, in the folder or in a folder of textures in it. What is absolute is looked for by its last part
    alone: a path of the author's machine says nothing of this one. What this process may not open is not
    there.
    """
    plain = name.strip().strip('"').replace("\\", "/")
    last = PurePosixPath(plain).name
    if not last or "\0" in plain:
        return None
    windows = PureWindowsPath(plain)
    whole = [] if windows.drive or windows.root else [name, plain]
    for candidate in (*whole, *(f"{place}/{last}".lstrip("/") for place in PICTURE_FOLDERS)):
        found = _ignoring_case(folder, candidate)
        if found is not None:
            return found
    return None


def is_beside(name: str) -> bool:
    """Whether a relative name stays in the folder it starts from."""
    place = PurePosixPath(name)
    return bool(place.parts) and not place.is_absolute() and ".." not in place.parts


def _ignoring_case(folder: Path, name: str) -> str | None:
    here, parts = folder, []
    for part in PurePosixPath(name).parts:
        if part != ".." and not _exists(here / part):
            part = _alike(here, part)
            if part is None:
                return None
        here, parts = here / part, [*parts, part]
    return "/".join(parts) if can_be_read(here) else None


def can_be_read(path: Path) -> bool:
    """Whether there is a file at `path` that this process may open: Blender's sees more than it may open."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb"):
            return True
    except PermissionError:
        return False


def check_readable(path: Path) -> None:
    """Raise FileUnreadable if this process cannot read the file to its end, whatever the file holds.

    One that is not there is named by whoever asked for it; one that the kernel keeps from this process, a
    link that leads out of its folder, is refused like one that is missing.
    """
    try:
        file_sha256(path)
    except FileNotFoundError:
        return
    except OSError as error:
        leads_out = path.resolve().parent != path.parent.resolve()
        if is_of_machine(error) and not (isinstance(error, PermissionError) and leads_out):
            raise FileUnreadable.of(path, error) from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        if is_of_machine(error):
            raise
        return False  # a name that is too long


def _alike(folder: Path, name: str) -> str | None:
    if not folder.is_dir():
        return None
    return next(
        (entry.name for entry in sorted(folder.iterdir()) if _folded(entry.name) == _folded(name)), None
    )


def _folded(name: str) -> str:
    # macOS stores the accents of names as characters of their own.
    return unicodedata.normalize("NFC", name).casefold()
