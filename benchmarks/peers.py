"""Renders and loading beside those of peers, in one run, as one table with ratios.

    python -m benchmarks.peers [--blenderproc ENV/bin/python] [--loader [PYTHON]] [--json FILE]

Rendering: one object (an embedded family, exported as glb) under embedded HDRIs, with RGBA, depth and
normals, one thread, one process for all renders, a new HDRI each, three of them a turn. Peers are a bpy loop
written with care, with Blender's own denoiser settings and with ours, and BlenderProc, where `--blenderproc`
names an environment that has it with bpy 4.2. Seconds are those of the processor, median and range. Quality
is the foreground PSNR (alpha above a half, exposed, clipped, sRGB) of each against 1,024 samples of its own.
Loading (`--loader`) is what `benchmarks.loader` measures. A peer that is not there is skipped by name.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.render_quality import bundled_hdris, psnr
from pairbridge import Camera, Renderer
from pairbridge.datagen.imaging.colour import srgb_encode
from pairbridge.datagen.lighting.equirect import load_environment
from pairbridge.datagen.lighting.exposure import LIGHT_LIMIT, PICTURE_LEVEL, normalising_factor

OURS = "pairbridge"
FAMILY, HDRIS = "teapot", ("city", "forest", "studio")
SAMPLES, REFERENCE_SAMPLES = 16, 1024
CAMERA = Camera(azimuth_deg=34, elevation_deg=17, fov_deg=35)
_EXPORT = """
import sys, bpy, numpy as np
from pairbridge.datagen.blender.families import build
bpy.ops.wm.read_factory_settings(use_empty=True)
build(sys.argv[1], 1)
meshes = [item for item in bpy.data.objects if item.type == "MESH"]
every = np.array([item.matrix_world @ vertex.co for item in meshes for vertex in item.data.vertices])
centre = (every.min(axis=0) + every.max(axis=0)) / 2
radius = np.linalg.norm(every - centre, axis=1).max()
for item in meshes:
    world = np.array([item.matrix_world @ vertex.co for vertex in item.data.vertices])
    item.parent = None
    item.matrix_world.identity()
    item.data.vertices.foreach_set("co", ((world - centre) / radius).astype(np.float32).ravel())
bpy.ops.export_scene.gltf(filepath=sys.argv[2])
"""

# Makes (H, W, 4) premultiplied linear of each of (HDRIs, samples, seed), and says the processor seconds.
Render = Callable[[Sequence[Path], int, int], tuple[list[np.ndarray], float]]


class Ours:
    """pairbridge's Renderer. It loads the object again for each call, and composes pictures; both count."""

    def __init__(self, object_path: Path, size: int) -> None:
        self._path, self._size = object_path, size
        self._renderers: dict[int, Renderer] = {}
        self.pose: list[list[float]] | None = None

    def __call__(self, hdris: Sequence[Path], samples: int, seed: int) -> tuple[list[np.ndarray], float]:
        if samples not in self._renderers:
            self._renderers[samples] = Renderer(samples=samples, threads=1)
        began = self._cpu_s()
        views = self._renderers[samples].render(
            self._path, hdris, camera=CAMERA, size=(self._size, self._size), seed=seed
        )
        cpu_s = self._cpu_s() - began
        self.pose = views[0].camera_to_world.tolist()
        lit = zip(views, hdris, strict=True)
        return [view.foreground / [*[_factor(hdri)] * 3, 1] for view, hdri in lit], cpu_s

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()

    @staticmethod
    def _cpu_s() -> float:
        children = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
        return time.process_time() + sum(child.user + child.system for child in children)


class Peer:
    """A script of a peer in an environment of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._folder = folder
        environment = {**os.environ, "USE_EXTERNAL_BPY_MODULE": "1"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "peers.log").open("a"),
            env=environment,
            text=True,
        )

    def __call__(self, hdris: Sequence[Path], samples: int, seed: int) -> tuple[list[np.ndarray], float]:
        pictures, seconds = zip(*(self._render(hdri, samples, seed) for hdri in hdris), strict=True)
        return list(pictures), sum(seconds)

    def _render(self, hdri: Path, samples: int, seed: int) -> tuple[np.ndarray, float]:
        out = self._folder / "peer.npy"
        request = {"hdri": str(hdri), "samples": samples, "seed": seed, "out": str(out)}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            answer = ""
        else:
            answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit((self._folder / "peers.log").read_text()[-3000:])
        return np.load(out), json.loads(answer)["cpu_s"]

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(60)


def renders(folder: Path, blenderproc: Path | None, size: int, turns: int, psnr_size: int) -> dict[str, Any]:
    """Processor seconds of renders in turns, and each one's own noise."""
    path = folder / "object.glb"
    subprocess.run([sys.executable, "-c", _EXPORT, FAMILY, str(path)], check=True, capture_output=True)
    paths = {asset.id: asset.path for asset in bundled_hdris()}
    hdris = [paths[name] for name in HDRIS]
    found: dict[str, Any] = {"skipped": [] if blenderproc else [_NO_BLENDERPROC]}
    with ExitStack() as stack:
        seconds: dict[str, list[float]] = {}
        opened = _opened(stack, folder, path, size, blenderproc)
        for name, render in opened.items():
            # The first start builds what the process keeps.
            render(hdris[:1], SAMPLES, 0)
            seconds[name] = []
        for turn in range(turns):
            for name in list(opened)[:: -1 if turn % 2 else 1]:
                seconds[name].append(opened[name](hdris, SAMPLES, turn)[1] / len(hdris))
            print({name: round(values[-1], 2) for name, values in seconds.items()}, flush=True)
        found["cpu_s"] = seconds
    with ExitStack() as stack:
        quality: dict[str, dict[str, float]] = {}
        for name, render in _opened(stack, folder, path, psnr_size, blenderproc).items():
            quality[name] = {}
            references, _ = render(hdris[:2], REFERENCE_SAMPLES, 99)
            noisy, _ = render(hdris[:2], SAMPLES, 1)
            for number, hdri in enumerate(HDRIS[:2]):
                shown, reference = (
                    srgb_encode(np.clip(image[number][..., :3] * _factor(hdris[number]), 0, 1))
                    for image in (noisy, references)
                )
                quality[name][hdri] = psnr(shown, reference, references[number][..., 3])
            print(name, quality[name], flush=True)
        found["psnr_db"] = quality
    return found | {"size": size, "psnr_size": psnr_size, "samples": SAMPLES, "object": FAMILY}


