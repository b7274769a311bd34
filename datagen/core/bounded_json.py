"""The one reader of JSON from elsewhere: bounded in bytes, depth and number of values before it is parsed.

What it returns can be written again: no NaN, no infinity, no half of a surrogate pair.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.bounded_files import read_at_most
from pairbridge.datagen.core.limits import MAX_JSON_DEPTH, MAX_JSON_VALUES, MAX_SIDE_JSON_BYTES

_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# Half of a pair of surrogates has no place in UTF-8, so whatever holds one cannot be written.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CHUNK = 1 << 24


class JsonRefused(ValueError):
    """A text that is no JSON, or above a limit; the message says which."""


def read_json(path: Path, most_bytes: int) -> Any:
    """The value in a file. Raises OSError, or JsonRefused."""
    return parse_json(read_at_most(path, most_bytes), most_bytes)


def read_json_object(path: Path, most_bytes: int) -> dict[str, Any]:
    """The object in a file. Raises OSError, or JsonRefused, also for a value that is none."""
    value = read_json(path, most_bytes)
    if not isinstance(value, dict):
        raise JsonRefused("it holds no object")
    return value


def check_side_json(folder: Path, *patterns: str) -> None:
    """Look through the JSON files of a folder (`*.json`, or as the patterns say), which another library is
    about to read without limits. Raises OSError, or JsonRefused with the name of the file.
    """
    for path in sorted(path for pattern in patterns or ("*.json",) for path in folder.glob(pattern)):
        try:
            read_json(path, MAX_SIDE_JSON_BYTES)
        except JsonRefused as error:
            raise JsonRefused(f"{path.name}: {error}") from error


def parse_json(data: bytes | str, most_bytes: int) -> Any:
    """The value of a text. Raises JsonRefused."""
    try:
        data = data.encode() if isinstance(data, str) else data.removeprefix(_BOM)
        check_json(data, most_bytes)
        value = json.loads(data, parse_constant=_no_number, parse_float=_finite)
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except JsonRefused:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonRefused(f"it is no JSON: {error}") from error
    return value


def check_json(data: bytes, most_bytes: int) -> None:
    """Raise JsonRefused for a text that is above a limit; whether it is JSON is not looked at."""
    if len(data) > most_bytes:
        raise JsonRefused(f"it has more than {most_bytes} bytes")
    opened = data.count(b"[") + data.count(b"{")
    if opened + data.count(b",") > MAX_JSON_VALUES:
        raise JsonRefused(f"it holds more than {MAX_JSON_VALUES} values")
    if opened > MAX_JSON_DEPTH and _depth(_STRING.sub(b"", data)) > MAX_JSON_DEPTH:
        raise JsonRefused(f"its brackets are nested deeper than {MAX_JSON_DEPTH}")


def _depth(brackets: bytes) -> int:
    """How deep the brackets of a text without strings are nested."""
    here = deepest = 0
    for at in range(0, len(brackets), _CHUNK):
        codes = np.frombuffer(brackets, np.uint8)[at : at + _CHUNK] | 0x20
        # With that bit set [ and { are 0x7b, ] and } are 0x7d.
        levels = here + np.cumsum((codes == 0x7B).astype(np.int32) - (codes == 0x7D).astype(np.int32))
        here, deepest = int(levels[-1]), max(deepest, int(levels.max()))
    return deepest


def _no_number(name: str) -> float:
    raise JsonRefused(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise JsonRefused(f"the number {text[:40]} is beyond all floats")
    return value
