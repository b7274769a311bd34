"""The two lines of Blender side by side: processor seconds and noise, in turns.

    python -m benchmarks.render_lines --other renderer/bin/python [--out docs/benchmarks/render_lines]

One line is this environment's bpy, the other that of `--other` (`render.python`). Writes FILE.json and
FILE.md. Seconds are those of Blender's own process, so that other work on the machine disturbs them little.
PSNR is as in `benchmarks.render_quality`: foreground, after the sRGB curve, each line against its own render
of many samples.
"""

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.render_fixed import TurnedLights
from benchmarks.render_quality import bundled_hdris, psnr
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.interpreter import other_interpreter, this_interpreter
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.lighting.equirect import lighting_copy, load_environment
from pairbridge.datagen.lighting.exposure import normalising_factor
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec

FAMILIES = ("teapot", "mug")
HDRIS = ("city", "forest", "studio")
SEEDS = (1, 2, 3, 4)
SAMPLES = 16
SPEED_SIZE, NOISE_SIZE = 256, 128
REFERENCE_SAMPLES = 1024
CAMERA = CameraSpec(azimuth_rad=0.6, elevation_rad=0.3, fov_x_rad=math.radians(35))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--other", type=Path, required=True, help="the other line's interpreter")
    parser.add_argument("--turns", type=int, default=5, help="of starts; of renders three times as many")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/render_lines"))
    arguments = parser.parse_args()
    ours, other = this_interpreter(), other_interpreter(arguments.other)
    lines = {ours.bpy: None, other.bpy: arguments.other}
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "python": {ours.bpy: ours.python, other.bpy: other.python},
            "turns": arguments.turns,
            "speed": _speed(Path(folder), lines, arguments.turns),
            "noise": list(_noise(Path(folder), lines)),
        }
    arguments.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(found))
    print(markdown(found))


def _client(folder: Path, python: Path | None, samples: int) -> BlenderClient:
    return BlenderClient(
        RenderSettings(samples=samples, python=python),
        scratch_dir=folder,
        log_path=folder / "blender.log",
        threads=1,
        limits=ProcessLimits(request_timeout_s=3600, start_timeout_s=600),
    )


def _cpu_s(blender: BlenderClient) -> float:
    times = psutil.Process(blender.pid).cpu_times()
    return times.user + times.system


def _speed(folder: Path, lines: dict[str, Path | None], turns: int) -> dict[str, dict[str, list[float]]]:
    """Of each line: seconds of starts with the first object, of loads, of renders under a new light; MiB."""
    light = TurnedLights(folder, RenderSettings().lighting_copy_width)
    found = {line: {"start_s": [], "load_s": [], "render_s": [], "rss_mib": []} for line in lines}
    for turn in range(turns):
        # The order changes, so that a machine that slows down slows both.
        for line in list(lines)[:: -1 if turn % 2 else 1]:
            with _client(folder, lines[line], SAMPLES) as blender:
                blender.load_object(ObjectSpec(family="teapot", seed=1))
                found[line]["start_s"].append(_cpu_s(blender))
    with ExitStack() as stack:
        clients = {line: stack.enter_context(_client(folder, lines[line], SAMPLES)) for line in lines}
        for turn in range(3 * turns):
            for line in list(lines)[:: -1 if turn % 2 else 1]:
                blender = clients[line]
                if turn % 3 == 0:
                    began = _cpu_s(blender) if blender.pid else 0.0
                    blender.load_object(ObjectSpec(family=FAMILIES[turn % 2], seed=1))
                    blender.set_camera(CAMERA, (SPEED_SIZE, SPEED_SIZE))
                    # The first load is the process's start, the first render builds the scene.
                    if turn:
                        found[line]["load_s"].append(_cpu_s(blender) - began)
                    blender.render(environment_path=light(turn, 0.1 * turn), seed=1)
                path = light(turn + 1, 0.1 * turn)
                began = _cpu_s(blender)
                blender.render(environment_path=path, seed=1)
                found[line]["render_s"].append(_cpu_s(blender) - began)
        for line, blender in clients.items():
            found[line]["rss_mib"].append(psutil.Process(blender.pid).memory_info().rss / 2**20)
    return found


