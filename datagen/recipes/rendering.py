"""Views of an object of one's choice under lightings of one's choice, as arrays: rendering without a dataset.

An object is a file or an embedded family with a seed (`chair:7`); a lighting is an equirectangular .exr or
.hdr file or an embedded HDRI (`forest`), alone or with the angle by which it is turned. What is composed here
is what the recipes compose: see `pairbridge.datagen.recipes.relighting_swap` for the pairs.
"""

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, permutations
from pathlib import Path
from typing import Self

import numpy as np

from pairbridge.datagen.assets.catalogue import Asset
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.interpreter import bpy_folder
from pairbridge.datagen.blender.render_settings import Device, RenderSettings
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear
from pairbridge.datagen.imaging.view import ViewTransform
from pairbridge.datagen.lighting.equirect import background, lighting_copy, load_environment
from pairbridge.datagen.lighting.exposure import LIGHT_LIMIT, PICTURE_LEVEL, normalising_factor
from pairbridge.datagen.scene.specs import CameraPose, CameraSpec, ObjectSpec, PlacedObject, SceneSpec
from pairbridge.datagen.sourcing.sources import embedded_assets

LightingName = str | Path | tuple[str | Path, float]

DEFAULT_VIEW = ViewTransform()
# One request, loading a large object included; far above what a render on two cores takes.
REQUEST_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Looks at the object's middle; its distance follows from the field of view and from `fill`.

    `fov_deg` is horizontal, `fill` the share of the frame's tighter side that the object spans, `offset`
    where the object's middle is, in fractions of width and height from the frame's (right and up positive).
    """

    azimuth_deg: float = 30.0
    elevation_deg: float = 15.0
    fov_deg: float = 40.0
    fill: float = 0.8
    offset: tuple[float, float] = (0.0, 0.0)

    @property
    def spec(self) -> CameraSpec:
        return CameraSpec(
            azimuth_rad=math.radians(self.azimuth_deg),
            elevation_rad=math.radians(self.elevation_deg),
            fov_x_rad=math.radians(self.fov_deg),
            fill=self.fill,
            offset=self.offset,
        )


DEFAULT_CAMERA = Camera()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One object under one lighting. Colours are linear Rec.709, scaled to one exposure under all lightings.

    The camera looks along its -Z, with +X right and +Y up (as in Blender and OpenGL); the object's bounding
    sphere has the radius 1. Alpha, depth, normal and camera are bit-equal under every lighting.
    """

    image: np.ndarray
    """uint8 (H, W, 3) sRGB: the foreground over the lighting's own background."""
    foreground: np.ndarray
    """float32 (H, W, 4), premultiplied by alpha."""
    background: np.ndarray
    """float32 (H, W, 3)."""
    depth: np.ndarray
    """float32 (H, W), along the camera's axis (planar), in radii of the object; 0 where there is no
    object."""
    normal: np.ndarray
    """float32 (H, W, 3), camera space, unit length, of the geometry that depth shows, without bump maps; 0
    where there is no object."""
    albedo: np.ndarray
    """float32 (H, W, 3), diffuse plus glossy colour, premultiplied by alpha."""
    K: np.ndarray
    """float64 (3, 3): focal lengths and centre in pixels, the first pixel's centre at (0.5, 0.5)."""
    camera_to_world: np.ndarray
    """float64 (4, 4)."""
    transform: ViewTransform
    """What makes the image of linear light."""

    @property
    def alpha(self) -> np.ndarray:
        """float32 (H, W) in [0, 1]."""
        return self.foreground[..., 3]

    @property
    def mask(self) -> np.ndarray:
        """uint8 (H, W): alpha, 255 on the object."""
        return alpha_to_mask(self.alpha)

    def lit_as(self, other: "View") -> np.ndarray:
        """uint8 (H, W, 3): the object as `other` lights it, over this view's background."""
        return self.transform.apply(over_linear(other.foreground, self.background))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelightingPair:
    """uint8 arrays: `source` shows the foreground under another lighting than the rest, `target` under
    one."""

    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray


