"""Which file a name inside another file means: written on Windows, in another letter case, or on its
author's disk."""

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

# Where the pictures of a file lie that names them by a path of its author's machine.
PICTURE_FOLDERS = ("", "textures", "texture", "tex", "maps")
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tga", ".tif", ".tiff", ".exr", ".hdr", ".webp", ".bmp"})


def find_beside(folder: Path, name: str) -> str | None:
    """The existing file that `name` means in a file of `folder`, relative to the folder; None if there is
    none.

    First as it is written, then with the separators of Windows and any letter case, then by its last part
    alone,
    in the folder or in a folder of textures in it. What is absolute is looked for by its last part alone: a
    path of the author's machine says nothing of this one.
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
    return "/".join(parts) if here.is_file() else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _alike(folder: Path, name: str) -> str | None:
    if not folder.is_dir():
        return None
    return next(
        (entry.name for entry in sorted(folder.iterdir()) if _folded(entry.name) == _folded(name)), None
    )


def _folded(name: str) -> str:
    # macOS stores the accents of names as characters of their own.
    return unicodedata.normalize("NFC", name).casefold()
