"""What a render holds beside the pictures of a pair, as fields that a recipe stores on wish (`store`).

| name | file | values |
|---|---|---|
| `albedo` | `albedo.png` | diffuse plus glossy colour, 8-bit sRGB, premultiplied by coverage |
| `depth` | `depth.npy` | float32, planar, in radii of the first object; 0 where no surface fills the pixel |
| `normal` | `normal.npy` | float16, unit normals of the geometry in camera space; 0 where depth is |
| `roughness`, `metallic` | `.png` | 8 bits for 0 to 1, of the surface's shader; 0 where nothing is |
| `instance` | `instance.png` | 1 + the object's place in `params.objects`; 0 elsewhere |
| `category` | `category.png` | the object's number in CATEGORIES; 0 elsewhere |
| `edges` | `edges.png` | 255 on the edges of the picture, lines of a pixel (Canny) |
| `plate` | `plate.png` | the target without its objects |
| `foreground` | `foreground.png` | the objects alone as the source shows them, on black |
| `delit` | `delit.png` | the target with its objects as equal light from everywhere shows them |
| `effect_shadow`, `effect_light` | `.png` | where removed objects darken and where they brighten the rest |
| `light_source`, `light_target` | `.npy` | `pairbridge.datagen.lighting.environment_maps` |

Depth, normals and light are 16 and 32-bit floats, because 8 bits would band or clip. The camera is in
`meta.json` of every rendered sample (`params.K`, `params.camera_to_world`), one for all pictures. Surfaces
are those of the scene with all its objects: of a removal pair, the source. The plate is the target, to the
byte, where the objects have no effect.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from pairbridge.datagen.assets.catalogue import HUMAN
from pairbridge.datagen.imaging.colour import srgb_encode
from pairbridge.datagen.imaging.compositing import alpha_to_mask
from pairbridge.datagen.imaging.effect_masks import blended, effect_regions, seen_difference
from pairbridge.datagen.imaging.photographic_finish import Developed
from pairbridge.datagen.lighting.ground_projection import plane_depth
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.scene.specs import RECEIVER_REACH, CameraPose, RenderedPasses
from pairbridge.datagen.shards.fields import FIELDS, FieldKind, FieldSpec, mask_field
from pairbridge.datagen.shards.sample import Pair

SurfaceField = Literal["albedo", "depth", "normal", "roughness", "metallic", "instance", "category"]

# The classes of category.png: what comes from a file, then the families. New ones go to the end for ever.
CATEGORIES = (
    "none",
    "object of a file",
    "person of a file",
    "alarm_clock",
    "camera",
    "chair",
    "guitar",
    "mannequin",
    "mug",
    "potted_plant",
    "shoe",
    "table_lamp",
    "teapot",
    "teddy_bear",
    "toy_car",
    "vase",
    "watering_can",
    "bottle",
    "drinking_glass",
    "books",
    "fruit_bowl",
    "tin_can",
    "box",
    "statue",
    "cushion",
    "hand_tool",
    "vegetable",
    "bag",
    "candle",
    "kettle",
)

# A pixel that a surface fills; thinner ones mix it with what is behind.
SOLID = 0.99
# Least difference, of white, that is an effect of objects, and the fade around it, of the shorter side: those
# of removal pairs by default.
_EFFECT_THRESHOLD, _EFFECT_REACH = 0.02, 0.015


def _picture(shows: str) -> FieldSpec:
    return FieldSpec(kind=FieldKind.IMAGE, encoding="srgb", channels=3, dtype="uint8", shows=shows)


def _share(shows: str) -> FieldSpec:
    return FieldSpec(kind=FieldKind.IMAGE, encoding="share", channels=1, dtype="uint8", shows=shows)


def _label(shows: str) -> FieldSpec:
    return FieldSpec(kind=FieldKind.LABEL, encoding="index", channels=1, dtype="uint8", shows=shows)


def _effect(how: str) -> FieldSpec:
    return mask_field(
        f"255 where the removed objects make what is beside them {how}, in linear luminance, pixel by pixel "
        "within effect.png; a reflection is either; else 0"
    )


def _light(of: str) -> FieldSpec:
    return FieldSpec(
        kind=FieldKind.LIGHT,
        encoding="radiance",
        channels=3,
        dtype="float16",
        shows=f"the light on the {of}: an equirectangular environment map in camera coordinates, 64 x 32, "
        "with the camera's view in its middle (docs/scenes.md)",
    )


# By name in `store`: the file, and what it holds.
STORED: dict[str, tuple[str, FieldSpec]] = {
    "albedo": (
        "albedo.png",
        _picture("diffuse plus glossy colour of surfaces, over black where there are none"),
    ),
    "depth": (
        "depth.npy",
        FIELDS["depth.npy"].model_copy(
            update={
                "shows": "planar depth of the scene, relative: in radii of the first object's bounding "
                "sphere, since assets carry no real size; 0 where no surface fills the pixel"
            }
        ),
    ),
    "normal": (
        "normal.npy",
        FIELDS["normal.npy"].model_copy(
            update={
                "shows": "unit normals of the scene's geometry in camera space (x right, y up, z to the "
                "camera), without bump maps; 0 where no surface fills the pixel"
            }
        ),
    ),
    "roughness": ("roughness.png", _share("roughness of surfaces, 1 of matte ones; 0 where there are none")),
    "metallic": ("metallic.png", _share("how far surfaces are metal; 0 where there are none")),
    "instance": (
        "instance.png",
        _label("1 + the place in params.objects of the object that fills most of the pixel; 0 elsewhere"),
    ),
    "category": (
        "category.png",
        _label(
            "class of that object: " + ", ".join(f"{number} {name}" for number, name in enumerate(CATEGORIES))
        ),
    ),
    "edges": ("edges.png", _share("1 on the edges of the picture, lines one pixel wide (Canny); else 0")),
    "plate": ("plate.png", _picture("the target without its objects")),
    "foreground": ("foreground.png", _picture("the objects alone as the source shows them, on black")),
    "delit": (
        "delit.png",
        _picture("the target with its objects as equal white light from everywhere shows them"),
    ),
    "effect_shadow": ("effect_shadow.png", _effect("darker (shadows)")),
    "effect_light": ("effect_light.png", _effect("brighter (light that they bounce or give off)")),
    "light_source": ("light_source.npy", _light("source")),
    "light_target": ("light_target.npy", _light("target")),
}


def with_stored(fields: Iterable[str], store: Sequence[str]) -> tuple[str, ...]:
    """The files of every sample: a recipe's own, and those that it is to store. Sorted."""
    return tuple(sorted({*fields, *(STORED[name][0] for name in store)}))


