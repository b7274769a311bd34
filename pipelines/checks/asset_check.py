"""Every asset of a folder opened and rendered as a dataset would: how it looks, or why it is refused.

Which files are assets is told from the folder alone. Objects bring pictures along: one that an object's file
names, or that lies in a folder of textures, is no photograph and no environment map.
"""

import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.assets.catalogue import UNSPECIFIED, Asset, AssetsConfig, Catalogue
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.assets.material_files import check_material
from pairbridge.datagen.assets.material_maps import material_maps
from pairbridge.datagen.assets.photographs import read_photograph
from pairbridge.datagen.blender.blender_errors import BlenderCrashed, BlenderTimedOut
from pairbridge.datagen.blender.client import BlenderClient
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.core.errors import AssetError, PairbridgeError, Rejected
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.imaging.compositing import over_linear
from pairbridge.datagen.imaging.quality import Gates, check_render
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.lighting.baking.studio_rigs import studio_rig
from pairbridge.datagen.lighting.equirect import Environment, load_environment
from pairbridge.datagen.lighting.exposure import normalising_factor
from pairbridge.datagen.recipes.workbench import open_blender
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, PlacedObject, ReceiverSpec, SceneSpec
from pairbridge.datagen.scene.surface_draws import METRES_A_UNIT, USUAL_SIDE_M, mapped_surface
from pairbridge.pipelines.checks.texture_names import textures_of
from pairbridge.pipelines.pages.sheets import reduced

USABLE = "usable"
# Enough for a look; the figures of a dataset are its own.
SAMPLES = 16
BACKDROP = 0.35
# Of depth over height: what is flatter may lie.
_TALLER = 2.0
VIEW = CameraSpec(azimuth_rad=-1.1, elevation_rad=0.3, fov_x_rad=math.radians(32), fill=0.86)

