"""Label maps of other people's making as whole numbers (H, W), or a named refusal of what holds none.

A label is a number of the file, not a colour: of a picture with a palette its indices, of a grey picture its
levels, of 8 or 16 bits. Lossy files are refused, because what compression changes becomes another label.
"""

import numpy as np

from pairbridge.datagen.assets.photographs import PhotographError, load_still, refusing_damage


def decode_labels(data: bytes, name: str) -> np.ndarray:
    """int64 (H, W). Raises PhotographError."""
    image = load_still(data, name)
    if image.format in ("JPEG", "MPO") or (image.format == "WEBP" and data[12:16] == b"VP8 "):
        raise _no_labels(name, "it is compressed with loss, which changes numbers")
    with refusing_damage(name):
        numbers = np.asarray(image)
    if numbers.ndim == 3 and (numbers[..., :3] == numbers[..., :1]).all():
        numbers = numbers[..., 0]
    if numbers.ndim != 2 or numbers.dtype.kind not in "uib":
        raise _no_labels(name, "it is in colour, and which label a colour stands for is not known")
    return numbers.astype(np.int64)


def _no_labels(name: str, why: str) -> PhotographError:
    return PhotographError(
        f"{name} is no label map: {why}",
        remedy="give a PNG whose grey levels, or whose indices of a palette, are the numbers of labels",
        fault="no_labels",
    )
