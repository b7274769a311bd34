"""Resident memory of one Blender process over many objects: if it grew, workers would fill a machine."""

import math
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.render_fixed import TurnedLights
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec

LARGEST_GROWTH = 0.10
# Before it, importers, kernels and Python's own pools are still being filled.
SETTLED_AFTER = 20


def memory(folder: Path, families: tuple[str, ...], *, objects: int, every: int) -> Iterator[dict]:
    """Resident MiB of the process after every `every`-th object. Each is another one under another light,
    and rendered once.
    """
    settings = RenderSettings(samples=1)
    light = TurnedLights(folder, settings.lighting_copy_width)
    with BlenderClient(
        settings,
        scratch_dir=folder,
        log_path=folder / "blender.log",
        threads=1,
        limits=ProcessLimits(
            request_timeout_s=600,
            start_timeout_s=600,
            recycle_rss_mib=1 << 20,  # never: growth is what is measured
        ),
    ) as blender:
        for number in range(objects):
            blender.load_object(ObjectSpec(family=families[number % len(families)], seed=number))
            blender.set_camera(
                CameraSpec(azimuth_rad=0.1 * number, elevation_rad=0.3, fov_x_rad=math.radians(35)), (64, 64)
            )
            blender.render(environment_path=light(number, 0.1 * number), seed=1)
            if number + 1 == SETTLED_AFTER or (number + 1) % every == 0:
                rss = psutil.Process(blender.pid).memory_info().rss / 2**20
                yield {"objects": number + 1, "rss_mib": round(rss)}
