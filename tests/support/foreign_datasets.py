"""Data sets of others, made tiny in their own layouts: a few images of known content and their truth."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from pairbridge.datagen.core.seeds import rng

SIZE_WH = (24, 16)


def picture(name: str, size_WH: tuple[int, int] = SIZE_WH) -> np.ndarray:
    """uint8 (H, W, 3), different for every name."""
    return rng(0, "picture", name).integers(0, 256, (size_WH[1], size_WH[0], 3), dtype=np.uint8)


def hole(name: str, size_WH: tuple[int, int] = SIZE_WH) -> np.ndarray:
    """bool (H, W): one rectangle with a corner missing, at a place that follows from the name."""
    draw = rng(0, "hole", name)
    x, y = draw.integers(1, size_WH[0] - 9), draw.integers(1, size_WH[1] - 7)
    mask = np.zeros(size_WH[::-1], bool)
    mask[y : y + 6, x : x + 8] = True
    mask[y, x] = False
    return mask


def encode(image: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_folders(root: Path, names: list[str]) -> Path:
    """`before/<name>.jpg`, `after/<name>.png`, `mask/<name>_mask.png` with 255 = remove."""
    for name in names:
        put(root / "before" / f"{name}.jpg", encode(picture(f"{name} before"), "JPEG", quality=95))
        put(root / "after" / f"{name}.png", encode(picture(f"{name} after")))
        put(root / "mask" / f"{name}_mask.png", encode(hole(name).astype(np.uint8) * 255))
    return root


def write_tar(path: Path, members: list[tuple[str, bytes]], **options) -> Path:
    """A tar as tarfile writes it (pax by default), with times and owners."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname = len(data), 1_700_000_000, "somebody"
            tar.addfile(info, io.BytesIO(data))
    return path


def sample_members(name: str) -> list[tuple[str, bytes]]:
    """One sample as others store it: images under their own names, and a text that nobody asked for."""
    return [
        (f"{name}.cls", b"7"),
        (f"{name}.edit.jpg", encode(picture(f"{name} edit"), "JPEG", quality=95)),
        (f"{name}.jpg", encode(picture(f"{name} plain"), "JPEG", quality=95)),
        (f"{name}.pyd", b"cos\nsystem\n(S'false'\ntR."),
    ]


def write_rord(root: Path, videos: int = 5, frames: int = 3, top: str = "") -> Path:
    """img/ gt/ mask/, 0 = object; the last frame of each video is the clean plate, in img/ too."""
    base = root / top
    for video in range(videos):
        plate = encode(picture(f"plate {video}"), "JPEG", quality=95)
        for frame in range(frames):
            name = f"v{video:02d}_{frame:04d}"
            last = frame == frames - 1
            shown = plate if last else encode(picture(name), "JPEG", quality=95)
            keep = np.full(SIZE_WH[::-1], 255, np.uint8)
            keep[hole(name) & (not last)] = 0
            put(base / "img" / f"{name}.jpg", shown)
            put(base / "gt" / f"{name}.jpg", plate)
            put(base / "mask" / f"{name}.png", encode(keep))
    return root


def write_vkitti(root: Path, *, two_archives: bool = False) -> Path:
    """Depth in centimetres: a ramp along the rows, and sky at 655.35 m in the upper half."""
    tops = ("vkitti_2.0.3_rgb/", "vkitti_2.0.3_depth/") if two_archives else ("", "")
    for scene in ("Scene01", "Scene20"):
        for variation in ("clone", "fog"):
            frames = root / tops[0] / scene / variation / "frames"
            depths = root / tops[1] / scene / variation / "frames"
            name = f"{scene} {variation}"
            put(frames / "rgb" / "Camera_0" / "rgb_00000.jpg", encode(picture(name), "JPEG", quality=95))
            put(depths / "depth" / "Camera_0" / "depth_00000.png", encode(vkitti_depth_cm()))
    return root


def vkitti_depth_cm() -> np.ndarray:
    depth = np.full(SIZE_WH[::-1], 65535, np.uint16)
    depth[8:] = np.linspace(500, 12000, SIZE_WH[0]).round().astype(np.uint16)
    return depth


def write_replica(root: Path, units_per_m: float = 6553.5) -> Path:
    put(root / "cam_params.json", b'{"camera": {"w": 24, "h": 16, "scale": %f}}' % units_per_m)
    for scene in ("office0", "room1"):
        for frame in range(2):
            name = f"{frame:06d}"
            put(
                root / scene / "results" / f"frame{name}.jpg",
                encode(picture(scene + name), "JPEG", quality=95),
            )
            put(root / scene / "results" / f"depth{name}.png", encode(replica_depth_units(units_per_m)))
        put(root / scene / "traj.txt", b"1 0 0 0\n")
    return root


def replica_depth_units(units_per_m: float = 6553.5) -> np.ndarray:
    """1 to 5 m along the columns; nothing was measured in the first one."""
    depth_m = np.repeat(np.linspace(1, 5, SIZE_WH[1])[:, None], SIZE_WH[0], axis=1)
    depth_m[:, 0] = 0
    return (depth_m * units_per_m).round().astype(np.uint16)


def write_hypersim(root: Path, distance_m: np.ndarray, scenes: tuple[str, ...] = ("ai_001_001",)) -> Path:
    """The authors' folders, with the same float16 distances in every frame."""
    import h5py

    for scene in scenes:
        for frame in range(2):
            images = root / scene / "images"
            name = f"frame.{frame:04d}"
            size_WH = distance_m.shape[::-1]
            put(
                images / "scene_cam_00_final_preview" / f"{name}.tonemap.jpg",
                encode(picture(scene + name, size_WH), "JPEG", quality=95),
            )
            depth = images / "scene_cam_00_geometry_hdf5" / f"{name}.depth_meters.hdf5"
            depth.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(depth, "w") as file:
                file.create_dataset("dataset", data=distance_m.astype(np.float16), compression="gzip")
    return root
