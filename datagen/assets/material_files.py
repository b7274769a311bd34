"""Materials of PBR textures as files: what is checked of their maps before one is in a catalogue.

Which file is which map says `pairbridge.datagen.assets.material_maps`.
"""

from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.material_maps import material_maps
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.assets.photographs import decode_photograph, load_still
from pairbridge.datagen.assets.texture_files import picture_size
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.core.picture_claims import PictureRefused

_DECODED = frozenset({".png", ".jpg", ".jpeg"})
# Of an opacity map, in 8 bits: what is darker anywhere is a hole.
_OPAQUE = 250


def check_material(main: Path, rules: ObjectRules) -> np.ndarray | None:
    """Its albedo as uint8 sRGB (H, W, 3), None of a format that only Blender decodes.

    Raises AssetError for a material without an albedo, with holes, or of which a map cannot be read, is
    larger than the limit or of another shape than the albedo; OSError where a file cannot be read.
    """
    maps = material_maps(main)
    if "albedo" not in maps:
        there = ", ".join(path.name for path in maps.values()) or main.name
        raise _unusable(main, "missing_albedo", f"there is no albedo (diffuse, color) beside {there}")
    sizes = {role: _size(path, rules) for role, path in maps.items()}
    wide, high = sizes["albedo"]
    for role, (width, height) in sizes.items():
        # Maps of one material may differ in resolution; what differs in shape is of another picture.
        if width * high != wide * height:
            raise _unusable(
                maps[role],
                "sizes_disagree",
                f"it has {width}x{height} pixels and {maps['albedo'].name} {wide}x{high}: another shape",
            )
    if "opacity" in maps:
        _check_closed(maps["opacity"])
    albedo = None
    for role, path in maps.items():
        if path.suffix.lower() in _DECODED:
            data = path.read_bytes()
            try:
                pixels = decode_photograph(data, path.name).pixels if role == "albedo" else None
                albedo = pixels if role == "albedo" else albedo
                if role != "albedo":
                    load_still(data, path.name)
            except AssetError as error:
                raise _unusable(path, "damaged", error.cause.partition("cannot be used: ")[2]) from error
    return albedo


def _size(path: Path, rules: ObjectRules) -> tuple[int, int]:
    try:
        with open(path, "rb") as stream:
            width, height = picture_size(stream, path.name)
    except PictureRefused as error:
        raise _unusable(path, "damaged", str(error)) from error
    if max(width, height) > rules.max_texture_side:
        raise _unusable(
            path,
            "texture_too_large",
            f"it has {width}x{height} pixels, above object_rules.max_texture_side of "
            f"{rules.max_texture_side}",
        )
    return width, height


def _check_closed(opacity: Path) -> None:
    if opacity.suffix.lower() in _DECODED:
        image = load_still(opacity.read_bytes(), opacity.name)
        if image.convert("L").getextrema()[0] >= _OPAQUE:
            return
    why = "it has holes, through which a ground or wall would show what lies behind it"
    raise _unusable(opacity, "transparent", why)


def _unusable(path: Path, fault: str, why: str) -> AssetError:
    return AssetError(
        f"material map {path.name} cannot be used: {why}",
        remedy="complete the folder from its download, or leave the material out",
        fault=fault,
    )