def _noise(folder: Path, lines: dict[str, Path | None]) -> Iterator[dict[str, Any]]:
    """One row for each object and lighting: each line's PSNR by seed, and what the lines differ by."""
    hdris = {asset.id: asset.path for asset in bundled_hdris()}
    width = RenderSettings().lighting_copy_width
    for family in FAMILIES:
        for hdri in HDRIS:
            environment = load_environment(hdris[hdri])
            factor = normalising_factor(environment, picture=0.4, limit=0.8)
            path = folder / f"{family}-{hdri}.exr"
            write_exr(path, lighting_copy(environment, width))
            pictures, alphas = {}, {}
            for line, python in lines.items():
                for samples, seeds in ((REFERENCE_SAMPLES, (99,)), (SAMPLES, SEEDS)):
                    with _client(folder, python, samples) as blender:
                        blender.load_object(ObjectSpec(family=family, seed=1))
                        blender.set_camera(CAMERA, (NOISE_SIZE, NOISE_SIZE))
                        for seed in seeds:
                            rgba = blender.render(environment_path=path, seed=seed).rgba
                            pictures[line, samples, seed] = _shown(rgba, factor)
                            alphas[line, samples, seed] = rgba[..., 3]
            references = {line: pictures[line, REFERENCE_SAMPLES, 99] for line in lines}
            alpha = alphas[next(iter(lines)), REFERENCE_SAMPLES, 99]
            one, two = lines
            yield {
                "object": family,
                "lighting": hdri,
                "psnr_db": {
                    line: [psnr(pictures[line, SAMPLES, seed], references[line], alpha) for seed in SEEDS]
                    for line in lines
                },
                "between_references_db": psnr(references[one], references[two], alpha),
                "alpha_differs_by": max(
                    float(np.abs(alphas[one, SAMPLES, seed] - alphas[two, SAMPLES, seed]).max())
                    for seed in SEEDS
                ),
            }


def _shown(rgba: np.ndarray, factor: float) -> np.ndarray:
    light = np.clip(rgba[..., :3] * factor, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def markdown(found: dict[str, Any]) -> str:
    one, two = found["python"]
    speed, noise = found["speed"], found["noise"]
    rows = [
        ("start and first object", "start_s", "s", 2),
        ("another object", "load_s", "s", 2),
        (f"render under a new light, {SPEED_SIZE}x{SPEED_SIZE}, {SAMPLES} samples", "render_s", "s", 3),
        ("memory after the last", "rss_mib", "MiB", 0),
    ]
    heads = " | ".join(f"bpy {line}, Python {python}" for line, python in found["python"].items())
    lines = [
        "# Blender 4.5 beside 5.2",
        "",
        "`python -m benchmarks.render_lines`: one thread, on a machine shared with other work. Processor",
        "seconds of Blender's process, medians, both lines in turns (the range in brackets).",
        "",
        f"| | {heads} | ratio |",
        "|---|---|---|---|",
    ]
    for name, key, unit, digits in rows:
        values = [speed[line][key] for line in (one, two)]
        cells = " | ".join(
            f"{statistics.median(v):.{digits}f} {unit}"
            + (f" [{min(v):.{digits}f}, {max(v):.{digits}f}], n = {len(v)}" if len(v) > 1 else "")
            for v in values
        )
        lines.append(
            f"| {name} | {cells} | {statistics.median(values[1]) / statistics.median(values[0]):.2f} |"
        )
    logs = [math.log(b / a) for a, b in zip(speed[one]["render_s"], speed[two]["render_s"], strict=True)]
    ratio, wide = statistics.fmean(logs), 1.96 * statistics.stdev(logs) / math.sqrt(len(logs))
    low, high = math.exp(ratio - wide), math.exp(ratio + wide)
    lines += [
        "",
        f"Renders of one turn by pairs: {math.exp(ratio):.2f} [{low:.2f}, {high:.2f}] (95 % interval).",
    ]
    gains = [b - a for row in noise for a, b in zip(row["psnr_db"][one], row["psnr_db"][two], strict=True)]
    mean, half = statistics.fmean(gains), 1.96 * statistics.stdev(gains) / math.sqrt(len(gains))
    lines += [
        "",
        f"Noise: foreground PSNR in dB of {SAMPLES} samples against {REFERENCE_SAMPLES} of the same line,"
        f" {NOISE_SIZE}x{NOISE_SIZE}, mean of {len(SEEDS)} seeds;",
        "then the two lines' references against each other, and the largest difference of alpha at equal",
        "seeds.",
        "",
        f"| object, lighting | bpy {one} | bpy {two} | between the lines | alpha |",
        "|---|---|---|---|---|",
    ]
    for row in noise:
        own = " | ".join(f"{statistics.fmean(row['psnr_db'][line]):.2f}" for line in (one, two))
        apart, alpha = row["between_references_db"], row["alpha_differs_by"]
        lines.append(f"| {row['object']}, {row['lighting']} | {own} | {apart:.1f} | {alpha:.1e} |")
    lines += [
        "",
        f"bpy {two} minus bpy {one}: {mean:+.2f} dB, 95 % interval [{mean - half:+.2f}, {mean + half:+.2f}],"
        f" {len(gains)} renders each at equal seeds.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
