"""Fixed cost of a render: wall time up to decoded arrays, minus Cycles' own render time in the EXR header.

A swap and a rotation begin with the turned copy of the lighting, whose image is in memory.

Three families, each from a fresh scene for each kind of change: another HDRI, another rotation of the same
HDRI, another camera under the same light. Automatic importance maps and live skies would show up here,
because Cycles counts them as synchronisation.
"""

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.render_quality import bundled_hdris
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.lighting.equirect import lighting_copy, load_environment
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec, RenderedPasses

FAMILIES = ("mug", "teapot", "vase")
TARGET_S = 0.05


def fixed_cost(folder: Path, *, size: int, samples: int, threads: int, repeats: int) -> Iterator[dict]:
    """One row for each family and kind of change; medians in seconds."""
    settings = RenderSettings(samples=samples)
    light = TurnedLights(folder, settings.lighting_copy_width)
    with BlenderClient(
        settings,
        scratch_dir=folder,
        log_path=folder / "blender.log",
        threads=threads,
        limits=ProcessLimits(request_timeout_s=600),
    ) as blender:
        blender.load_object(ObjectSpec(family=FAMILIES[0], seed=0))
        for family, change in itertools.product(FAMILIES, (_hdri_swaps, _rotations, _camera_moves)):
            start_s = time.perf_counter()
            blender.load_object(ObjectSpec(family=family, seed=1))
            load_s = time.perf_counter() - start_s
            renders = change(blender, light, size)
            # The first render builds the scene; it is the object's cost, not a change's.
            first = next(renders)
            measured = list(itertools.islice(renders, repeats))
            yield {
                "family": family,
                "change": change.__name__.strip("_"),
                "fixed_s": round(statistics.median(one.wall_s - one.render_s for one in measured), 4),
                "wall_s": round(statistics.median(one.wall_s for one in measured), 4),
                "render_s": round(statistics.median(one.render_s for one in measured), 4),
                "load_s": round(load_s, 4),
                "first_s": round(first.wall_s, 4),
            }


class TurnedLights:
    """Turned copies of the bundled HDRIs, a new file each time; the last but one goes."""

    def __init__(self, folder: Path, width: int) -> None:
        self._folder, self._width = folder, width
        self._environments = [load_environment(asset.path) for asset in bundled_hdris()]
        for environment in self._environments:
            lighting_copy(environment, width)  # fills the halvings that it averages from
        self._written = 0

    def __call__(self, number: int, rotation_rad: float) -> Path:
        environment = self._environments[number % len(self._environments)]
        (self._folder / f"light-{self._written - 2}.exr").unlink(missing_ok=True)
        path = self._folder / f"light-{self._written}.exr"
        write_exr(path, lighting_copy(environment, self._width, rotation_rad), compressed=False)
        self._written += 1
        return path


def _hdri_swaps(blender: BlenderClient, light: TurnedLights, size: int) -> Iterator[RenderedPasses]:
    blender.set_camera(_camera(0.0), (size, size))
    for step in itertools.count():
        yield _relit(blender, light, step, 1.0)


def _rotations(blender: BlenderClient, light: TurnedLights, size: int) -> Iterator[RenderedPasses]:
    blender.set_camera(_camera(0.0), (size, size))
    for step in itertools.count():
        yield _relit(blender, light, 0, 0.1 * step)


def _camera_moves(blender: BlenderClient, light: TurnedLights, size: int) -> Iterator[RenderedPasses]:
    path = light(0, 0.0)
    for step in itertools.count():
        start_s = time.perf_counter()
        blender.set_camera(_camera(0.1 * step), (size, size))
        moved_s = time.perf_counter() - start_s
        passes = blender.render(environment_path=path, seed=1)
        yield dataclasses.replace(passes, wall_s=passes.wall_s + moved_s)


def _relit(blender: BlenderClient, light: TurnedLights, number: int, rotation_rad: float) -> RenderedPasses:
    start_s = time.perf_counter()
    path = light(number, rotation_rad)
    made_s = time.perf_counter() - start_s
    passes = blender.render(environment_path=path, seed=1)
    return dataclasses.replace(passes, wall_s=passes.wall_s + made_s)


def _camera(azimuth_rad: float) -> CameraSpec:
    return CameraSpec(azimuth_rad=azimuth_rad, elevation_rad=0.3, fov_x_rad=math.radians(35))