class Renderer:
    """Blender, kept open for many objects. A context manager; its process starts with the first `render`.

    `samples` are paths a pixel, `python` is the interpreter that has bpy (None: this one), `threads` what
    Blender may use (all cores as a rule). Blender's own output goes to `log_path`, or is gone with the
    renderer.
    """

    def __init__(
        self,
        *,
        samples: int = 64,
        device: Device = "cpu",
        python: str | Path | None = None,
        threads: int | None = None,
        log_path: str | Path | None = None,
        view: ViewTransform = DEFAULT_VIEW,
    ) -> None:
        self.settings = RenderSettings(samples=samples, device=device, python=python)
        self.view = view
        self._scratch = tempfile.TemporaryDirectory(prefix="pairbridge-render-")
        self._folder = Path(self._scratch.name)
        self._numbers = count()
        self._blender = BlenderClient(
            self.settings,
            scratch_dir=self._folder,
            log_path=Path(log_path) if log_path else self._folder / "blender.log",
            threads=threads or os.cpu_count() or 1,
            limits=ProcessLimits(request_timeout_s=REQUEST_TIMEOUT_S),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End Blender's process and remove its files; safe to call twice."""
        self._blender.close()
        self._scratch.cleanup()

    def render(
        self,
        object_: str | Path,
        lightings: Sequence[LightingName],
        *,
        camera: Camera = DEFAULT_CAMERA,
        size: tuple[int, int] = (512, 512),
        seed: int = 0,
    ) -> list[View]:
        """The object under each lighting; `size` is (width, height). Equal calls give equal bits on a CPU.

        Raises ConfigError for a name that is neither a file nor embedded, AssetError for a broken file,
        BlenderUnavailable where bpy or the GPU is missing.
        """
        turned = [self._turned(lighting) for lighting in lightings]
        self._blender.load_scene(SceneSpec(objects=(PlacedObject(object=self._object(object_)),)))
        pose = self._blender.set_camera(camera.spec, size)
        return [self._view(path, turn_rad, pose, size, seed) for path, turn_rad in turned]

    def _view(self, path: Path, turn_rad: float, pose: CameraPose, size: tuple[int, int], seed: int) -> View:
        environment = load_environment(path)
        # A name of its own: Blender keeps the image of a path that it is given again.
        copy = self._folder / f"lighting-{next(self._numbers)}.exr"
        width = self.settings.lighting_copy_width_for(self._blender.smoothest)
        write_exr(copy, lighting_copy(environment, width, turn_rad), compressed=False)
        passes = self._blender.render(environment_path=copy, seed=seed)
        copy.unlink()
        camera_to_world = np.array(pose.camera_to_world)
        factor = np.float32(normalising_factor(environment, picture=PICTURE_LEVEL, limit=LIGHT_LIMIT))
        foreground = passes.rgba * np.array([factor, factor, factor, 1], np.float32)
        behind = factor * background(environment, camera_to_world, pose.fov_x_rad, size, turn_rad)
        return View(
            image=self.view.apply(over_linear(foreground, behind)),
            foreground=foreground,
            background=behind,
            depth=passes.depth,
            # The columns of the matrix are the camera's axes in the world: this is the transpose's product.
            normal=passes.normal @ camera_to_world[:3, :3].astype(np.float32),
            albedo=passes.albedo,
            K=pose.intrinsics(size),
            camera_to_world=camera_to_world,
            transform=self.view,
        )

    def _object(self, name: str | Path) -> ObjectSpec:
        if Path(name).is_file():
            return ObjectSpec(path=Path(name).absolute())
        family, _, seed = str(name).partition(":")
        families = [asset.id for asset in self._embedded if asset.kind == "family"]
        if family not in families or not seed.isdecimal():
            raise _unknown("object", name, f"a family with a seed such as chair:7 ({', '.join(families)})")
        return ObjectSpec(family=family, seed=int(seed))

    def _turned(self, lighting: LightingName) -> tuple[Path, float]:
        name, turn_deg = lighting if isinstance(lighting, tuple) else (lighting, 0.0)
        if Path(name).is_file():
            return Path(name).absolute(), math.radians(turn_deg)
        embedded = {asset.id: asset.path for asset in self._embedded if asset.kind == "hdri"}
        if str(name) not in embedded:
            named = ", ".join(embedded) or "nothing, since HDRIs come with the render extra"
            raise _unknown("lighting", name, named)
        return embedded[str(name)], math.radians(turn_deg)

    @cached_property
    def _embedded(self) -> list[Asset]:
        return embedded_assets(None, bpy_folder(self.settings.python))


def render(
    object_: str | Path,
    lightings: Sequence[LightingName],
    *,
    camera: Camera = DEFAULT_CAMERA,
    size: tuple[int, int] = (512, 512),
    samples: int = 64,
    device: Device = "cpu",
    python: str | Path | None = None,
    seed: int = 0,
) -> list[View]:
    """`Renderer.render` of one object; starting Blender takes seconds, so keep a `Renderer` open for many."""
    with Renderer(samples=samples, device=device, python=python) as renderer:
        return renderer.render(object_, lightings, camera=camera, size=size, seed=seed)


def relighting_pairs(views: Sequence[View]) -> Iterator[RelightingPair]:
    """Every ordered pair of views (A, B) of one `render`: the source shows the object lit by B over A's
    background, the target is A.
    """
    for target, other in permutations(views, 2):
        yield RelightingPair(source=target.lit_as(other), target=target.image, mask=target.mask)


def _unknown(what: str, name: object, embedded: str) -> ConfigError:
    return ConfigError(
        f"there is no {what} {str(name)!r}",
        consequence="nothing was rendered",
        remedy=f"name a file, or what is embedded: {embedded}",
    )
