"""Photographs that cannot be used, each broken in its own way, and the reason that must be given for it."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from pairbridge.datagen.core.seeds import rng

SIZE_WH = (72, 48)


def scene(name: object) -> np.ndarray:
    """A smooth random picture, uint8 (48, 72, 3)."""
    small = rng(0, "scene", str(name)).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(small, SIZE_WH, interpolation=cv2.INTER_CUBIC)


IMAGE = scene("one")


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(image: np.ndarray, **options) -> bytes:
    return encoded(Image.fromarray(image), "PNG", **options)


def with_alpha(alpha: int) -> bytes:
    return png(np.dstack([IMAGE, np.full(IMAGE.shape[:2], alpha, np.uint8)]))


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(scene(number)) for number in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header alone is there, and claims a size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return head + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


PALETTE = Image.fromarray(IMAGE).convert("P")
CMYK = Image.fromarray(IMAGE).convert("CMYK")
JPEG = encoded(Image.fromarray(IMAGE), "JPEG", quality=90)
BROKEN = {
    "empty": (b"", "it is empty"),
    "text": (b"not an image at all", "damaged, or of another format"),
    "gif": (encoded(Image.fromarray(IMAGE), "GIF"), "it is a GIF"),
    "cut": (JPEG[: len(JPEG) // 2], "is damaged"),
    "cut-png": (png(IMAGE)[:900], "is damaged"),
    "bomb": (claiming(60_000, 60_000), "(claims 60000x60000|header cannot be used)"),
    "animated-png": (animated("PNG"), "animated: 3 frames"),
    "animated-webp": (animated("WEBP"), "animated: 3 frames"),
    "transparent": (with_alpha(128), "transparent in places"),
    "palette": (
        encoded(PALETTE, "PNG", transparency=PALETTE.getpixel((0, 0))),
        "transparent in places",
    ),
    "cmyk": (encoded(CMYK, "JPEG"), "CMYK without a colour profile"),
    "cmyk-profile": (encoded(CMYK, "JPEG", icc_profile=b"none of that"), "unusable colour profile"),
    "depth": (png((IMAGE[..., 0].astype(np.uint16)) * 100), "more than 8 bits"),
    "tiny": (png(IMAGE[:20]), "72x20 pixels, and its shorter side must have 32"),
    "banner": (png(np.hstack([IMAGE] * 4)), "as 6.00 to 1"),
}
