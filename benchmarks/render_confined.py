"""What the confinement of Blender's process costs: starts and renders in turns, with it and without."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.render_fixed import TurnedLights
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec

RENDERS = 4
LARGEST_RATIO = 1.05


def confinement(folder: Path, *, turns: int, size: int, threads: int) -> Iterator[dict]:
    """Of each turn, with and without: seconds to the first object, and of a render under a new light; of the
    process's own CPU time too, which other programs of the machine disturb less."""
    settings = RenderSettings(samples=16)
    light = TurnedLights(folder, settings.lighting_copy_width)
    for turn in range(turns):
        # The order changes, so that a machine that slows down slows both.
        for mode in ("on", "off") if turn % 2 else ("off", "on"):
            with BlenderClient(
                settings,
                scratch_dir=folder,
                log_path=folder / "blender.log",
                threads=threads,
                limits=ProcessLimits(confinement=mode, request_timeout_s=600, start_timeout_s=600),
            ) as blender:
                began = time.perf_counter()
                blender.load_object(ObjectSpec(family="teapot", seed=1))
                start_s, start_cpu_s = time.perf_counter() - began, _cpu_s(blender)
                blender.set_camera(
                    CameraSpec(azimuth_rad=0.6, elevation_rad=0.3, fov_x_rad=0.6), (size, size)
                )
                began = time.perf_counter()
                for number in range(RENDERS):
                    blender.render(environment_path=light(number, 0.1 * number), seed=1)
                render_s = (time.perf_counter() - began) / RENDERS
                render_cpu_s = (_cpu_s(blender) - start_cpu_s) / RENDERS
            yield {
                "confinement": mode,
                "start_s": start_s,
                "start_cpu_s": start_cpu_s,
                "render_s": render_s,
                "render_cpu_s": render_cpu_s,
            }


def _cpu_s(blender: BlenderClient) -> float:
    times = psutil.Process(blender.pid).cpu_times()
    return times.user + times.system