_KIND_FOLDERS = ("objects", "hdris", "photos", "materials", "scenes")
# A picture in a folder of all kinds is a photograph: maps are told by their names in a folder of materials.
_ANYWHERE = ("objects", "hdris", "photos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of one asset. `outcome` is "usable", or the name of what is wrong with it."""

    asset: Asset
    outcome: str
    reason: str  # in a sentence; what it measures where it is usable
    thumbnail: np.ndarray | None  # uint8 RGB; None where it is refused
    hint: str = ""  # what may be wrong with a usable one, and what to write then

    @property
    def usable(self) -> bool:
        return self.outcome == USABLE

    def record(self, root: Path) -> dict[str, Any]:
        """As JSON, its path relative to `root` where it lies below."""
        path = self.asset.path
        known = self.asset.record()
        return {
            "path": (path.relative_to(root) if path.is_relative_to(root) else path).as_posix(),
            "outcome": self.outcome,
            "reason": self.reason,
            "hint": self.hint,
            **{name: known[name] for name in ("id", "kind", "licence", "author", "source", "tags")},
            # What is refused has no place in a split.
            **{name: known[name] if self.usable else None for name in ("split", "group")},
        }


def check_assets(
    assets: Iterable[Asset],
    config: DatasetConfig,
    *,
    size: int,
    threads: int,
    log_path: Path,
    on_asset: Callable[[Asset], None] = lambda asset: None,
) -> Iterator[Checked]:
    """One Checked for each asset, in order; `on_asset` is told before each.

    The rules, add-ons, device, view and time limit (`execution.request_timeout_s`) are the config's. Raises
    BlenderUnavailable where Blender itself, a GPU or an add-on is missing: that says nothing about an asset.
    """
    with tempfile.TemporaryDirectory(prefix="pairbridge-assets-") as folder:
        scratch = Path(folder)
        light = Environment(studio_rig(rng(1, "asset check"), 256))
        write_exr(scratch / "light.exr", light.pixels)
        quick = RenderSettings(samples=SAMPLES, device=config.render.device, python=config.render.python)
        settings = dataclasses.replace(config.workbench, render=quick)
        with open_blender(settings, scratch_dir=scratch, log_path=log_path, threads=threads) as blender:
            for asset in assets:
                on_asset(asset)
                yield _checked(asset, config, size, blender, scratch / "light.exr", light)


def _checked(
    asset: Asset,
    config: DatasetConfig,
    size: int,
    blender: BlenderClient,
    light_path: Path,
    light: Environment,
) -> Checked:
    hint = ""
    try:
        match asset.kind:
            case "object":
                image, facts, hint = _object(asset, config.view, size, blender, light_path, light)
            case "scene":
                image, facts, _ = _object(asset, config.view, size, blender, light_path, light)
            case "hdri":
                image, facts = _lighting(asset.path, config.view, size)
            case "material":
                check_material(asset.path, config.assets.object_rules)
                image, facts = _material(asset, config.view, size, blender, light_path, light)
            case _:
                image = read_photograph(asset.path, config.assets.photo_rules).pixels
                facts = f"{image.shape[1]}x{image.shape[0]} pixels"
        return Checked(asset=asset, outcome=USABLE, reason=facts, thumbnail=reduced(image, size), hint=hint)
    except (AssetError, Rejected) as error:
        return _refused(asset, error.fault if isinstance(error, AssetError) else error.gate, error)
    except BlenderTimedOut as error:
        return _refused(asset, "timed_out", error)
    except BlenderCrashed as error:
        # A kill from outside says nothing of the asset, and would be repeated for the next one.
        if error.signal == "SIGKILL":
            raise
        return _refused(asset, "crashed", error)


def _refused(asset: Asset, outcome: str, error: PairbridgeError) -> Checked:
    # Blender's log follows a crash or a time-out; the file's path stands beside the reason.
    reason = error.cause.splitlines()[0].partition("; last lines of its log")[0]
    reason = reason.replace(str(asset.path), asset.path.name)
    return Checked(asset=asset, outcome=outcome, reason=reason, thumbnail=None)


def _object(
    asset: Asset, view: ViewTransform, size: int, blender: BlenderClient, light_path: Path, light: Environment
) -> tuple[np.ndarray, str, str]:
    info = blender.load_object(ObjectSpec(path=asset.path, up=asset.up))
    blender.set_camera(VIEW, (size, size))
    passes = blender.render(environment_path=light_path, seed=1)
    check_render(passes.rgba, passes.albedo, Gates())
    factor = normalising_factor(light, picture=0.4, limit=0.8)
    scale = np.array([factor, factor, factor, 1], np.float32)
    behind = np.full((size, size, 3), BACKDROP, np.float32)
    facts = f"{info.num_faces:,} faces in {info.num_meshes} mesh(es), radius {info.radius:.3g} made 1"
    return view.apply(over_linear(passes.rgba * scale, behind)), facts, _lying(asset, info.extent)


def _material(
    asset: Asset, view: ViewTransform, size: int, blender: BlenderClient, light_path: Path, light: Environment
) -> tuple[np.ndarray, str]:
    """Its ground alone, seen from as far as one sees a mug; pictures of it are four mugs wide."""
    surface = mapped_surface(rng(1, "asset check"), str(asset.path), 4 * METRES_A_UNIT, wall=True)
    mug = PlacedObject(object=ObjectSpec(family="mug", seed=1), standing=True)
    blender.load_scene(SceneSpec(objects=(mug,), receivers=(ReceiverSpec(surface=surface),)))
    blender.set_camera(dataclasses.replace(VIEW, elevation_rad=0.7, fill=0.3), (size, size))
    passes = blender.render(environment_path=light_path, seed=1, hidden=(0,))
    factor = np.float32(normalising_factor(light, picture=0.4, limit=0.8))
    maps = material_maps(asset.path)
    facts = f"{', '.join(maps)}; {_metres(asset)}"
    return view.apply(passes.rgba[..., :3] * factor), facts


def _metres(asset: Asset) -> str:
    if asset.size_m is not None:
        return f"a picture is {asset.size_m:g} m wide"
    return f"a picture is {USUAL_SIDE_M[0]:g} to {USUAL_SIDE_M[1]:g} m wide, unless `size_m` says otherwise"


def _lying(asset: Asset, extent: tuple[float, float, float]) -> str:
    """A hint for an object that is flat and would be tall if another axis of its file were up; else
    nothing."""
    width, depth, height = extent
    if depth < _TALLER * height or depth < width or height > width:
        return ""
    others = {"y": "`up: z`", "z": "`up: y`"}.get(asset.up, "`up: y` or `up: z`")
    size = f"{width:.3g} wide, {depth:.3g} deep, {height:.3g} high"
    return (
        f"{size}: if it lies and should stand, write {others} for {asset.id} in its folder's catalogue.yaml"
    )


def _lighting(path: Path, view: ViewTransform, size: int) -> tuple[np.ndarray, str]:
    environment = load_environment(path)
    height, width, _ = environment.pixels.shape
    small = reduced(environment.pixels, size)
    factor = np.float32(normalising_factor(environment, picture=0.4, limit=0.8))
    brightest = float(environment.pixels.max())
    facts = f"{width}x{height}, brightest {brightest / environment.mean_luminance:.3g} times the mean"
    return view.apply(small * factor), facts


def folder_config(folder: Path) -> AssetsConfig:
    """The folder's `objects`, `hdris`, `photos`, `materials` and `scenes` where it has any of them, else the
    first three all over it."""
    parts = {kind: folder / kind for kind in _KIND_FOLDERS if (folder / kind).is_dir()}
    roots = parts or dict.fromkeys(_ANYWHERE, folder)
    return AssetsConfig(embedded=False, **{kind: (root,) for kind, root in roots.items()})


def folder_assets(config: AssetsConfig, catalogue: Catalogue) -> list[Asset]:
    """Of the config's `catalogue` what is in its folders, without the textures of objects, sorted by kind and
    id; files that the catalogue refuses are among them.
    """
    textures = textures_of(config)
    folders = [folder for places in config.folders.values() for folder in places]
    refused = [
        Asset(
            id=left.id,
            kind=left.kind,
            split="train",
            licence=UNSPECIFIED,
            author=UNSPECIFIED,
            source=left.path.name,
            sha256=left.sha256,
            path=left.path,
        )
        for left in catalogue.left_out
        if left.refused
    ]
    kept = [
        asset
        for asset in (*catalogue.assets, *refused)
        if asset.path is not None
        and any(asset.path.is_relative_to(folder) for folder in folders)
        and (asset.kind not in ("hdri", "photo") or not any(known.has(asset.path) for known in textures))
    ]
    order = list(config.folders)
    return sorted(kept, key=lambda asset: (order.index(asset.kind), asset.id))
