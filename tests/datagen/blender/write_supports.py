"""Settles stacks and leanings of embedded families, and measures them by Blender's own trees of triangles,
which know nothing of ours. Run as a script with the folder to write supports.json to: a list of pairs,
lengths in metres at real size.
"""

import itertools
import json
import math
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from pairbridge.datagen.blender.families import build
from pairbridge.datagen.blender.imported.evaluated_geometry import evaluated
from pairbridge.datagen.scene.object_sizes import facts_of
from pairbridge.datagen.scene.settle import Settled, Surface, settle
from pairbridge.datagen.scene.specs import ObjectSpec, PlacedObject
from pairbridge.datagen.scene.support_poses import centre_of_mass

STACKS = [
    ("teapot", "books"),
    ("potted_plant", "box"),
    ("tin_can", "box"),
    ("box", "box"),
    ("books", "chair"),
    ("alarm_clock", "books"),
    ("mug", "books"),
]
LEANINGS = [("books", "box"), ("hand_tool", "box"), ("guitar", "chair"), ("box", "table_lamp")]
WALLS = [("guitar", "chair"), ("hand_tool", "kettle"), ("books", "mug"), ("box", "vase")]
WALL_RAD, BEARING_RAD = 0.6, 0.8
BEARING = np.array([math.cos(BEARING_RAD), math.sin(BEARING_RAD), 0.0])


def surface_of(family: str, seed: int) -> Surface:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    build(family, seed)
    vertices, triangles, _, _ = evaluated(list(bpy.data.objects))
    return Surface(vertices, triangles)


def size_of(family: str) -> float:
    low, high = facts_of(family).size_m
    return math.sqrt(low * high)


def tree(points: np.ndarray, faces: np.ndarray, by: np.ndarray) -> BVHTree:
    return BVHTree.FromPolygons((points + by).tolist(), faces.tolist(), all_triangles=True)


def measured(relation: str, upper: str, lower: str, seed: int, keys: dict) -> dict:
    names, surfaces = (lower, upper), [surface_of(lower, seed), surface_of(upper, seed + 1)]
    sizes = [size_of(name) for name in names]
    if relation == "stacked":
        sizes[1] = min(sizes[1], sizes[0])
    # A unit is a metre.
    scales = [size / np.ptp(one.vertices, axis=0).max() for size, one in zip(sizes, surfaces, strict=True)]
    placed = [
        PlacedObject(
            object=ObjectSpec(family=name, seed=seed),
            standing=True,
            size_m=size,
            pose="upright",
            never_lies=not facts_of(name).lies,
            **({} if number == 0 else {"relation": relation, "gap_m": 0.05, "tilt_rad": 0.12, **keys}),
        )
        for number, (name, size) in enumerate(zip(names, sizes, strict=True))
    ]
    there, here = settle(placed, surfaces, scales, 1.0)
    found = {"pair": [relation, upper, lower], "came": here.relation, "wall": here.wall_rad is not None}
    if here.relation != relation:
        return found
    points = [place.world(one.vertices) for place, one in zip((there, here), surfaces, strict=True)]
    faces = [one.faces for one in surfaces]
    return found | distances(relation, points, faces, here)


def distances(relation: str, points: list[np.ndarray], faces: list[np.ndarray], here: Settled) -> dict:
    """How far the two go into each other when the upper one is drawn back by a tenth of a millimetre, whether
    they meet when it goes on by one, and how far inside its support its centre of mass is."""
    mass = centre_of_mass(points[1][faces[1]])
    if here.wall_rad is not None:
        towards = np.array([math.cos(here.wall_rad), math.sin(here.wall_rad), 0.0])
        # The wall is where the farthest of all vertices is.
        reach = max(float((one @ towards).max()) for one in points)
        gap = reach - float((points[1] @ towards).max())
        overlaps = tree(points[0], faces[0], np.zeros(3)).overlap(tree(points[1], faces[1], np.zeros(3)))
        meets = gap < 1e-3
    else:
        towards = (
            np.array([0.0, 0.0, -1.0]) if relation == "stacked" else (points[0].mean(0) - mass) * [1, 1, 0]
        )
        towards = towards / np.linalg.norm(towards)
        still = tree(points[0], faces[0], np.zeros(3))
        overlaps = still.overlap(tree(points[1], faces[1], -1e-4 * towards))
        meets = bool(still.overlap(tree(points[1], faces[1], 1e-3 * towards)))
    if relation == "stacked":
        held = held_places(points, faces, points[1].min(axis=0), points[1].max(axis=0)) - mass[:2]
        angles = np.arange(16) * math.tau / 16
        margin = float((held @ np.stack([np.cos(angles), np.sin(angles)])).max(axis=0).min())
    else:
        foot = points[1][points[1][:, 2] < points[1][:, 2].min() + 1e-3]
        margin = float(mass @ towards - (foot @ towards).max())
    return {
        "inside": len(overlaps),
        "meets": meets,
        "margin_m": margin,
        "ground_m": float(points[1][:, 2].min()),
    }


def held_places(
    points: list[np.ndarray], faces: list[np.ndarray], low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """(N, 2) of a grid: where the upper one is at most 2 mm above the lower one."""
    lower, upper = (tree(one, sides, np.zeros(3)) for one, sides in zip(points, faces, strict=True))
    found = []
    for x, y in itertools.product(np.linspace(low[0], high[0], 80), np.linspace(low[1], high[1], 80)):
        under = upper.ray_cast(Vector((x, y, low[2] - 0.05)), Vector((0, 0, 1)))[0]
        top = lower.ray_cast(Vector((x, y, high[2] + 0.05)), Vector((0, 0, -1)))[0]
        if under is not None and top is not None and abs(under.z - top.z) < 2e-3:
            found.append((x, y))
    return np.array(found).reshape(-1, 2)


def main(folder: Path) -> None:
    keys = itertools.chain(
        (("stacked", *pair, {"place_u": 0.4}) for pair in STACKS),
        (("leaning", *pair, {"bearing_rad": BEARING_RAD}) for pair in LEANINGS),
        (("leaning", *pair, {"wall_rad": WALL_RAD, "bearing_rad": BEARING_RAD}) for pair in WALLS),
    )
    found = [measured(relation, upper, lower, 11, extra) for relation, upper, lower, extra in keys]
    (folder / "supports.json").write_text(json.dumps(found))
    print("written")


main(Path(sys.argv[1]))
