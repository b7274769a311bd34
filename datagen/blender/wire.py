"""What travels between a worker and its Blender process: one JSON object a line, each way."""

import json
import os
from typing import Any

import numpy as np


def encode_line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value)


def decode_line(line: bytes) -> dict[str, Any]:
    return json.loads(line)
