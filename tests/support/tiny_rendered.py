"""Real assets small enough to render in a blink, and a dataset over them: for tests of everything around a
render.
"""

import math
from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.dataset.dataset_config import DatasetConfig


def write_assets(root: Path, *, num_objects: int = 3, num_lightings: int = 3) -> None:
    """`root/objects` with lobed spheres and `root/hdris` with one soft lamp each, all pinned to train."""
    for folder, names in (
        ("objects", [f"shape-{number}" for number in range(num_objects)]),
        ("hdris", [f"lamp-{number}" for number in range(num_lightings)]),
    ):
        (root / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            if folder == "objects":
                (root / folder / f"{name}.obj").write_text(lobed_sphere(number + 2))
            else:
                write_exr(root / folder / f"{name}.exr", lamp(number / num_lightings))
        pin(root / folder, names)


def pin(folder: Path, names: list[str]) -> None:
    """Put these assets of a user folder into the training split."""
    with open(folder / "catalogue.yaml", "a") as stream:
        stream.writelines(f"{name}: {{split: train, licence: CC0-1.0}}\n" for name in names)


def lobed_sphere(lobes: int) -> str:
    """A Wavefront OBJ of 96 quads, different for each number of lobes."""
    rings, sides = 8, 12
    lines = []
    for ring in range(rings + 1):
        for side in range(sides):
            theta, phi = math.pi * ring / rings, math.tau * side / sides
            radius = 1 + 0.3 * math.sin(lobes * phi) * math.sin(theta)
            x, y = radius * math.sin(theta) * math.cos(phi), radius * math.sin(theta) * math.sin(phi)
            lines.append(f"v {x:.5f} {y:.5f} {radius * math.cos(theta):.5f}")
    for ring in range(rings):
        for side in range(sides):
            here, beside = ring * sides + side + 1, ring * sides + (side + 1) % sides + 1
            lines.append(f"f {here} {beside} {beside + sides} {here + sides}")
    return "\n".join(lines) + "\n"


def lamp(turn: float) -> np.ndarray:
    """A grey room with one bright patch, `turn` of a full turn around: (16, 32, 3) float32 linear."""
    room = np.full((16, 32, 3), 0.25, np.float32)
    room[8:] = (0.12, 0.1, 0.08)
    start = int(32 * turn)
    room[3:6, start : start + 4] = (3.0, 2.7, 2.2)
    return room


def tiny_config(assets: Path, *, groups: int, groups_per_shard: int = 3, **recipe: object) -> DatasetConfig:
    """Groups of two 32x32 pairs at 4 samples; about 0.15 s each on one core."""
    swap = {
        "kind": "relighting_swap",
        "standing": 0.0,
        "groups": {"train": groups},
        "size_WH": [32, 32],
        "lightings_per_group": 2,
        "strength": [0.8, 1.2],
        "tint": 0.1,
    }
    return DatasetConfig.model_validate(
        {
            "name": "tiny",
            "seed": 3,
            "assets": {
                "embedded": False,
                "objects": [str(assets / "objects")],
                "hdris": [str(assets / "hdris")],
            },
            "render": {"samples": 4, "lighting_copy_width": 32},
            "groups_per_shard": groups_per_shard,
            "recipes": {"swap": swap | recipe},
        }
    )
