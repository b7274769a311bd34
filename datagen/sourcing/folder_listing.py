"""Every file below a folder, in one order, with what makes some of them no asset at all.

Linked folders are entered, each folder once: a link back up, or two links to one place, end there.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "icon\r"})


@dataclass(frozen=True, slots=True)
class ListedFile:
    """`ignored` says why nothing looks into it; empty for all others. A folder is listed where it is not
    entered."""

    path: Path
    ignored: str


def listed_files(folder: Path) -> list[ListedFile]:
    """Sorted by path. What cannot be read is listed as ignored, too."""
    # Real folders first: a file has the name of the place where it lies, not of a link to it.
    seen: set[tuple[int, int]] = set()
    links: list[Path] = []
    found = list(_below(folder, folder, seen, links))
    while links:
        found += _below(links.pop(0), folder, seen, links)
    return sorted(found, key=lambda listed: listed.path.as_posix())


def _below(folder: Path, root: Path, seen: set[tuple[int, int]], links: list[Path]) -> Iterator[ListedFile]:
    try:
        stat = folder.stat()
        if (stat.st_dev, stat.st_ino) in seen:
            yield ListedFile(folder, "a folder that is listed already, by another name")
            return
        seen.add((stat.st_dev, stat.st_ino))
        inside = sorted(folder.iterdir())
    except OSError as error:
        yield ListedFile(folder, f"it cannot be read: {error.strerror}")
        return
    for path in inside:
        if path.is_dir():
            if path.is_symlink():
                links.append(path)
            else:
                yield from _below(path, root, seen, links)
        else:
            yield ListedFile(path, _ignored(path, path.relative_to(root).parts))


def _ignored(path: Path, parts: tuple[str, ...]) -> str:
    if path.name.startswith("._") or "__MACOSX" in parts:
        return "what macOS keeps beside a file; it holds no content of its own"
    if any(part.startswith(".") for part in parts):
        return "hidden"
    if path.name.lower() in _LEFT_BY_SYSTEMS:
        return "left by a file browser"
    if not path.exists():
        return "a link to nothing"
    if not path.is_file():
        return "no regular file"
    return "" if os.access(path, os.R_OK) else "it may not be read: its permissions forbid it"
