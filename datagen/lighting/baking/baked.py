"""Lightings made here and baked once per dataset to EXR files: skies, rigs, blends, outdoor maps, interiors.

Each gets an id, a hash and a split like any HDRI, so that light and background always come from one file.
A file's header holds the parameters it was made from: a re-run keeps what is there and right, and replaces
the rest. That of an outdoor map also says what light came out: the sun's direction and irradiance.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from pydantic import Field, NonNegativeInt

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.assets.exr_files import (
    MADE_FROM,
    MADE_LIGHT,
    UNUSABLE,
    exr_attribute,
    write_exr,
    write_unusable,
)
from pairbridge.datagen.assets.files_in_use import FilesInUse, ProvenCatalogue
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.core.splits import SPLITS, Split
from pairbridge.datagen.lighting.baking.studio_rigs import ground, studio_rig
from pairbridge.datagen.lighting.equirect import LUMINANCE, equirect_directions, load_environment
from pairbridge.datagen.lighting.exposure import normalising_factor
from pairbridge.datagen.lighting.indoor.interiors import (
    closed_seam,
    draw_interior,
    interior_light,
    interior_spec,
)
from pairbridge.datagen.lighting.outdoor.outdoors import draw_outdoor, outdoor_map
from pairbridge.datagen.scene.interior_specs import InteriorSpec
from pairbridge.datagen.scene.specs import SkySpec
from pairbridge.datagen.sourcing.sources import baked_asset

BakedKind = Literal["sky", "rig", "blend", "outdoor", "interior"]


# Rooms cost a path of several bounces for every texel and sample; wider ones would outlast a request.
WIDEST_INTERIOR = 1024


class LightingCounts(FrozenModel):
    """How many lightings of one kind each split gets."""

    train: NonNegativeInt = 0
    """Number in the training split."""
    validation: NonNegativeInt = 0
    """Number in the validation split."""
    test: NonNegativeInt = 0
    """Number in the test split."""


class LightingsConfig(FrozenModel):
    """Environment maps to bake under `<dataset>/lightings/`."""

    width: int = Field(512, ge=64, le=8192, multiple_of=4)
    """Width of each file in pixels, a multiple of 4 within [64, 8192]; the height is half of it."""
    skies: LightingCounts = LightingCounts()
    """Number of skies: Blender's physical sky, with the sun's disc, over a textured ground."""
    rigs: LightingCounts = LightingCounts()
    """Number of studio lights: two to five soft boxes in a dim room."""
    blends: LightingCounts = LightingCounts()
    """Number of blends: two rotated HDRIs of one split, mixed."""
    outdoors: LightingCounts = LightingCounts()
    """Number of outdoor maps: the physical sky with clouds from none to a closed cover, a skyline of hills,
    trees and houses, and a ground in perspective that the sky lights and the skyline shades."""
    interiors: LightingCounts = LightingCounts()
    """Number of interiors: furnished rooms, rendered, with an outdoor map behind their windows and lamps that
    are seen. Embedded families stand in rooms of their own split alone. They are the dearest to bake,
    and 1024 pixels wide at most."""


class SkyBaker(Protocol):
    """What renders physical skies and rooms: Blender's client."""

    def bake_sky(self, sky: SkySpec, width: int, out_path: Path) -> None:
        """Write `sky` as an equirectangular EXR of `width` x `width`/2."""

    def bake_interior(self, spec: InteriorSpec, outside_path: Path, width: int, out_path: Path) -> None:
        """Write what is seen around the room's camera as an equirectangular EXR of `width` x `width`/2."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One lighting before it is baked: where it goes and what it is made from (JSON-able)."""

    id: str
    lighting: BakedKind
    split: Split
    params: dict[str, Any]

    def asset(self) -> Asset:
        """Its catalogue entry before there is a file: enough to plan and count with, not to make pairs."""
        height_m = self.params.get("camera_height_m")
        return baked_asset(self.id, self.lighting, self.split, path=None, sha256="", camera_height_m=height_m)


def planned_lightings(seed: int, config: LightingsConfig, catalogue: Catalogue) -> Iterator[Planned]:
    """Every lighting the config asks for, with its parameters drawn under the dataset's `seed`; pure.

    `catalogue` supplies the HDRIs that blends are made of, and the families of interiors. Raises
    CatalogueError if a split that needs blends has fewer than two.
    """
    kinds: tuple[tuple[BakedKind, LightingCounts], ...] = (
        ("sky", config.skies),
        ("rig", config.rigs),
        ("blend", config.blends),
        ("outdoor", config.outdoors),
        ("interior", config.interiors),
    )
    for kind, per_split in kinds:
        for split in SPLITS:
            for index in range(getattr(per_split, split)):
                name = f"{kind}-{split}-{index:03d}"
                draw = rng(seed, "lighting", name)
                params = {"width": config.width}
                if kind == "sky":
                    params |= _sky_params(draw)
                elif kind == "rig":
                    params |= {"seed": int(draw.integers(2**31))}
                elif kind == "blend":
                    params |= _blend_params(draw, catalogue, split)
                elif kind == "outdoor":
                    params |= draw_outdoor(draw)
                else:
                    params |= draw_interior(draw, [asset.id for asset in catalogue.of("family", split)])
                yield Planned(name, kind, split, params)