def declared(store: Sequence[str]) -> dict[str, FieldSpec]:
    """What those files hold."""
    return dict(STORED[name] for name in store)


def stored(store: Sequence[str], makers: Mapping[str, Callable[[], np.ndarray]]) -> Pair:
    """The fields that are to be stored, made by the makers of their names."""
    return {STORED[name][0]: makers[name]() for name in store}


def surface_makers(
    passes: RenderedPasses, pose: CameraPose, params: dict[str, Any], workbench: Workbench
) -> dict[str, Callable[[], np.ndarray]]:
    """What makes each SurfaceField of a render of all of the `objects` of a plan's `params`."""

    def geometry() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return geometry_of(passes, pose, far=math.inf, normals="geometric")

    return {
        "albedo": lambda: np.rint(255 * srgb_encode(np.clip(passes.albedo, 0, 1))).astype(np.uint8),
        "depth": lambda: geometry()[0],
        "normal": lambda: geometry()[1],
        "roughness": lambda: alpha_to_mask(passes.roughness),
        "metallic": lambda: alpha_to_mask(passes.metallic),
        "instance": lambda: instances(passes),
        "category": lambda: categories(instances(passes), params["objects"], workbench),
    }


def with_plane(
    passes: RenderedPasses, albedo: np.ndarray, pose: CameraPose, size_WH: tuple[int, int]
) -> RenderedPasses:
    """A render of objects with the surfaces of the photographed ground z = 0 behind them, whose receiver has
    `albedo` (H, W, 3): as matte as its light is reckoned, as far as RECEIVER_REACH.
    """
    depth = plane_depth(pose, size_WH, RECEIVER_REACH)
    alpha = np.clip(passes.rgba[..., 3], 0, 1)
    rgba = passes.rgba.copy()
    rgba[..., 3] = np.where(depth > 0, 1, alpha)
    # Where the render met the receiver its own passes hold it already, at the edges of objects too.
    bare = (depth > 0) & (alpha == 0)
    unmet = (depth > 0) & (passes.depth == 0)
    up = np.array([0, 0, 1], np.float32)
    behind = np.where(bare[..., None], albedo, passes.albedo + ((1 - alpha) * unmet)[..., None] * albedo)
    return dataclasses.replace(
        passes,
        rgba=rgba,
        depth=np.where(bare, depth, passes.depth),
        normal=np.where(bare[..., None], up, passes.normal),
        shading_normal=np.where(bare[..., None], up, passes.shading_normal),
        albedo=behind.astype(np.float32),
        roughness=np.where(bare, np.float32(1), passes.roughness),
        metallic=np.where(bare, np.float32(0), passes.metallic),
    )


