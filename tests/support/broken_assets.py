"""A folder with sound assets, and beside them one of each kind of broken one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from pairbridge.datagen.assets.exr_files import write_exr
from tests.support.tiny_rendered import lamp, lobed_sphere

# Path inside the folder -> the name of its outcome.
BROKEN = {
    "objects/truncated.glb": "truncated",
    "objects/zero-area.obj": "zero_area",
    "objects/nan.ply": "not_finite",
    "objects/missing-texture.obj": "missing_texture",
    "objects/script.blend": "script",
    "objects/8k/8k-texture.obj": "texture_too_large",
    "objects/empty-scene.blend": "no_geometry",
    "objects/picture.glb": "wrong_suffix",
    "objects/dead-pipe.obj": "missing_material",
    "hdris/zero-bytes.exr": "empty_file",
    "hdris/nan.exr": "not_finite",
    "hdris/square.exr": "not_equirectangular",
    "photos/half.png": "unusable_photo",
}
SOUND = {
    "objects/shape.obj",
    "objects/100-km.obj",
    "objects/sub folder/Größe 100 % – Чашка ✓.obj",
    "hdris/lamp.exr",
    "hdris/räume/lamp 2.exr",
    "photos/cat.png",
}

FLAT = "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n"
TEXTURED = "mtllib {0}.mtl\nusemtl only\nvt 0 0\nvt 1 0\nvt 1 1\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/1 2/2 3/3\n"


def write_broken_assets(root: Path, *, pipe: bool = True) -> None:
    """SOUND and BROKEN under `root`, all pinned to train; without `pipe` nothing that one
    might wait for."""
    for path in (*SOUND, *BROKEN):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    objects, hdris, photos = root / "objects", root / "hdris", root / "photos"
    sphere = lobed_sphere(3)
    (objects / "shape.obj").write_text(sphere)
    (objects / "sub folder" / "Größe 100 % – Чашка ✓.obj").write_text(lobed_sphere(4))
    rows = [line.split() for line in lobed_sphere(5).splitlines()]
    large = [
        " ".join([row[0], *(str(5e4 * float(v)) for v in row[1:])]) if row[0] == "v" else " ".join(row)
        for row in rows
    ]
    (objects / "100-km.obj").write_text("\n".join(large))
    write_exr(hdris / "lamp.exr", lamp(0.2))
    write_exr(hdris / "räume" / "lamp 2.exr", lamp(0.6))
    picture = np.random.default_rng(1).integers(0, 255, (64, 80, 3), np.uint8)
    cv2.imwrite(str(photos / "cat.png"), cv2.GaussianBlur(picture, (0, 0), 5))

    scratch = root / "scratch"
    scratch.mkdir()
    script = Path(__file__).parents[1] / "datagen" / "blender" / "write_formats.py"
    subprocess.run([sys.executable, str(script), str(scratch)], check=True, capture_output=True, timeout=120)
    whole = (scratch / "box.glb").read_bytes()
    shutil.copy(scratch / "scripts" / "text.blend", objects / "script.blend")
    shutil.copy(scratch / "scenes" / "empty.blend", objects / "empty-scene.blend")
    shutil.rmtree(scratch)
    (objects / "truncated.glb").write_bytes(whole[: len(whole) // 2])
    (objects / "zero-area.obj").write_text(FLAT)
    (objects / "nan.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 nan\n0 1 0\n3 0 1 2\n"
    )
    for name, material in (("missing-texture", "gone.png"), ("8k/8k-texture", "8k.png")):
        path = objects / f"{name}.obj"
        path.write_text(TEXTURED.format(path.stem))
        path.with_suffix(".mtl").write_text(f"newmtl only\nmap_Kd {material}\n")
    cv2.imwrite(str(objects / "8k" / "8k.png"), np.full((8, 8192, 3), 90, np.uint8))
    (objects / "picture.glb").write_bytes((photos / "cat.png").read_bytes())
    (hdris / "zero-bytes.exr").write_bytes(b"")
    dark = lamp(0.4)
    dark[3, 4] = np.nan
    write_exr(hdris / "nan.exr", dark)
    write_exr(hdris / "square.exr", np.ones((16, 16, 3), np.float32))
    (photos / "half.png").write_bytes((photos / "cat.png").read_bytes()[:2000])
    if pipe:
        os.mkfifo(objects / "dead.mtl")
        (objects / "dead-pipe.obj").write_text(
            "mtllib dead.mtl\nusemtl paint\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
        )
    for folder in (objects, hdris, photos):
        (folder / "catalogue.yaml").write_text('"*": {split: train, licence: CC0-1.0, author: test}\n')