def bake_lightings(
    seed: int,
    config: LightingsConfig,
    catalogue: Catalogue,
    dataset_dir: Path,
    baker_factory: Callable[[], AbstractContextManager[SkyBaker]],
    on_progress: Callable[[int, int], None] = lambda baked, of: None,
) -> None:
    """Make `<dataset_dir>/lightings/` hold exactly the files the config asks for.

    `catalogue` holds the HDRIs that blends are made of, and no baked lighting. Files appear whole or not at
    all, and one whose header shows the right parameters is kept, so a killed
    run goes on where it was. A blend with a damaged parent becomes a file that says so: it costs the groups
    that draw it, like the parent itself, and is tried again by the next run. `baker_factory` is called at
    most once, and only if a sky is missing; `on_progress` is told before each bake how many of those that
    were missing are there, and how many they are. Raises CatalogueError if blends lack parents, and the
    errors of the baker.
    """
    folder = dataset_dir / "lightings"
    folder.mkdir(parents=True, exist_ok=True)
    planned = list(planned_lightings(seed, config, catalogue))
    wanted = {lighting.id for lighting in planned}
    for path in sorted(folder.glob("*.exr")):
        if path.stem not in wanted:
            path.unlink()
    with ExitStack() as stack:
        started: list[SkyBaker] = []

        def baker() -> SkyBaker:
            if not started:
                started.append(stack.enter_context(baker_factory()))
            return started[0]

        missing = [lighting for lighting in planned if not _is_baked(lighting, folder)]
        for number, lighting in enumerate(missing):
            on_progress(number, len(missing))
            bake_lighting(lighting, folder / f"{lighting.id}.exr", catalogue, baker)


def _is_baked(lighting: Planned, folder: Path) -> bool:
    path = folder / f"{lighting.id}.exr"
    stated = exr_attribute(path, MADE_FROM) if path.is_file() else None
    return stated == _stated(lighting) and exr_attribute(path, UNUSABLE) is None


def bake_lighting(lighting: Planned, path: Path, catalogue: Catalogue, baker: Callable[[], SkyBaker]) -> None:
    """Write one lighting to `path`, whatever is there; `baker` is asked for skies and rooms alone.

    Raises the errors of the baker; FileUnreadable and AssetChanged for a parent that is not the catalogue's.
    """
    header = {MADE_FROM: _stated(lighting)}
    if lighting.lighting == "sky":
        pixels = bake_sky(lighting.params, baker())
    elif lighting.lighting == "rig":
        pixels = studio_rig(rng(lighting.params["seed"], "rig"), lighting.params["width"])
    elif lighting.lighting == "outdoor":
        made = outdoor_map(lighting.params, _clear_sky(lighting.params, baker()))
        pixels, header[MADE_LIGHT] = made.pixels, canonical_json(made.light).decode()
    elif lighting.lighting == "interior":
        pixels, light = bake_interior(lighting.params, baker())
        header[MADE_LIGHT] = canonical_json(light).decode()
    else:
        files = FilesInUse()
        proven = ProvenCatalogue(catalogue.assets, files=files)
        try:
            try:
                pixels = blend(lighting.params, proven)
            except AssetError:
                # As in a group: a verdict stands for the catalogue's bytes, given twice.
                files.prove_again()
                pixels = blend(lighting.params, proven)
            files.settle()
        except AssetError as error:
            reason = _without_paths(error, lighting, catalogue)
            write_unusable(path, reason, {MADE_FROM: _stated(lighting)})
            return
    write_exr(path, pixels, header)


