"""glTF, text and binary: its numbers and references, and what Blender's importer would misread or draw in
excess."""

import base64
import binascii
import copy
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from pairbridge.datagen.assets.object_formats.file_references import find_beside, is_beside
from pairbridge.datagen.assets.object_formats.unusable_objects import unusable
from pairbridge.datagen.core.bounded_json import JsonRefused, parse_json, read_json
from pairbridge.datagen.core.errors import is_of_machine
from pairbridge.datagen.core.limits import MAX_GLTF_JSON_BYTES

_BOM = b"\xef\xbb\xbf"
_FLOAT = 5126
_VISIBILITY = "KHR_node_visibility"
# Extensions that a file may require: those of Blender 4.5's importer, and what is done here.
_READ = frozenset(
    {
        "EXT_mesh_gpu_instancing", "EXT_texture_webp", "KHR_animation_pointer", "KHR_draco_mesh_compression",
        "KHR_lights_punctual", "KHR_materials_anisotropy", "KHR_materials_clearcoat",
        "KHR_materials_emissive_strength",
        "KHR_materials_ior", "KHR_materials_pbrSpecularGlossiness", "KHR_materials_sheen",
        "KHR_materials_specular",
        "KHR_materials_transmission", "KHR_materials_unlit", "KHR_materials_variants", "KHR_materials_volume",
        "KHR_mesh_quantization", "KHR_texture_transform", _VISIBILITY,
    }
)  # fmt: skip
# What a malformed file raises wherever it is looked into; the importer says what is wrong with it.
_MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, RecursionError)


def mend_gltf(path: Path, data: bytes) -> dict[str, bytes]:
    """The file, by name, that Blender shall read in the place of this one; none where it reads it as it is.

    Raises AssetError for a file that is shorter than it states, requires an extension that is not read,
    lacks a buffer, or has vertices that are not finite.
    """
    is_binary = path.suffix.lower() == ".glb"
    if is_binary:
        stated = struct.unpack_from("<I", data, 8)[0] if len(data) >= 12 else 12
        if stated > len(data):
            raise unusable(path, "truncated", f"it ends after {len(data)} of {stated} bytes")
    text, binary = _glb_chunks(data) if is_binary else (data, b"")
    try:
        gltf = _parsed(path, text)
        _check_extensions(path, gltf)
        finite = _is_finite(path, gltf, binary)
        mended = _mended(path, gltf)
    except _MALFORMED:
        return {}
    if not finite:
        raise unusable(path, "not_finite", "some of its vertices are not finite")
    if mended == gltf and not text.startswith(_BOM):
        return {}
    for entry in _referring(mended):
        # The copy lies in another folder.
        found = find_beside(path.parent, unquote(entry["uri"]))
        if found is not None:
            entry["uri"] = quote(str((path.parent / found).absolute()))
    written = json.dumps(mended).encode()
    return {path.name: _glb(written, binary) if is_binary else written}


def gltf_companions(path: Path) -> Iterator[str]:
    """Names, relative to the file's folder, of its buffers and pictures."""
    try:
        entries = list(_referring(read_json(path, MAX_GLTF_JSON_BYTES)))
        uris = [unquote(entry["uri"]) for entry in entries]
    except _MALFORMED as error:
        if isinstance(error, OSError) and is_of_machine(error):
            raise
        return  # the importer says what is wrong with it
    yield from (found for uri in uris if (found := find_beside(path.parent, uri)) is not None)


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        gltf = parse_json(text, MAX_GLTF_JSON_BYTES)
        if not isinstance(gltf, dict):
            raise JsonRefused("it holds no object")
    except JsonRefused as error:
        raise unusable(path, "damaged", f"its JSON cannot be used: {error}") from error
    return gltf


