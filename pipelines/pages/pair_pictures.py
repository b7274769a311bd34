"""A pair's fields as pictures for a person's eyes, each as its kind asks."""

from collections.abc import Mapping

import cv2
import numpy as np

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.imaging.fill import fill_noise, fill_seed
from pairbridge.datagen.shards.fields import FieldKind, FieldSpec, HoleContent, Roles, stem_of
from pairbridge.datagen.shards.sample import Pair

# What people look for first; other fields follow by name.
_ORDER = ("source", "target", "depth", "normal", "mask")
# Depth is shown from its 2nd (white) to its 98th percentile (dark); what is not valid is black.
_TAIL_PERCENT = 2.0
_DARKEST = 40


def pair_pictures(pair: Pair, fields: Mapping[str, FieldSpec], roles: Roles) -> dict[str, np.ndarray]:
    """Name of the field without suffix -> uint8 (H, W, 3) or (H, W), in the order in which to show them.

    fields, roles: what the dataset states. Where no field is called source, and the source has a hole with
    noise, it is made as the reader makes it. Raises ShardError for fields that are not as stated.
    """
    found = {}
    for field, value in pair.items():
        if field != "meta.json" and field in fields:
            if problem := fields[field].problem(value):
                raise _misshapen(f"{field}: {problem}")
            found[stem_of(field)] = _picture(fields[field].kind, value)
    if roles.hole is HoleContent.NOISE and "source" not in found:
        hollow, mask = found[roles.source], found[roles.mask]
        if mask.shape != hollow.shape[:2]:
            raise _misshapen(f"{roles.source} is {hollow.shape} and {roles.mask} {mask.shape}")
        found["source"] = fill_noise(hollow, mask, fill_seed(pair["meta.json"]))
    names = sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return {name: found[name] for name in names}


def _picture(kind: FieldKind, value: np.ndarray) -> np.ndarray:
    """Arrays as a person reads them, labels as colours, of 16 bits the upper 8."""
    if kind is FieldKind.LABEL:
        return label_picture(value)
    if value.dtype == np.uint16:
        return (value >> 8).astype(np.uint8)
    if value.dtype == np.uint8:
        return value
    shown = {FieldKind.DEPTH: depth_picture, FieldKind.NORMAL: normal_picture, FieldKind.LIGHT: light_picture}
    return shown[kind](value)


def _misshapen(what: str) -> ShardError:
    return ShardError(
        f"{what}, which no pair has",
        consequence="it cannot be shown",
        remedy="run `pairbridge verify --decode` on the dataset; it lists all damage and what to rebuild",
    )


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Depth (H, W), 0 where it is not valid, as uint8 grey (H, W): the nearer, the brighter."""
    valid = depth > 0
    if not valid.any():
        return np.zeros(depth.shape, np.uint8)
    near, far = np.percentile(depth[valid], [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    share = np.clip((depth - near) / max(far - near, 1e-6), 0, 1)
    return np.where(valid, np.rint(255 - (255 - _DARKEST) * share), 0).astype(np.uint8)


def light_picture(radiance: np.ndarray) -> np.ndarray:
    """Linear radiance (H, W, 3) as uint8 RGB, clipped at 1."""
    return np.rint(255 * np.clip(radiance.astype(np.float32), 0, 1) ** (1 / 2.2)).astype(np.uint8)


def label_picture(labels: np.ndarray) -> np.ndarray:
    """Labels (H, W) as uint8 RGB: 0 black, neighbours in number far apart in hue."""
    hue = (labels.astype(np.uint32) * 222 % 360 // 2).astype(np.uint8)
    hsv = np.stack([hue, np.full_like(hue, 160), np.where(labels > 0, 230, 0).astype(np.uint8)], axis=2)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def normal_picture(normal: np.ndarray) -> np.ndarray:
    """Normals (H, W, 3) as uint8 RGB 127.5 (n + 1); black where they are 0, which is not valid."""
    valid = np.any(normal != 0, axis=2, keepdims=True)
    return np.where(valid, np.rint((normal.astype(np.float32) + 1) * 127.5), 0).astype(np.uint8)