def bake_sky(params: dict[str, Any], baker: SkyBaker) -> np.ndarray:
    """Blender's physical sky over a textured ground that it lights: (width/2, width, 3) float32.

    The sky model ends at the horizon. Below it we put a diffuse ground of the sky's own irradiance times
    an albedo, fading into the horizon's colour as haze does; otherwise objects would hang over a black
    void.
    """
    sky = _clear_sky(params, baker)
    height, width, _ = sky.shape
    directions = equirect_directions(width, height)
    up = np.maximum(directions[..., 2], 0)
    solid_angle = np.cos(np.arcsin(directions[..., 2])) * (math.tau / width) * (math.pi / height)
    irradiance = ((up * solid_angle)[..., None] * sky).sum(axis=(0, 1))
    albedo = ground(rng(params["ground"]["seed"], "ground"), directions, params["ground"]["albedo"])
    lit = albedo * (irradiance / math.pi).astype(np.float32)
    horizon_row = sky[height // 2 - 1]
    haze_colour = np.minimum(horizon_row, np.percentile(horizon_row, 80, axis=0)).mean(axis=0)
    haze = np.exp(directions[..., 2:] / math.radians(params["ground"]["haze_deg"]))
    below = directions[..., 2] < 0
    sky[below] = (haze * haze_colour + (1 - haze) * lit)[below]
    return sky


def bake_interior(params: dict[str, Any], baker: SkyBaker) -> tuple[np.ndarray, dict[str, Any]]:
    """A furnished room as it looks from its camera: (width/2, width, 3) float32; and what lights it."""
    width = min(params["width"], WIDEST_INTERIOR)
    outside = outdoor_map(params["outside"], _clear_sky({**params["outside"], "width": width}, baker))
    spec = interior_spec(params, rng(params["seed"], "room"))
    if params["hour"] != "evening":
        spec = replace(spec, sun_irradiance=tuple(outside.light["sun_irradiance"]))
    with TemporaryDirectory() as scratch:
        behind, raw = Path(scratch) / "outside.exr", Path(scratch) / "room.exr"
        write_exr(behind, outside.bare)
        baker.bake_interior(spec, behind, width, raw)
        return closed_seam(load_environment(raw).pixels), interior_light(spec)


def _clear_sky(params: dict[str, Any], baker: SkyBaker) -> np.ndarray:
    with TemporaryDirectory() as scratch:
        raw = Path(scratch) / "sky.exr"
        baker.bake_sky(SkySpec(**params["sky"]), params["width"], raw)
        return load_environment(raw).pixels.copy()


def blend(params: dict[str, Any], catalogue: Catalogue) -> np.ndarray:
    """Two HDRIs, each turned about Z and normalised to one exposure, mixed: (width/2, width, 3) float32."""
    width = params["width"]
    mixed = np.zeros((width // 2, width, 3), np.float32)
    for parent in params["parents"]:
        environment = load_environment(catalogue.get(parent["id"]).path)
        scale = normalising_factor(environment, picture=1.0, limit=2.5) * parent["weight"]
        shrinks = environment.pixels.shape[1] > width
        pixels = cv2.resize(
            environment.pixels,
            (width, width // 2),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        mixed += np.roll(pixels, round(parent["turn"] * width), axis=1) * np.float32(scale)
    return mixed


def _stated(lighting: Planned) -> str:
    return canonical_json(lighting.params).decode()


def _without_paths(error: AssetError, lighting: Planned, catalogue: Catalogue) -> str:
    """Why a blend could not be made, naming its parent and no folder of this machine."""
    for parent in lighting.params["parents"]:
        path = catalogue.get(parent["id"]).path
        if path and path.name in error.cause:
            return f"its parent {parent['id']} cannot be used: {error.cause.replace(str(path), path.name)}"
    return error.cause


def _sky_params(draw: np.random.Generator) -> dict[str, Any]:
    # Low suns are drawn as often as high ones: they are the lights with colour and direction.
    elevation_deg = float(2 + 68 * draw.beta(1.0, 1.4))
    sky = {
        "sun_elevation_rad": math.radians(elevation_deg),
        "sun_rotation_rad": float(draw.uniform(0, math.tau)),
        "altitude_m": float(draw.uniform(0, 2500)),
        "air": float(draw.uniform(0.6, 2.0)),
        "dust": float(draw.uniform(0.2, 5.0)),
        "ozone": float(draw.uniform(0.5, 3.0)),
    }
    base = float(draw.uniform(0.08, 0.4))
    tint = draw.uniform(0.75, 1.25, size=3)
    tint /= float(tint @ LUMINANCE)
    floor = {
        "seed": int(draw.integers(2**31)),
        "albedo": [float(value) for value in base * tint],
        "haze_deg": float(draw.uniform(0.5, 4.0)),
    }
    return {"sky": sky, "ground": floor}


def _blend_params(draw: np.random.Generator, catalogue: Catalogue, split: Split) -> dict[str, Any]:
    parents = catalogue.require_lightings("hdri", split, "blends", at_least=2)
    first, second = draw.choice(len(parents), size=2, replace=False)
    share = float(draw.uniform(0.25, 0.75))
    width_fraction = draw.uniform(0, 1, size=2)
    return {
        "parents": [
            {"id": parents[first].id, "weight": share, "turn": float(width_fraction[0])},
            {"id": parents[second].id, "weight": 1 - share, "turn": float(width_fraction[1])},
        ]
    }
