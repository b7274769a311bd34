"""Fixed cost of a render: wall time up to decoded arrays, minus Cycles' own render time in the EXR header.

    python benchmarks/render.py [--threads N] [--repeats 30] [--size 256] [--samples 16]

Three families, each from a fresh scene for each kind of change: another HDRI, another rotation of the same
HDRI, another camera under the same light. Automatic importance maps and live skies would show up here,
because Cycles counts them as synchronisation. The target is a median of 0.05 s for each change on an idle
two-core machine.
"""

import argparse
import dataclasses
import itertools
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from datagen.assets import AssetsConfig, build_catalogue
from datagen.blender.client import BlenderClient
from datagen.blender.protocol import CameraSpec, ObjectSpec, RenderedPasses
from datagen.blender.settings import RenderSettings
from datagen.environment import lighting_copy, load_environment, write_exr

FAMILIES = ("mug", "teapot", "vase")
TARGET_S = 0.05


def hdri_swaps(blender: BlenderClient, hdris: list[Path], size: int) -> Iterator[RenderedPasses]:
    blender.set_camera(camera(0.0), (size, size))
    for path in itertools.cycle(hdris):
        yield blender.render(environment_path=path, rotation_rad=0.0, seed=1)


def rotations(blender: BlenderClient, hdris: list[Path], size: int) -> Iterator[RenderedPasses]:
    blender.set_camera(camera(0.0), (size, size))
    for step in itertools.count():
        yield blender.render(environment_path=hdris[0], rotation_rad=0.1 * step, seed=1)


def camera_moves(blender: BlenderClient, hdris: list[Path], size: int) -> Iterator[RenderedPasses]:
    for step in itertools.count():
        start_s = time.perf_counter()
        blender.set_camera(camera(0.1 * step), (size, size))
        moved_s = time.perf_counter() - start_s
        passes = blender.render(environment_path=hdris[0], rotation_rad=0.0, seed=1)
        yield dataclasses.replace(passes, wall_s=passes.wall_s + moved_s)


def camera(azimuth_rad: float) -> CameraSpec:
    return CameraSpec(azimuth_rad=azimuth_rad, elevation_rad=0.3, fov_x_rad=math.radians(35))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    arguments = parser.parse_args()
    settings = RenderSettings(samples=arguments.samples)
    print(
        f"{arguments.size}x{arguments.size}, {arguments.samples} samples, {arguments.threads} threads, "
        f"lighting copy {settings.lighting_copy_width}, importance map {settings.importance_map_width}; "
        f"medians of {arguments.repeats} in seconds; load average {os.getloadavg()[0]:.1f}"
    )
    columns = "".join(f"{name:>9s}" for name in ("fixed", "wall", "render", "load", "first"))
    print(f"{'family':10s} {'change':12s}{columns}")
    with (
        tempfile.TemporaryDirectory() as folder,
        BlenderClient(
            settings,
            scratch_dir=Path(folder),
            log_path=Path(folder) / "blender.log",
            threads=arguments.threads,
            request_timeout_s=120,
        ) as blender,
    ):
        hdris = write_copies(Path(folder), settings.lighting_copy_width)
        blender.load_object(ObjectSpec(family=FAMILIES[0], seed=0))
        fixed: dict[str, list[float]] = {}
        for family, change in itertools.product(FAMILIES, (hdri_swaps, rotations, camera_moves)):
            start_s = time.perf_counter()
            blender.load_object(ObjectSpec(family=family, seed=1))
            load_s = time.perf_counter() - start_s
            renders = change(blender, hdris, arguments.size)
            # The first render builds the scene; it is the object's cost, not a change's.
            first = next(renders)
            measured = list(itertools.islice(renders, arguments.repeats))
            costs = [passes.wall_s - passes.render_s for passes in measured]
            fixed.setdefault(change.__name__, []).extend(costs)
            walls = [passes.wall_s for passes in measured]
            inside = [passes.render_s for passes in measured]
            row = [statistics.median(values) for values in (costs, walls, inside)] + [load_s, first.wall_s]
            print(
                f"{family:10s} {change.__name__:12s}" + "".join(f"{value:9.3f}" for value in row), flush=True
            )
    for change, costs in fixed.items():
        median_s = statistics.median(costs)
        verdict = "within" if median_s <= TARGET_S else "ABOVE"
        print(f"{change}: {median_s:.3f} s, {verdict} the target of {TARGET_S} s ({len(costs)} renders)")


def write_copies(folder: Path, width: int) -> list[Path]:
    """The lighting copies of all bundled HDRIs."""
    catalogue = build_catalogue(AssetsConfig(), None)
    paths = []
    for asset in sorted((a for a in catalogue.assets if a.kind == "hdri"), key=lambda a: a.id):
        paths.append(folder / f"{asset.id}.exr")
        write_exr(paths[-1], lighting_copy(load_environment(asset.path), width))
    return paths


if __name__ == "__main__":
    main()
