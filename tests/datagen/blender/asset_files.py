"""Objects and lightings as files, written by hand so that the tests know every number in them."""

import json
import struct
from pathlib import Path

import cv2
import numpy as np

from pairbridge.datagen.assets.exr_files import write_exr

BOX_FACES = ((4, 3, 2, 1), (5, 6, 7, 8), (1, 2, 6, 5), (2, 3, 7, 6), (3, 4, 8, 7), (4, 1, 5, 8))


def box_vertices(size: tuple[float, float, float]) -> np.ndarray:
    """The eight corners (8, 3) of a box at the origin's positive side."""
    x, y, z = size
    return np.array(
        [[0, 0, 0], [x, 0, 0], [x, y, 0], [0, y, 0], [0, 0, z], [x, 0, z], [x, y, z], [0, y, z]], np.float32
    )


def write_obj(path: Path, vertices: np.ndarray, faces=BOX_FACES, material: str = "") -> Path:
    """An OBJ file whose axes are the world's turned by a right angle about X, as the format has it."""
    lines = [f"mtllib {path.stem}.mtl", "usemtl only"] if material else []
    if material:
        path.with_suffix(".mtl").write_text(f"newmtl only\n{material}\n")
    lines += [f"v {x} {y} {z}" for x, y, z in vertices.tolist()]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1"]
    lines += ["f " + " ".join(f"{v}/{i + 1}" for i, v in enumerate(face)) for face in faces]
    path.write_text("\n".join(lines) + "\n")
    return path


def gltf_of_two_boxes(buffer_uri: str | None) -> tuple[dict, bytes]:
    """Two unit boxes as two roots 10 apart on X, the second scaled by 2, and the binary buffer.

    With a texture, a camera and an animation that moves the first box 100 away within a second.
    """
    corners = box_vertices((1, 1, 1))
    triangles = np.array([[f[0] - 1, f[i] - 1, f[i + 1] - 1] for f in BOX_FACES for i in (1, 2)], np.uint16)
    image = np.full((4, 4, 3), (40, 160, 220), np.uint8)
    png = cv2.imencode(".png", image)[1].tobytes()
    times = np.array([0, 1], np.float32)
    moves = np.array([[0, 0, 0], [100, 0, 0]], np.float32)
    parts = [corners.tobytes(), triangles.tobytes(), corners[:, :2].astype(np.float32).tobytes()]
    parts += [times.tobytes(), moves.tobytes(), png]
    views, binary = [], b""
    for part in parts:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(part)})
        binary += part + b"\0" * (-len(part) % 4)
    gltf = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0, 1, 2]}],
        "nodes": [
            {"mesh": 0},
            {"mesh": 0, "translation": [10, 0, 0], "scale": [2, 2, 2]},
            {"camera": 0, "translation": [0, 50, 0]},
        ],
        "cameras": [{"type": "perspective", "perspective": {"yfov": 0.6, "znear": 0.1}}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}]}
        ],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 5, "mimeType": "image/png"}],
        "animations": [
            {
                "samplers": [{"input": 3, "output": 4}],
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}],
            }
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 8,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 1],
            },
            {"bufferView": 1, "componentType": 5123, "count": triangles.size, "type": "SCALAR"},
            {"bufferView": 2, "componentType": 5126, "count": 8, "type": "VEC2"},
            {"bufferView": 3, "componentType": 5126, "count": 2, "type": "SCALAR", "min": [0], "max": [1]},
            {"bufferView": 4, "componentType": 5126, "count": 2, "type": "VEC3"},
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)} | ({"uri": buffer_uri} if buffer_uri else {})],
    }
    return gltf, binary


def write_glb(path: Path) -> Path:
    """`gltf_of_two_boxes` in one binary file."""
    gltf, binary = gltf_of_two_boxes(None)
    text = json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    path.write_bytes(
        struct.pack("<4sII", b"glTF", 2, size)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )
    return path


def write_lighting(path: Path, seed: int, sun: float = 0.0) -> Path:
    """A smooth random equirectangular EXR, 64x32, with one texel of radiance `sun` above the horizon."""
    draw = np.random.default_rng(seed)
    coarse = draw.uniform(0, 1, (4, 8, 3)).astype(np.float32)
    pixels = cv2.resize(np.concatenate([coarse, coarse[:, :1]], axis=1), (72, 32))[:, :64]
    pixels[6, 20] += np.float32(sun)
    write_exr(path, pixels)
    return path