def plate_of(
    target: np.ndarray, picture: np.ndarray, plate: np.ndarray, alpha: np.ndarray, developed: Developed
) -> np.ndarray:
    """uint8 (H, W, 3): the `plate`, a linear picture without the objects, beside the `target` that shows the
    linear `picture` with them; `alpha` (H, W) is theirs. Outside their effect it is the target, to the byte,
    as the source of a removal pair is.
    """
    difference = seen_difference(picture, plate, developed.view)
    effect = effect_regions(difference, alpha > 0, _EFFECT_THRESHOLD)
    return blended(developed.apply(plate), target, effect, round(_EFFECT_REACH * min(effect.shape)))


def geometry_of(
    passes: RenderedPasses, pose: CameraPose, *, far: float, normals: Literal["geometric", "shading"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth float32 (H, W), camera-space normals float16 (H, W, 3) and where they hold, bool (H, W): where a
    surface no farther than `far` fills the pixel.
    """
    # The columns of the matrix are the camera's axes in the world, so this is the transpose's product.
    world = passes.normal if normals == "geometric" else passes.shading_normal
    normal = world @ np.array(pose.camera_to_world, np.float32)[:3, :3]
    valid = (passes.rgba[..., 3] > SOLID) & (passes.depth > 0) & (passes.depth <= far)
    valid &= np.abs(np.linalg.norm(normal, axis=2) - 1) < 1e-3
    depth = np.where(valid, passes.depth, np.float32(0))
    return depth, np.where(valid[..., None], normal, 0).astype(np.float16), valid


def instances(passes: RenderedPasses) -> np.ndarray:
    """uint8 (H, W): the number of the object that fills most of each pixel, from 1, or 0 where what is none
    fills more.
    """
    coverage = passes.rgba[None, ..., 3] if passes.coverage is None else passes.coverage
    largest = coverage.max(axis=0)
    rest = 1 - coverage.sum(axis=0)
    return np.where((largest > 0) & (largest >= rest), coverage.argmax(axis=0) + 1, 0).astype(np.uint8)


def categories(instance: np.ndarray, objects: Sequence[dict[str, Any]], workbench: Workbench) -> np.ndarray:
    """uint8 (H, W): an instance map with the number in CATEGORIES in place of the object's."""
    numbers = [0, *(CATEGORIES.index(_category(entry["id"], workbench)) for entry in objects)]
    return np.array(numbers, np.uint8)[instance]


def _category(object_id: str, workbench: Workbench) -> str:
    name, _, seed = object_id.partition(":")
    if seed:
        return name
    return "person of a file" if HUMAN in workbench.catalogue.get(name).tags else "object of a file"
