"""Resident memory of one Blender process over many objects: does a worker grow?

    python benchmarks/memory.py [--objects 500] [--folder FOLDER] [--json FILE]

Loads and renders one object after another in one process, each under two lightings, as a worker does: the
embedded families in turn, every object another seed, or the objects of FOLDER in turn. Growth is the median
resident memory of the last tenth over that of the second tenth: in the first, libraries and pools are filled.
The target is under 10 %; above it the status is 1.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from datagen.asset_sources import user_assets
from datagen.assets import AssetsConfig, build_catalogue
from datagen.blender.client import BlenderClient
from datagen.blender.families import FAMILIES
from datagen.blender.protocol import CameraSpec, ObjectSpec
from datagen.blender.settings import RenderSettings
from datagen.environment import lighting_copy, load_environment, write_exr

TARGET = 0.10


def objects(folder: Path | None, count: int) -> Iterator[ObjectSpec]:
    """`count` objects: of the families in turn, or of the folder's files in turn."""
    found = user_assets(AssetsConfig(objects=(folder,)), frozenset()) if folder else []
    files = [asset.path for asset in found]
    for number in range(count):
        if files:
            yield ObjectSpec(path=files[number % len(files)])
        else:
            yield ObjectSpec(family=FAMILIES[number % len(FAMILIES)], seed=number)


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = RenderSettings(samples=arguments.samples)
    hdris = [asset for asset in build_catalogue(AssetsConfig(), None).assets if asset.kind == "hdri"]
    memory, start_s = [], time.perf_counter()
    tenth = max(1, arguments.objects // 10)
    print(f"{'objects':>10s} {'median MiB':>12s} {'highest MiB':>12s}")
    with (
        tempfile.TemporaryDirectory() as folder,
        BlenderClient(
            settings,
            scratch_dir=Path(folder),
            log_path=Path(folder) / "blender.log",
            threads=arguments.threads,
            request_timeout_s=120,
            # The question is what one process does: it is never replaced here.
            recycle_rss_mib=1 << 20,
        ) as blender,
    ):
        lights = [Path(folder) / f"{asset.id}.exr" for asset in hdris]
        for asset, path in zip(hdris, lights, strict=True):
            write_exr(path, lighting_copy(load_environment(asset.path), settings.lighting_copy_width))
        first_pid = None
        for number, wanted in enumerate(objects(arguments.folder, arguments.objects)):
            blender.load_object(wanted)
            first_pid = first_pid or blender.pid
            camera = CameraSpec(azimuth_rad=number % 7, elevation_rad=0.3, fov_x_rad=math.radians(35))
            blender.set_camera(camera, (arguments.size, arguments.size))
            for offset in (0, 1):
                light = lights[(number + offset) % len(lights)]
                blender.render(environment_path=light, rotation_rad=0.1 * number, seed=number)
            memory.append(resident_mib(blender.pid))
            if len(memory) % tenth == 0:
                part = memory[-tenth:]
                print(f"{len(memory):10d} {statistics.median(part):12.0f} {max(part):12.0f}", flush=True)
        assert blender.pid == first_pid, "the process was replaced, so its memory says nothing"
    seconds = time.perf_counter() - start_s
    early, late = statistics.median(memory[tenth : 2 * tenth]), statistics.median(memory[-tenth:])
    growth = late / early - 1
    verdict = "within" if growth < TARGET else "ABOVE"
    print(
        f"{len(memory)} objects, {2 * len(memory)} renders in {seconds:.0f} s: {early:.0f} to {late:.0f} "
        f"MiB, {100 * growth:+.1f} %, {verdict} the target of {100 * TARGET:.0f} %"
    )
    if arguments.json:
        record = {"early_mib": early, "late_mib": late, "growth": growth, "memory_mib": memory}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(growth >= TARGET)


if __name__ == "__main__":
    main()
