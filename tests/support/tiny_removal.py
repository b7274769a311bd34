"""Removal pairs of small photographs: real pairs through the real pipeline, without Blender or a model, a few
milliseconds each.
"""

from pathlib import Path

import cv2
import numpy as np

from pairbridge.datagen.dataset.dataset_config import DatasetConfig


def add_photos(folder: Path, *names: str) -> None:
    """Photographs of waves, each its own, pinned to train."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:48, :64]
    for name in names:
        phase = sum(name.encode())
        waves = [127 + 90 * np.sin(x / (5 + channel) + y / 7 + phase) for channel in range(3)]
        cv2.imwrite(str(folder / f"{name}.png"), np.stack(waves, axis=-1).astype(np.uint8))
    with open(folder / "catalogue.yaml", "a") as stream:
        stream.writelines(f"{name}: {{split: train, licence: CC0-1.0}}\n" for name in names)


def removal_config(
    photos: Path, *, groups: int, groups_per_shard: int = 2, **recipe: object
) -> DatasetConfig:
    """Groups of two 32x32 pairs from the photographs in `photos`, which are made if there are none."""
    if not photos.exists():
        add_photos(photos, "wave-a", "wave-b", "wave-c")
    holes = {"kind": "photo_removal", "groups": {"train": groups}, "pairs_per_group": 2, "size_WH": [32, 32]}
    return DatasetConfig.model_validate(
        {
            "name": "waves",
            "seed": 3,
            "assets": {"embedded": False, "photos": [str(photos)]},
            "groups_per_shard": groups_per_shard,
            "recipes": {"holes": holes | recipe},
        }
    )
