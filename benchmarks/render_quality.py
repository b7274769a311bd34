"""How close 16 samples come to 1024: the small lighting copy beside the full file with an automatic map.

Foreground PSNR in dB over pixels with alpha > 0.5, after the lighting's normalising factor, clipping and the
sRGB curve. The reference is 1024 samples of the full file. A map of 4096 stands for Cycles' automatic one,
which behaves as that for files of this size; so the renderer needs no other code for a benchmark.
"""

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pairbridge.datagen.assets.catalogue import Asset, AssetsConfig
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.blender.client import BlenderClient, ProcessLimits
from pairbridge.datagen.blender.render_settings import RenderSettings
from pairbridge.datagen.lighting.equirect import Environment, lighting_copy, load_environment
from pairbridge.datagen.lighting.exposure import normalising_factor
from pairbridge.datagen.scene.specs import CameraSpec, ObjectSpec
from pairbridge.datagen.sourcing.sources import build_catalogue

AUTOMATIC_MAP = 4096
REFERENCE_SAMPLES = 1024
MEAN_LOSS_DB, LARGEST_LOSS_DB = 0.1, 0.5


def bundled_hdris() -> list[Asset]:
    catalogue = build_catalogue(AssetsConfig(), None)
    return sorted((asset for asset in catalogue.assets if asset.kind == "hdri"), key=lambda asset: asset.id)


def shiny_sphere(folder: Path, roughness: float, metallic: float) -> Path:
    """A smooth sphere of one Principled material as a Wavefront OBJ."""
    rings, sides = 48, 96
    lines, normals = [f"mtllib sphere-{roughness}-{metallic}.mtl"], []
    for ring in range(rings + 1):
        for side in range(sides):
            theta, phi = math.pi * ring / rings, math.tau * side / sides
            point = (math.sin(theta) * math.cos(phi), math.cos(theta), math.sin(theta) * math.sin(phi))
            lines.append("v {:.7f} {:.7f} {:.7f}".format(*point))
            normals.append("vn {:.7f} {:.7f} {:.7f}".format(*point))
    lines += [*normals, "usemtl skin", "s 1"]
    for ring in range(rings):
        for side in range(sides):
            here, beside = ring * sides + side + 1, ring * sides + (side + 1) % sides + 1
            corners = (beside, beside + sides, here + sides, here)
            lines.append("f " + " ".join(f"{corner}//{corner}" for corner in corners))
    path = folder / f"sphere-{roughness}-{metallic}.obj"
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".mtl").write_text(f"newmtl skin\nKd 0.7 0.7 0.7\nPr {roughness}\nPm {metallic}\n")
    return path


class Bench:
    """Renders of one object under one lighting, as the PSNR sees them; one Blender process per setting."""

    def __init__(self, folder: Path, size: int, threads: int) -> None:
        self._folder, self._size, self._threads = folder, size, threads
        self._clients: dict[tuple[int, int], BlenderClient] = {}

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exc_info: object) -> None:
        for client in self._clients.values():
            client.close()

    def image(
        self, obj: ObjectSpec, hdri: Asset, copy_width: int | None, samples: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(display values (H, W, 3) in [0, 1], alpha (H, W)); `copy_width` None lights with the full file."""
        environment = load_environment(hdri.path)
        path = hdri.path if copy_width is None else self._copy(environment, hdri.id, copy_width)
        client = self._client(obj, copy_width or AUTOMATIC_MAP, samples)
        passes = client.render(environment_path=path, seed=seed)
        factor = normalising_factor(environment, picture=0.4, limit=0.8)
        shown = np.clip(passes.rgba[..., :3] * factor, 0, 1)
        curve = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)
        return curve, passes.rgba[..., 3]

    def _copy(self, environment: Environment, name: str, width: int) -> Path:
        path = self._folder / f"{name}-{width}.exr"
        if not path.exists():
            write_exr(path, lighting_copy(environment, width))
        return path

    def _client(self, obj: ObjectSpec, map_width: int, samples: int) -> BlenderClient:
        key = (map_width, samples)
        if key not in self._clients:
            name = f"blender-{map_width}-{samples}"
            self._clients[key] = BlenderClient(
                RenderSettings(lighting_copy_width=map_width, samples=samples),
                scratch_dir=self._folder,
                log_path=self._folder / f"{name}.log",
                threads=self._threads,
                limits=ProcessLimits(request_timeout_s=3600),
            )
        client = self._clients[key]
        client.load_object(obj)
        camera = CameraSpec(azimuth_rad=0.6, elevation_rad=0.3, fov_x_rad=math.radians(35))
        client.set_camera(camera, (self._size, self._size))
        return client


def psnr(shown: np.ndarray, reference: np.ndarray, alpha: np.ndarray) -> float:
    difference = (shown - reference)[alpha > 0.5]
    return float(-10 * math.log10(max(float((difference**2).mean()), 1e-12)))


def losses(
    bench: Bench, obj: ObjectSpec, copy_width: int, hdris: list[Asset], seeds: tuple[int, ...]
) -> Iterator[dict]:
    """One row for each lighting: mean PSNR over the seeds of both ways, and what the copy loses."""
    for hdri in hdris:
        reference, alpha = bench.image(obj, hdri, None, REFERENCE_SAMPLES, seed=99)
        ours, automatic = (
            statistics.fmean(
                psnr(bench.image(obj, hdri, width, 16, seed)[0], reference, alpha) for seed in seeds
            )
            for width in (copy_width, None)
        )
        yield {
            "lighting": hdri.id,
            "copy_db": round(ours, 2),
            "automatic_db": round(automatic, 2),
            "loss_db": round(automatic - ours, 2),
        }
