"""One byte representation for a JSON value, so that equal things have equal digests."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.bounded_files import open_regular


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; NaN and infinities raise ValueError."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """Hex sha256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes. Raises OSError, also for what is no regular file."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


Stamp = tuple[int, ...]


def file_stamp(path: Path) -> Stamp:
    """Changes when the file does. The time of the inode's change is one that no tool sets back. Raises
    OSError.
    """
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


# What differs between two JSON-able values, in words for an error message.


_ABSENT = "absent"


def changed_fields(old: Any, new: Any, limit: int = 8) -> list[str]:
    """Leaves that differ, as `path: old there, new now`, sorted by path; beyond `limit` they are counted."""
    before, after = dict(leaves(old)), dict(leaves(new))
    changes = [
        f"{path}: {_shown(before.get(path, _ABSENT))} there, {_shown(after.get(path, _ABSENT))} now"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, _ABSENT) != after.get(path, _ABSENT)
    ]
    more = len(changes) - limit
    return changes if more <= 0 else [*changes[:limit], f"and {more} more"]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What a JSON-able value holds, each with its path: `a.b[2]`, below `path`. Empty ones are leaves."""
    if isinstance(value, dict) and value:
        for name in value:
            yield from leaves(value[name], f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