def gltf_pictures(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the pictures that lie inside the file or its buffers."""
    text, binary = _glb_chunks(data) if path.suffix.lower() == ".glb" else (data, b"")
    try:
        gltf = parse_json(text, MAX_GLTF_JSON_BYTES)
        for number, image in enumerate(gltf.get("images", ())):
            if "bufferView" in image:
                view = gltf["bufferViews"][image["bufferView"]]
                start = view.get("byteOffset", 0)
                content = _buffer(path, gltf["buffers"][view["buffer"]], binary)
                yield f"image {number}", content[start : start + view["byteLength"]]
            elif image.get("uri", "").startswith("data:"):
                yield f"image {number}", base64.b64decode(image["uri"].partition(",")[2])
    except _MALFORMED:
        return  # said when it is mended


def _check_extensions(path: Path, gltf: dict[str, Any]) -> None:
    needed = [name for name in gltf.get("extensionsRequired", ()) if name not in _READ]
    for texture in gltf.get("textures", ()):
        if "source" not in texture:
            needed += [name for name in texture.get("extensions", ()) if name not in _READ]
    for buffer in gltf.get("buffers", ()):
        # The data of a buffer that only its compressed views have.
        needed += [name for name, said in buffer.get("extensions", {}).items() if said.get("fallback")]
    if needed:
        raise unusable(
            path, "unsupported", f"it needs the glTF extension {needed[0]}, which Blender does not read"
        )


def _mended(path: Path, gltf: dict[str, Any]) -> dict[str, Any]:
    """The file with one scene, without nodes that are hidden, and with its references as they are on the
    disk."""
    mended = copy.deepcopy(gltf)
    nodes = mended.get("nodes", [])
    if mended.get("scenes"):
        children = {child for node in nodes for child in node.get("children", ())}
        scene = mended["scenes"][mended.get("scene", 0)]
        # A node may be listed once; one that has a parent comes with it.
        if "nodes" in scene:
            scene["nodes"] = [node for node in dict.fromkeys(scene["nodes"]) if node not in children]
        if len(mended["scenes"]) > 1:
            mended["scenes"], mended["scene"] = [scene], 0
    hidden = [
        number
        for number, node in enumerate(nodes)
        if node.get("extensions", {}).get(_VISIBILITY, {}).get("visible", True) is False
    ]
    seen: set[int] = set()
    while hidden:
        number = hidden.pop()
        # A malformed file may have a node below itself.
        if number in seen:
            continue
        seen.add(number)
        node = nodes[number]
        for drawn in ("mesh", "camera", "skin", "weights"):
            node.pop(drawn, None)
        node.get("extensions", {}).pop("EXT_mesh_gpu_instancing", None)
        hidden += node.get("children", ())
    if _VISIBILITY in mended.get("extensionsRequired", ()):
        mended["extensionsRequired"] = [name for name in mended["extensionsRequired"] if name != _VISIBILITY]
    for entry in _referring(mended):
        name = unquote(entry["uri"])
        found = find_beside(path.parent, name)
        if found is not None and found != name:
            entry["uri"] = quote(found)
    return mended


def _referring(gltf: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The buffers and images of files beside."""
    for entry in (*gltf.get("buffers", ()), *gltf.get("images", ())):
        if isinstance(entry.get("uri"), str) and not entry["uri"].startswith("data:"):
            yield entry


def _glb_chunks(data: bytes) -> tuple[bytes, bytes]:
    chunks, at = [], 12
    while at + 8 <= len(data) and len(chunks) < 2:
        length = struct.unpack_from("<I", data, at)[0]
        chunks.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    return (*chunks, b"", b"")[:2]


def _glb(text: bytes, binary: bytes) -> bytes:
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _is_finite(path: Path, gltf: dict[str, Any], binary: bytes) -> bool:
    """Whether all POSITION accessors are finite, as far as they can be read."""
    wanted = {
        primitive["attributes"]["POSITION"]
        for mesh in gltf.get("meshes", ())
        for primitive in mesh["primitives"]
        if "POSITION" in primitive["attributes"]
    }
    buffers: dict[int, bytes] = {}
    return all(_accessor_finite(path, gltf, index, binary, buffers) for index in sorted(wanted))


def _accessor_finite(
    path: Path, gltf: dict[str, Any], index: int, binary: bytes, buffers: dict[int, bytes]
) -> bool:
    accessor = gltf["accessors"][index]
    # Without a view the values are compressed (Draco) or zero.
    if accessor["componentType"] != _FLOAT or "bufferView" not in accessor:
        return True
    view = gltf["bufferViews"][accessor["bufferView"]]
    if view["buffer"] not in buffers:
        buffers[view["buffer"]] = _buffer(path, gltf["buffers"][view["buffer"]], binary)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", 12)
    there = len(buffers[view["buffer"]])
    if (
        min(start, accessor["count"], stride - 12) < 0
        or start + stride * (accessor["count"] - 1) + 12 > there
    ):
        why = f"accessor {index} claims {accessor['count']} positions in a buffer of {there} bytes"
        raise unusable(path, "truncated", why)
    values = np.ndarray((accessor["count"], 3), "<f4", buffers[view["buffer"]], start, (stride, 4))
    return bool(np.isfinite(values).all())


def _buffer(path: Path, buffer: dict[str, Any], binary: bytes) -> bytes:
    uri = buffer.get("uri")
    if uri is None:
        return binary
    if uri.startswith("data:"):
        try:
            return base64.b64decode(uri.partition(",")[2])
        except binascii.Error as error:
            raise ValueError(str(error)) from error
    name = unquote(uri)
    found = find_beside(path.parent, name)
    if found is None and not (is_beside(name) and (path.parent / name).exists()):
        raise unusable(path, "missing_buffer", f"its buffer {name} is missing")
    # A pipe never ends.
    return (path.parent / found).read_bytes() if found is not None else b""
