"""IC-Light's pixels: working size, grey behind the foreground, crops, slopes of light, and tensors.

Sizes are (width, height); images uint8 (H, W, 3) sRGB. The photograph is only ever resized, which can be
undone; the background alone is cropped. After the demonstrations of lllyasviel/IC-Light.
"""

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

MULTIPLE = 64
# Behind the foreground: the one level that becomes exactly 0 in `to_tensor`. Black would darken the result.
GREY = 127


def working_size(photo_WH: tuple[int, int], resolution: int) -> tuple[int, int]:
    """About `resolution`^2 pixels of the photograph's aspect, each side a multiple of 64."""
    scale = resolution / (photo_WH[0] * photo_WH[1]) ** 0.5
    return tuple(_rounded(side * scale) for side in photo_WH)


def enlarged(size_WH: tuple[int, int], scale: float) -> tuple[int, int]:
    """The second pass's size."""
    return tuple(_rounded(side * scale) for side in size_WH)


def grey_behind(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The foreground on grey: 127 + alpha (image - 127), truncated to uint8. alpha: float32 (H, W) 0..1."""
    mixed = GREY + (image.astype(np.float32) - GREY) * alpha[..., None]
    return mixed.clip(0, 255).astype(np.uint8)


def resized(image: np.ndarray, size_WH: tuple[int, int]) -> np.ndarray:
    """Lanczos, its support widened when it reduces."""
    return np.asarray(Image.fromarray(image).resize(size_WH, Image.Resampling.LANCZOS))


def cover_crop(image: np.ndarray, size_WH: tuple[int, int]) -> np.ndarray:
    """The largest centred part of this aspect, resized."""
    return np.asarray(ImageOps.fit(Image.fromarray(image), size_WH, Image.Resampling.LANCZOS))


def slope(side: str, size_WH: tuple[int, int]) -> np.ndarray:
    """White at `side` (left, right, top, bottom), falling evenly to black at the other."""
    width, height = size_WH
    across = side in ("left", "right")
    falling = np.linspace(255, 0, width if across else height)
    values = falling if side in ("left", "top") else falling[::-1]
    grid = np.tile(values, (height, 1)) if across else np.tile(values[:, None], (1, width))
    return np.repeat(grid[..., None], 3, axis=2).astype(np.uint8)


def to_tensor(images: list[np.ndarray]) -> Tensor:
    """float32 (B, 3, H, W): x / 127 - 1, so that grey 127 is 0 (and 255 a little above 1)."""
    return torch.from_numpy(np.stack(images)).float().movedim(-1, 1) / 127.0 - 1.0


def to_uint8(pixels: Tensor) -> list[np.ndarray]:
    """Between the passes: 127.5 x + 127.5, truncated, not the inverse of `to_tensor`; as it was trained."""
    levels = (pixels.movedim(1, -1) * 127.5 + 127.5).float().cpu().numpy()
    return list(levels.clip(0, 255).astype(np.uint8))


def to_levels(pixels: Tensor) -> list[np.ndarray]:
    """The result: float32 (H, W, 3) in 0..255, unrounded. NaN stays NaN."""
    levels = (pixels.movedim(1, -1) * 127.5 + 127.5).float().cpu().numpy()
    return list(levels.clip(0, 255))


def back_to(levels: np.ndarray, size_WH: tuple[int, int]) -> np.ndarray:
    """float32 (H, W, 3) of the photograph's size: `resized` undone, without the background's crop."""
    shrinks = levels.shape[1] >= size_WH[0] and levels.shape[0] >= size_WH[1]
    return cv2.resize(levels, size_WH, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _rounded(side: float) -> int:
    return max(MULTIPLE, round(side / MULTIPLE) * MULTIPLE)
