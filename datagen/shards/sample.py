"""The pair contract: which files make a sample, and how each is encoded and decoded.

A sample is a set of files `<key>.<field>`. The encoding follows from the field's suffix alone:

| suffix | value | bytes |
|---|---|---|
| `.png` | uint8 or uint16, (H, W, 3) RGB or (H, W) grey | PNG (`pairbridge.datagen.shards.shard_png`) |
| `.npy` | numeric array | NumPy format 1.0, never pickled |
| `.json` | JSON value | canonical JSON |
"""

import io
import math
import re
import tokenize
from collections.abc import Mapping
from typing import Any

import numpy as np

from pairbridge.datagen.core.bounded_json import parse_json
from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.limits import MAX_ARRAY_BYTES, MAX_FIELD_JSON_BYTES
from pairbridge.datagen.core.picture_claims import PNG_SIGNATURE, check_png
from pairbridge.datagen.shards.shard_png import decode_png, encode_png

KEY_PATTERN = re.compile(r"[a-z0-9_-]{1,80}\Z")
FIELD_PATTERN = re.compile(r"[a-z0-9_]+\.(png|npy|json)\Z")

FieldValue = np.ndarray | dict[str, Any]
Pair = dict[str, FieldValue]


def encode_field(field: str, value: FieldValue) -> bytes:
    """Bytes of one field. Deterministic: equal values give equal bytes (with the same library versions)."""
    suffix = _suffix(field)
    if suffix == "json":
        return canonical_json(value)
    if suffix == "npy":
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(value), version=(1, 0), allow_pickle=False)
        return buffer.getvalue()
    if value.dtype not in (np.uint8, np.uint16) or value.shape[2:] not in ((), (3,)) or 0 in value.shape:
        raise TypeError(f"{field} wants 8 or 16 bits, (H, W) or (H, W, 3), got {value.dtype} {value.shape}")
    return encode_png(value)


def decode_field(field: str, data: bytes) -> FieldValue:
    """The value that `encode_field` was given. Raises ShardError on anything else; never runs code."""
    suffix = _suffix(field)
    try:
        if suffix == "json":
            return parse_json(data, MAX_FIELD_JSON_BYTES)
        if suffix == "npy":
            return _array(data)
        check_png(data)
        image = decode_png(data)
        return _decoded_elsewhere(data) if image is None else image
    except (ValueError, EOFError, RecursionError, MemoryError) as error:
        raise _undecodable(field, str(error)) from error


def decode_sample(key: str, fields: Mapping[str, bytes]) -> Pair:
    """Every field of the sample that a shard holds as `key`. Raises ShardError, also for a meta.json that
    names another sample or no assets: files and pages are named by it.
    """
    pair: Pair = {field: decode_field(field, data) for field, data in fields.items() if field != "meta.json"}
    return pair | {"meta.json": decode_meta(key, fields.get("meta.json", b""))}


def decode_meta(key: str, data: bytes) -> dict[str, Any]:
    """The meta.json of the sample that a shard holds as `key`. Raises ShardError where it is not of it."""
    meta = decode_field("meta.json", data)
    if not isinstance(meta, dict) or meta.get("key") != key:
        stated = meta.get("key") if isinstance(meta, dict) else None
        raise _undecodable("meta.json", f"it is of {str(stated)[:100]!r}, the shard's sample is {key!r}")
    assets = meta.get("assets")
    whole = isinstance(assets, list) and all(
        isinstance(asset, dict) and isinstance(asset.get("id"), str) for asset in assets
    )
    if not whole or not all(isinstance(asset.get("role"), str) for asset in assets):
        raise _undecodable("meta.json", "its assets are no list of ids and roles")
    params_of(meta)
    return meta


def _decoded_elsewhere(data: bytes) -> np.ndarray:
    """The image of a PNG that `check_png` passed and that is in a form of others."""
    # Late: what was made here is read without it.
    import cv2

    try:
        # Nothing but a PNG whose lengths are true comes here: OpenCV goes by content and believes all of it.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(str(error)) from error
    if image is None:
        raise ValueError("the PNG is damaged")
    if image.shape[2:] not in ((), (3,)):
        raise ValueError(f"it is {image.dtype} {image.shape}, and grey or RGB are stored")
    # Sixty times as fast as a copy of the reversed view, which took a fifth of the time of a decode.
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _array(data: bytes) -> np.ndarray:
    """A header of a few bytes can claim terabytes: it is held against what follows before memory is taken."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"it is of NumPy format {version}; 1.0 is written here")
    try:
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except (SyntaxError, tokenize.TokenError, TypeError, OverflowError) as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    claimed, there = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if dtype.hasobject or claimed != there or claimed > MAX_ARRAY_BYTES or min(shape, default=0) < 0:
        raise ValueError(f"it claims {claimed} bytes of {dtype}, and {there} bytes follow")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def png_size(field: str, data: bytes) -> tuple[int, int]:
    """(width, height) from the PNG header, before anything is decompressed."""
    if not data.startswith(PNG_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise _undecodable(field, "it is not a PNG")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def params_of(meta: Any) -> dict[str, Any]:
    """The parameters in a sample's meta.json, which are a JSON text of their own. Raises ShardError."""
    try:
        params = parse_json(meta["params"], MAX_FIELD_JSON_BYTES)
        if not isinstance(params, dict):
            raise ValueError("they are no object")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _undecodable("meta.json", f"its params cannot be read: {error!r}") from error
    return params


def check_key(key: str) -> None:
    """Raise ShardError unless `key` is safe as a file stem everywhere (no path, no dot, one alphabet)."""
    if not KEY_PATTERN.match(key):
        raise ShardError(
            f"sample key {key!r} is outside [a-z0-9_-]",
            consequence="readers split keys at dots and slashes, and a path in one can climb out of a folder",
            remedy="rename the sample, or import the shard with a key map",
        )


def _suffix(field: str) -> str:
    match = FIELD_PATTERN.match(field)
    if not match:
        raise foreign_field(field)
    return match.group(1)


def foreign_field(field: str, *, of: str = "") -> ShardError:
    """The error for a field whose name no reader may open."""
    return ShardError(
        f"field {field!r}{of} is not one of name.png, name.npy, name.json",
        consequence="other suffixes may run code when decoded (pickles, torch files), so none is opened",
        remedy="repack the sample with the allowed suffixes",
    )


def _undecodable(field: str, why: str) -> ShardError:
    return ShardError(
        f"field {field} cannot be decoded: {why}",
        consequence="the sample is not used",
        remedy="run `pairbridge verify` on the dataset; it names the shard and the key",
    )
