"""Every file below a folder, or one file alone, in one order, with what makes some of them no asset at all.

Linked folders are entered, each folder once: a link back up, or two links to one place, end there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pairbridge.datagen.core.errors import FileUnreadable

_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "icon\r"})


@dataclass(frozen=True, slots=True)
class ListedFile:
    """`ignored` says why nothing looks into it; empty for all others. A folder is listed where it is not
    entered."""

    path: Path
    ignored: str


def root_of(place: Path) -> Path:
    """The folder of the assets at `place`: itself, or that in which a single file lies."""
    return place.parent if place.is_file() else place


def listed_files(place: Path) -> list[ListedFile]:
    """Of a folder, sorted by path; of a file itself alone. Raises FileUnreadable for a folder that cannot be
    listed: what it holds would silently be missing.
    """
    if place.is_file():
        return [ListedFile(place, "")]
    # Real folders first: a file has the name of the place where it lies, not of a link to it.
    seen: set[tuple[int, int]] = set()
    links: list[Path] = []
    found = list(_below(place, place, seen, links))
    while links:
        found += _below(links.pop(0), place, seen, links)
    return sorted(found, key=lambda listed: listed.path.as_posix())


def _below(folder: Path, root: Path, seen: set[tuple[int, int]], links: list[Path]) -> Iterator[ListedFile]:
    try:
        stat = folder.stat()
        if (stat.st_dev, stat.st_ino) in seen:
            yield ListedFile(folder, "a folder that is listed already, by another name")
            return
        seen.add((stat.st_dev, stat.st_ino))
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if path.is_symlink():
                    links.append(path)
                else:
                    yield from _below(path, root, seen, links)
            else:
                yield ListedFile(path, _ignored(path, path.relative_to(root).parts))
    except OSError as error:
        raise FileUnreadable.of(folder, error) from error


def _ignored(path: Path, parts: tuple[str, ...]) -> str:
    if path.name.startswith("._") or "__MACOSX" in parts:
        return "what macOS keeps beside a file; it holds no content of its own"
    if any(part.startswith(".") for part in parts):
        return "hidden"
    if path.name.lower() in _LEFT_BY_SYSTEMS:
        return "left by a file browser"
    if not path.exists():
        return "a link to nothing"
    return "" if path.is_file() else "no regular file"
