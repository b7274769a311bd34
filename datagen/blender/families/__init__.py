"""Procedural object families: `build("chair", 7)` puts one chair into the current Blender scene.

A family is a frozen dataclass of parameters and a pair of pure functions, in one file or, where that would be
long, in two (`<family>_params.py`): `<family>_rand(rng)` draws the parameters, `<family>(params)` returns the
object's parts as NumPy meshes with material descriptions. Only `realise.py` and `shading` touch Blender, and
they are imported when an object is built.
"""

import importlib

from pairbridge.datagen.blender.modelling.parts import Part
from pairbridge.datagen.core import seeds
from pairbridge.datagen.core.errors import AssetError

FAMILIES: tuple[str, ...] = (
    "alarm_clock",
    "bag",
    "books",
    "bottle",
    "box",
    "camera",
    "candle",
    "chair",
    "cushion",
    "drinking_glass",
    "fruit_bowl",
    "guitar",
    "hand_tool",
    "kettle",
    "mannequin",
    "mug",
    "potted_plant",
    "shoe",
    "statue",
    "table_lamp",
    "teapot",
    "teddy_bear",
    "tin_can",
    "toy_car",
    "vase",
    "vegetable",
    "watering_can",
)


def object_parts(family: str, seed: int) -> list[Part]:
    """The parts of one object: z up, front towards -y, roughly one unit large; a pure function of its
    arguments.

    Raises AssetError for a name that is not in FAMILIES.
    """
    if family not in FAMILIES:
        raise AssetError(
            f"{family!r} is no procedural object family",
            consequence="there is no code that could build this object",
            remedy=f"use one of {', '.join(FAMILIES)}",
        )
    module = importlib.import_module(f"{__name__}.{family}")
    params = getattr(module, f"{family}_rand")(seeds.rng(seed, "family", family))
    return getattr(module, family)(params)


def build(family: str, seed: int) -> None:
    """Add one object to the current scene's collection as a mesh object named after the family. Needs bpy."""
    from pairbridge.datagen.blender.modelling.realise import realise  # brings bpy with it

    realise(family, object_parts(family, seed))
