"""PBR folders a few pixels wide, named as the sites that give them away name theirs."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
AMBIENTCG = {
    "albedo": "Bricks075A_1K-JPG_Color.jpg",
    "roughness": "Bricks075A_1K-JPG_Roughness.jpg",
    "normal": "Bricks075A_1K-JPG_NormalGL.jpg",
    "normal_dx": "Bricks075A_1K-JPG_NormalDX.jpg",
    "displacement": "Bricks075A_1K-JPG_Displacement.jpg",
    "ao": "Bricks075A_1K-JPG_AmbientOcclusion.jpg",
    "metalness": "Bricks075A_1K-JPG_Metalness.jpg",
}
POLYHAVEN = {
    "albedo": "oak_veneer_01_diff_2k.png",
    "arm": "oak_veneer_01_arm_2k.png",
    "normal": "oak_veneer_01_nor_gl_2k.png",
    "displacement": "oak_veneer_01_disp_2k.png",
}
BLENDERKIT = {
    "albedo": "Old Plaster Base Color.PNG",
    "gloss": "Old Plaster Glossiness.PNG",
    "normal": "Old Plaster Normal OpenGL.PNG",
    "displacement": "Old Plaster Height.PNG",
}


def level(value: int | tuple[int, int, int]) -> np.ndarray:
    """A map of one value."""
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def two_halves(left: int | tuple[int, int, int], right: int | tuple[int, int, int]) -> np.ndarray:
    pixels = level(left)
    pixels[:, SIDE // 2 :] = right
    return pixels


FLAT = {
    "albedo": two_halves((180, 60, 40), (60, 60, 160)),
    "normal": level((128, 128, 255)),
    "normal_dx": level((128, 128, 255)),
    "metalness": level(0),
    "arm": level((255, 200, 0)),
    "opacity": two_halves(255, 0),
}


def write_material(folder: Path, names: dict[str, str], **maps: np.ndarray) -> Path:
    """The maps of `names` with these pixels, else flat ones; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for role, name in names.items():
        pixels = maps.get(role, FLAT.get(role, level(200)))
        Image.fromarray(pixels).save(folder / name, quality=95)
    return folder
