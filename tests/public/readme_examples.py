"""The Python examples of the README, and small files for them: what they name, in place and small."""

import json
import re
import struct
from pathlib import Path

import cv2
import numpy as np

from tests.support.tiny_rendered import lamp, lobed_sphere, tiny_config, write_assets

README = Path(__file__).resolve().parents[2] / "README.md"

TRAINING = """\
steps: 3
batch_size: 4
size: 32
denoiser: {widths: [8, 16], head_width: 8, norm_groups: 4}
timesteps: {kind: discrete, times: [0.0], weights: [1.0]}
threads: 1
loader_workers: 0
watch: {trackers: []}
"""
MIX = """\
sources:
  - {name: swap, path: my-data, recipe: swap}
"""
# What the examples are run with instead, so that they take seconds.
SMALLER = {"size=(256, 256)": "size=(48, 48)", "samples=64": "samples=4", "steps=1000": "steps=20"}


def examples() -> list[str]:
    """The fenced blocks of the section "In Python", as they stand."""
    section = re.search(r"^## In Python\n(.*?)^## ", README.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(r"^```python\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)


def small_script() -> str:
    """All examples, one after the other, at small sizes."""
    text = "\n".join(examples())
    for large, small in SMALLER.items():
        assert large in text
        text = text.replace(large, small)
    return text


def write_files(folder: Path) -> None:
    """Every file that the examples name."""
    write_assets(folder / "assets")
    (folder / "my.glb").write_bytes(glb(lobed_sphere(3)))
    cv2.imwrite(str(folder / "my.hdr"), np.ascontiguousarray(lamp(0.3)[..., ::-1]))
    config = tiny_config(folder / "assets", groups=6)
    (folder / "my_dataset.yaml").write_text(config.model_dump_json())
    (folder / "my_training.yaml").write_text(TRAINING)
    (folder / "my_mix.yaml").write_text(MIX)
    y, x = np.mgrid[:40, :56]
    picture = np.stack([x * 4, y * 6, 255 - x * 4], axis=-1).astype(np.uint8)
    cv2.imwrite(str(folder / "picture.png"), picture)
    cv2.imwrite(str(folder / "mask.png"), ((x - 28) ** 2 + (y - 20) ** 2 < 200).astype(np.uint8) * 255)


def glb(obj: str) -> bytes:
    """The quads of a Wavefront OBJ as a binary glTF of one mesh."""
    lines = [line.split() for line in obj.splitlines()]
    points = np.array([line[1:] for line in lines if line[0] == "v"], "<f4")
    quads = np.array([line[1:] for line in lines if line[0] == "f"], "<u2") - 1
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype("<u2")
    data = points.tobytes() + triangles.tobytes()
    data += b"\0" * (-len(data) % 4)
    content = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": len(points),
                "type": "VEC3",
                "min": points.min(0).tolist(),
                "max": points.max(0).tolist(),
            },
            {"bufferView": 1, "componentType": 5123, "count": triangles.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": points.nbytes},
            {"buffer": 0, "byteOffset": points.nbytes, "byteLength": triangles.nbytes},
        ],
        "buffers": [{"byteLength": len(data)}],
    }
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
