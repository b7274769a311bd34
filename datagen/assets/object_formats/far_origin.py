"""Coordinates far from the origin, as georeferenced scans have them: single precision loses the shape."""

from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.object_formats.unusable_objects import unusable

# Distance of the farthest coordinate over the extent: beyond it the centre is subtracted before Blender,
# which computes in single precision, reads the file.
_FAR = 100.0
# Spacing of single precision over the extent: above it steps are seen in the picture.
_COARSE = 5e-4


def far_centre(points: np.ndarray) -> np.ndarray | None:
    """The centre (3,) of the bounds of points (N, 3) that lie far from the origin; None if they do not."""
    if not len(points):
        return None
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    extent, reach = float((high - low).max()), float(np.abs([low, high]).max())
    return (low + high) / 2 if extent > 0 and reach > _FAR * extent else None


def check_shape_kept(path: Path, points: np.ndarray) -> None:
    """Raise AssetError where points (N, 3) lie too far from the origin for single precision."""
    reach, extent = float(np.abs(points).max()), float(np.ptp(points, axis=0).max())
    if np.spacing(np.float32(reach)) > _COARSE * extent:
        far = f"it lies {reach / extent:,.0f} times its size from the origin"
        why = "where single precision loses its shape: move it to the origin, then export it again"
        raise unusable(path, "far_from_origin", f"{far}, {why}")
