"""One byte representation for a JSON value, so that equal things have equal digests."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; NaN and infinities raise ValueError."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(value: Any) -> str:
    """Hex sha256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def file_sha256(path) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# What differs between two JSON-able values, in words for an error message.


_ABSENT = "absent"


def changed_fields(old: Any, new: Any, limit: int = 8) -> list[str]:
    """Leaves that differ, as `path: old there, new now`, sorted by path; beyond `limit` they are counted."""
    before, after = dict(_leaves(old, "")), dict(_leaves(new, ""))
    changes = [
        f"{path}: {_shown(before.get(path, _ABSENT))} there, {_shown(after.get(path, _ABSENT))} now"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, _ABSENT) != after.get(path, _ABSENT)
    ]
    more = len(changes) - limit
    return changes if more <= 0 else [*changes[:limit], f"and {more} more"]


def _leaves(value: Any, path: str):
    if isinstance(value, dict) and value:
        for name in value:
            yield from _leaves(value[name], f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
