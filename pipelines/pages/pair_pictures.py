"""A pair's fields as pictures for a person's eyes: images as they are, depth as grey, normals as colours."""

import numpy as np

from pairbridge.datagen.imaging.fill import fill_noise, fill_seed
from pairbridge.datagen.shards.sample import Pair

# What people look for first; other fields follow by name.
_ORDER = ("source", "target", "depth", "normal", "mask")
# Depth is shown from its 2nd (white) to its 98th percentile (dark); what is not valid is black.
_TAIL_PERCENT = 2.0
_DARKEST = 40


def pair_pictures(pair: Pair) -> dict[str, np.ndarray]:
    """Name of the field without suffix -> uint8 (H, W, 3) or (H, W), in the order in which to show them.

    The source of a removal pair that stores none is made as the reader makes it. Arrays that are neither
    depth nor normals are left out.
    """
    found = {}
    for field, value in pair.items():
        name, _, suffix = field.rpartition(".")
        if suffix == "png":
            found[name] = value
        elif suffix == "npy" and name in ("depth", "normal"):
            found[name] = (depth_picture if name == "depth" else normal_picture)(value)
    if "source" not in found and {"target", "mask"} <= found.keys():
        found["source"] = fill_noise(found["target"], found["mask"], fill_seed(pair["meta.json"]))
    names = sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return {name: found[name] for name in names}


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Depth (H, W), 0 where it is not valid, as uint8 grey (H, W): the nearer, the brighter."""
    valid = depth > 0
    if not valid.any():
        return np.zeros(depth.shape, np.uint8)
    near, far = np.percentile(depth[valid], [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    share = np.clip((depth - near) / max(far - near, 1e-6), 0, 1)
    return np.where(valid, np.rint(255 - (255 - _DARKEST) * share), 0).astype(np.uint8)


def normal_picture(normal: np.ndarray) -> np.ndarray:
    """Normals (H, W, 3) as uint8 RGB 127.5 (n + 1); black where they are 0, which is not valid."""
    valid = np.any(normal != 0, axis=2, keepdims=True)
    return np.where(valid, np.rint((normal.astype(np.float32) + 1) * 127.5), 0).astype(np.uint8)