_NO_BLENDERPROC = (
    "BlenderProc: no environment was named (--blenderproc). The release on PyPI (2.8.0) downloads a Blender;"
    " its repository runs in bpy 4.2"
)


def _opened(
    stack: ExitStack, folder: Path, path: Path, size: int, blenderproc: Path | None
) -> dict[str, Render]:
    ours = Ours(path, size)
    stack.callback(ours.close)
    ours([bundled_hdris()[0].path], 1, 0)
    camera = json.dumps(
        {"matrix": ours.pose, "fov_x_rad": math.radians(CAMERA.fov_deg), "size": [size, size]}
    )
    given = ["--object", str(path), "--camera", camera, "--folder", str(folder)]
    scripts = Path(__file__).parent
    naive = [sys.executable, str(scripts / "peer_naive_bpy.py"), *given]
    commands = {
        "bpy loop": naive,
        "bpy loop, our denoiser settings": [*naive, "--denoiser", "BALANCED", "FAST"],
    }
    if blenderproc:
        commands["BlenderProc"] = [str(blenderproc), str(scripts / "peer_blenderproc.py"), *given]
    opened: dict[str, Render] = {OURS: ours}
    for name, command in commands.items():
        # -P: this folder's modules have the names of packages.
        opened[name] = peer = Peer([command[0], "-P", *command[1:]], folder)
        stack.callback(peer.close)
    return opened


def loading(folder: Path, python: str) -> str:
    """The page of `benchmarks.loader`, which needs a process of its own: it counts threads and memory."""
    command = [sys.executable, "-m", "benchmarks.loader", "--out", str(folder)]
    subprocess.run([*command, *(["--peers", python] if python else [])], check=True)
    return (folder / "loader.md").read_text()


def _factor(hdri: Path) -> float:
    return normalising_factor(load_environment(hdri), picture=PICTURE_LEVEL, limit=LIGHT_LIMIT)


def markdown(found: dict[str, Any]) -> str:
    rendered = found["renders"]
    size, ours = rendered["size"], statistics.median(rendered["cpu_s"][OURS])
    lines = [
        f"A render under a new HDRI, {size}x{size}, {rendered['samples']} samples, one thread, in turns; PSNR"
        f" at {rendered['psnr_size']}x{rendered['psnr_size']}.",
        "",
        "| | processor seconds | ratio | " + " | ".join(f"PSNR, {name}" for name in HDRIS[:2]) + " |",
        "|---|---|---|---|---|",
    ]
    for name, seconds in rendered["cpu_s"].items():
        median = statistics.median(seconds)
        quality = " | ".join(f"{value:.2f} dB" for value in rendered["psnr_db"][name].values())
        lines.append(
            f"| {name} | {median:.2f} [{min(seconds):.2f}, {max(seconds):.2f}] | {median / ours:.1f}"
            f" | {quality} |"
        )
    lines += [f"\nSkipped: {why}." for why in rendered["skipped"]]
    return "\n".join(lines) + "\n" + (("\n" + found["loader_page"]) if "loader_page" in found else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blenderproc", type=Path, help="a Python that has BlenderProc and bpy 4.2")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--psnr-size", type=int, default=96)
    parser.add_argument("--turns", type=int, default=2, help="of three renders")
    parser.add_argument(
        "--loader", nargs="?", const="", metavar="PYTHON", help="loading, too; the Python of others' loaders"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make = partial(renders, Path(folder), arguments.blenderproc)
        found: dict[str, Any] = {"renders": make(arguments.size, arguments.turns, arguments.psnr_size)}
        if arguments.loader is not None:
            found["loader_page"] = loading(Path(folder), arguments.loader)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(markdown(found))


if __name__ == "__main__":
    main()
