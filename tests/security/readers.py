"""Every reader of users' data: its error, how it is called, and small valid files to damage.

The list is held against the code by `test_fuzz.py::test_every_decoder_is_called_behind_a_reader`.
"""

import base64
import gzip
import hashlib
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import OpenEXR
from PIL import Image, ImageCms, PngImagePlugin

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.assets.exr_files import read_equirect
from pairbridge.datagen.assets.mask_files import decode_mask
from pairbridge.datagen.assets.material_files import check_material
from pairbridge.datagen.assets.object_files import check_object_file
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.assets.photographs import PhotoRules, read_header, read_photograph
from pairbridge.datagen.assets.texture_files import file_problem
from pairbridge.datagen.core.errors import (
    AssetError,
    CatalogueError,
    ConfigError,
    PairbridgeError,
    ShardError,
)
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.record_files import read_output
from pairbridge.datagen.core.yaml_text import read_document
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.imports.candidates import SidecarPlace
from pairbridge.datagen.imports.field_codecs import DepthCodec
from pairbridge.datagen.imports.field_decoding import decode_depth, field_size
from pairbridge.datagen.imports.foreign_tars import tar_members
from pairbridge.datagen.imports.hypersim import HypersimLayout
from pairbridge.datagen.imports.import_config import ImportConfig
from pairbridge.datagen.imports.import_manifest import REJECTED_NAME, ImportManifest, read_rejected
from pairbridge.datagen.imports.imported import ImportedPairs
from pairbridge.datagen.imports.indexing import import_dataset
from pairbridge.datagen.imports.replica import ReplicaLayout
from pairbridge.datagen.models.weights.weight_folders import RECORD, WeightsError, read_record
from pairbridge.datagen.shards.reader import Shard
from pairbridge.datagen.shards.records import GroupRecord, Sidecar
from pairbridge.datagen.shards.sample import decode_field, decode_sample, encode_field
from pairbridge.datagen.shards.tar import walk_tar
from pairbridge.datagen.sourcing.credits import CreditReader
from pairbridge.datagen.sourcing.photo_audit import write_exclusions
from pairbridge.datagen.sourcing.sources import user_files
from pairbridge.pipelines.inference.image_files import read_image, read_mask
from pairbridge.training.data.pair_review import keys_to_keep, keys_to_leave_out
from tests.support.foreign_datasets import write_folders
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

SHARD = "train-fuzzed-000000"
_REVIEW = {"format": "pairbridge-review/1", "dataset": "a", "accepted": [], "rejected": ["r-train-00000000"]}


@dataclass(frozen=True)
class Reader:
    """`read` gets the path of a damaged file of the right name, alone in its folder but for `beside`."""

    errors: type[PairbridgeError]
    read: Callable[[Path], Any]
    seeds: dict[str, bytes]
    """File name -> a valid file; the damaged one has the same name."""
    beside: dict[str, bytes]


def every_reader(scratch: Path) -> dict[str, Reader]:
    """By name. `scratch`: an empty folder in which valid files are made."""
    pictures, dataset, made_import = _pictures(), _dataset(scratch / "set"), _import(scratch)
    photo = {name: pictures[name] for name in pictures if not name.startswith("grey16")}
    shard = {f"{SHARD}.tar": dataset[f"shards/{SHARD}.tar"], f"{SHARD}.json": dataset[f"shards/{SHARD}.json"]}
    sample = {name.removeprefix("a."): data for name, data in _sample().items()}
    pngs = {name: sample[name] for name in ("target.png", "mask.png")}
    readers = {
        "field.png": (
            ShardError,
            lambda path: decode_field("source.png", path.read_bytes()),
            pngs | _odd_png(),
        ),
        "field.npy": (
            ShardError,
            lambda path: decode_field("depth.npy", path.read_bytes()),
            {"depth.npy": sample["depth.npy"]},
        ),
        "meta.json": (
            ShardError,
            lambda path: decode_sample("a", {**sample, "meta.json": path.read_bytes()}),
            {"meta.json": sample["meta.json"]},
        ),
        "sidecar": (ShardError, Sidecar.from_file, {f"{SHARD}.json": shard[f"{SHARD}.json"]}),
        "shard": (
            ShardError,
            _every_sample,
            {f"{SHARD}.json": shard[f"{SHARD}.json"]},
            {f"{SHARD}.tar": shard[f"{SHARD}.tar"]},
        ),
        "group record": (
            ShardError,
            lambda path: GroupRecord.from_json(path.read_bytes()),
            {"00000000.json": _group_record(shard[f"{SHARD}.json"])},
        ),
        "shard tar": (ShardError, lambda path: list(walk_tar(path)), {f"{SHARD}.tar": shard[f"{SHARD}.tar"]}),
        "dataset.json": (
            ShardError,
            lambda path: DatasetManifest.from_folder(path.parent),
            {"dataset.json": dataset["dataset.json"]},
        ),
        "import.json": (
            ShardError,
            lambda path: ImportManifest.from_folder(path.parent),
            {"import.json": made_import["import.json"]},
        ),
        "import index": (
            ShardError,
            _every_pair,
            {"index/train.jsonl": made_import["index/train.jsonl"]},
            {"import.json": made_import["import.json"]},
        ),
        "rejected.jsonl": (
            ShardError,
            lambda path: read_rejected(path.parent),
            {REJECTED_NAME: canonical_json({"id": "a", "reason": "b"}) + b"\n"},
        ),
        "review.json": (
            ConfigError,
            lambda path: keys_to_leave_out(path, "a"),
            {"review.json": canonical_json(_REVIEW)},
        ),
        "list of keys": (
            ConfigError,
            lambda path: keys_to_keep(path, "a"),
            {"keys.txt": b"# mine\nr-train-00000000\n"},
        ),
        "foreign tar": (ShardError, _members, _tars()),
        "members of a foreign tar": (
            ShardError,
            lambda path: tar_members(path.with_name("a.tar"), path, hash_file=False),
            {"a.tar.members.json": _members_json()},
            {"a.tar": _tars()["a.tar"]},
        ),
        "photograph": (AssetError, lambda path: read_photograph(path, PhotoRules(min_side=1)), photo),
        "header": (AssetError, lambda path: read_header(io.BytesIO(path.read_bytes()), path.name), photo),
        "translated image": (AssetError, read_image, photo),
        "mask": (AssetError, lambda path: decode_mask(path.read_bytes(), path.name), pictures),
        "translated mask": (AssetError, read_mask, {"bw.png": pictures["bw.png"]}),
        "depth.png": (
            AssetError,
            lambda path: decode_depth(DepthCodec(), path.read_bytes(), path.name),
            {"grey16.png": pictures["grey16.png"]},
        ),
        "depth.hdf5": (AssetError, _hdf5, _hdf5_files()),
        "environment map": (AssetError, read_equirect, _exrs() | _radiances()),
        "texture": (PairbridgeError, file_problem, _textures() | _exrs() | _radiances() | photo),
        "material": (
            AssetError,
            lambda path: check_material(path, ObjectRules()),
            {"oak_Color.png": pictures["rgb.png"]},
            {"oak_Roughness.png": pictures["rgb.png"]},
        ),
        "object": (
            AssetError,
            lambda path: check_object_file(path, ObjectRules()),
            _objects(pictures["rgb.png"]),
            {"box.mtl": b"newmtl red\nKd 1 0 0\nmap_Kd skin.png\n", "skin.png": pictures["rgb.png"]},
        ),
        "material library": (
            AssetError,
            lambda path: check_object_file(path.with_name("box.obj"), ObjectRules()),
            {"box.mtl": b'newmtl red\nKd 1 0 0\nmap_Kd -s 1 1 1 skin.png\nmap_Bump -bm 0.5 "a b.png"\n'},
            {"box.obj": _objects(b"")["box.obj"], "skin.png": pictures["rgb.png"]},
        ),
        "YAML": (ConfigError, read_document, {"dataset.yaml": _YAML}),
        "catalogue.yaml": (
            CatalogueError,
            lambda path: user_files(AssetsConfig(embedded=False, photos=(path.parent,)), set()),
            {"catalogue.yaml": b"a: {split: test, licence: CC0-1.0, author: Jo}\n'*':\n  tags: [human]\n"},
        ),
        "exclusions": (
            ConfigError,
            lambda path: write_exclusions(path, {"a": "it is dark"}),
            {"excluded.yaml": b"# mine\na: {split: test, licence: CC0-1.0}\nb:\n  author: Jo\n"},
        ),
        "credits": (
            PairbridgeError,
            lambda path: CreditReader(path.parent).read(path.with_name("chair.glb")),
            _credits(),
            {"chair.glb": b""},
        ),
        "cam_params.json": (
            ConfigError,
            lambda path: ReplicaLayout().find(path.parent, SidecarPlace(path.parent, False)),
            {"cam_params.json": b'{"camera": {"w": 1200, "scale": 6553.5}}'},
        ),
        "Hypersim's table": (
            ConfigError,
            lambda path: HypersimLayout().find(path.parent, SidecarPlace(path.parent, False)),
            {"metadata_images_split_scene_v1.csv": _CSV},
        ),
        "record of weights": (
            WeightsError,
            lambda path: read_record(path.parent),
            {RECORD: json.dumps({"repository": "a/b", "revision": "c", "sha256": {"d": "e"}}).encode()},
        ),
        "evaluation.json": (
            ConfigError,
            lambda path: read_output(path, "evaluate"),
            {"evaluation.json": json.dumps({"sources": {"a": {"psnr": [1.5, 2e3]}}}, indent=1).encode()},
        ),
    }
    return {
        name: Reader(errors, read, seeds, *(beside or ({},)))
        for name, (errors, read, seeds, *beside) in readers.items()
    }


_YAML = b"""\
name: mine  # a comment
seed: 3
recipes:
  swap: {kind: relighting_swap, groups: {train: 4}, size_px: [64, 48], weights: [1.5e-3, .5]}
assets:
  photos:
    - "photos"
    - 'more'
text: |
  two
  lines
"""
_CSV = (
    b"scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name\n"
    b"ai_001_001,cam_00,0,True,,train\nai_001_001,cam_00,1,False,,\nai_002_001,cam_01,7,True,,val\n"
)


def _every_sample(path: Path) -> None:
    shard = Shard.of(path.parent, Sidecar.from_file(path))
    for index in range(len(shard)):
        decode_sample(shard.key(index), shard.read(index))


def _every_pair(path: Path) -> None:
    folder = path.parent.parent
    # What the manifest says of the index is made true: someone who forges one forges both.
    manifest = json.loads((folder / "import.json").read_bytes())
    manifest["splits"]["train"] = {
        "pairs": max(1, path.read_bytes().count(b"\n")),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "import.json").write_bytes(canonical_json(manifest))
    pairs = ImportedPairs(folder, "mine", "train")
    pairs.sizes  # noqa: B018  read for its errors
    for index in range(len(pairs)):
        pairs.read(index, tuple(pairs.fields))


def _members(path: Path) -> Any:
    path.with_name("sidecar.json").unlink(missing_ok=True)
    return tar_members(path, path.with_name("sidecar.json"), hash_file=False)


def _hdf5(path: Path) -> Any:
    codec = DepthCodec(file="hypersim_hdf5")
    field_size(codec, io.BytesIO(path.read_bytes()), path.name)
    return decode_depth(codec, path.read_bytes(), path.name)


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def _saved(image: Image.Image, encoding: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, encoding, **options)
    return stream.getvalue()


def _pictures() -> dict[str, bytes]:
    rgb, disc = Image.fromarray(_random(12, 16, 3)), np.zeros((16, 16), np.uint8)
    disc[4:12, 4:12] = 255
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "a" * 500, zip=True)
    texts.add_itxt("Title", "b" * 500, zip=True)
    exif = Image.Exif()
    exif[0x0112], exif[0xA005] = 6, {1: "R03"}
    palette = rgb.quantize(8)
    return {
        "rgb.png": _saved(rgb, "PNG"),
        "texts.png": _saved(rgb, "PNG", pnginfo=texts, icc_profile=profile, exif=exif.tobytes()),
        "palette.png": _saved(palette, "PNG", transparency=bytes([255] * 8)),
        "bw.png": _saved(Image.fromarray(disc), "PNG"),
        "bits.png": _saved(Image.fromarray(disc).convert("1"), "PNG"),
        "grey16.png": _saved(Image.fromarray(np.full((8, 8), 4000, np.uint16)), "PNG"),
        "rgb.jpg": _saved(rgb, "JPEG", icc_profile=profile, exif=exif),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        "lossy.webp": _saved(rgb, "WEBP", exif=exif),
        "lossless.webp": _saved(rgb, "WEBP", lossless=True, icc_profile=profile),
        "alpha.webp": _saved(rgb.convert("RGBA"), "WEBP"),
    }


def _odd_png() -> dict[str, bytes]:
    return {"texts.png": _pictures()["texts.png"], "palette.png": _pictures()["palette.png"]}


def _sample() -> dict[str, bytes]:
    meta = {"key": "a", "assets": [{"role": "object", "id": "b"}], "params": '{"fill_seed":3,"lights":[]}'}
    return {
        "target.png": encode_field("target.png", _random(8, 8, 3)),
        "mask.png": encode_field("mask.png", _random(8, 8)),
        "depth.npy": encode_field("depth.npy", np.arange(64, dtype=np.float32).reshape(8, 8)),
        "meta.json": encode_field("meta.json", meta),
    }


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _dataset(folder: Path) -> dict[str, bytes]:
    recipes = {"fuzzed": TinyRecipe(groups={"train": 2}, size_WH=(8, 8))}
    return _files(TinyDataset(recipes=recipes).write(folder))


def _group_record(sidecar: bytes) -> bytes:
    content = json.loads(sidecar)
    record = {name: content[name] for name in ("sha256", "samples", "holes", "rejections")}
    return canonical_json({**record, "group": 0, "bytes": content["bytes"] - 1024})


def _import(scratch: Path) -> dict[str, bytes]:
    root = write_folders(scratch / "root", ["a/one", "a/two"])
    fields = {"source": "before/{id}.jpg", "target": "after/{id}.png", "mask": "mask/{id}_mask.png"}
    config = {"name": "mine", "root": root, "splits": {"kind": "all", "split": "train"}}
    layout = {"kind": "folders", "task": "removal", "fields": fields}
    import_dataset(ImportConfig.model_validate({**config, "layout": layout}), scratch / "import")
    return _files(scratch / "import")


def _tars() -> dict[str, bytes]:
    made = {}
    for name, form in (
        ("a.tar", tarfile.USTAR_FORMAT),
        ("b.tar", tarfile.PAX_FORMAT),
        ("c.tar", tarfile.GNU_FORMAT),
    ):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
            for member in (
                "0.jpg",
                "0.txt",
                f"{'long/' * 30}1.png" if form != tarfile.USTAR_FORMAT else "1.png",
            ):
                info = tarfile.TarInfo(member)
                info.size, info.mtime = 600, 1.5 if form == tarfile.PAX_FORMAT else 1
                tar.addfile(info, io.BytesIO(bytes(600)))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "0.jpg"
            tar.addfile(link)
        made[name] = stream.getvalue()
    return made


def _members_json() -> bytes:
    content = {"format": "pairbridge-tar-members-1", "bytes": 10240, "mtime_ns": 1, "sha256": None}
    return canonical_json({**content, "members": [["0.jpg", 512, 600]], "others": {"link": "a link"}})


def _hdf5_files() -> dict[str, bytes]:
    made = {}
    for name, options in (
        ("plain", {}),
        ("gzip", {"chunks": (8, 8), "compression": "gzip", "shuffle": True}),
    ):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            file.create_dataset("dataset", data=np.ones((12, 16), np.float16), **options)
        made[f"{name}.hdf5"] = stream.getvalue()
    return made


def _exrs() -> dict[str, bytes]:
    light = np.random.default_rng(4).uniform(0.1, 3, (8, 16, 3)).astype(np.float32)
    made = {}
    for name in ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "DWAA"):
        header = {"compression": getattr(OpenEXR, f"{name}_COMPRESSION"), "type": OpenEXR.scanlineimage}
        path = Path("/dev/shm") / f"pairbridge-fuzz-{name}.exr"
        with OpenEXR.File(header, {"RGB": light.astype(np.float16)}) as file:
            file.write(str(path))
        made[f"{name.lower()}.exr"] = path.read_bytes()
        path.unlink()
    return made


def _radiances() -> dict[str, bytes]:
    light = np.random.default_rng(4).uniform(0.1, 3, (8, 16, 3)).astype(np.float32)
    coded = cv2.imencode(".hdr", light)[1].tobytes()
    flat = (
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=2.0\n\n+Y 8 -X 16\n" + bytes([90, 80, 70, 129]) * 128
    )
    old = b"#?RADIANCE\nFORMAT=32-bit_rle_xyze\n\n-Y 8 +X 16\n" + bytes([90, 80, 70, 129, 1, 1, 1, 127])
    return {"coded.hdr": coded, "flat.hdr": flat, "old.hdr": old}


def _textures() -> dict[str, bytes]:
    rgb = Image.fromarray(_random(8, 8, 3))
    return {
        "skin.tif": _saved(rgb, "TIFF", compression="tiff_lzw"),
        "skin.bmp": _saved(rgb, "BMP"),
        "skin.tga": _saved(rgb, "TGA", rle=True),
    }


def _objects(skin: bytes) -> dict[str, bytes]:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "<f4")
    faces = [(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)]
    head = "element vertex 4\nproperty float x\nproperty float y\nproperty float z\nelement face 4\n"
    head += "property list uchar int vertex_indices\nend_header\n"
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in points) + "".join(f"3 {a} {b} {c}\n" for a, b, c in faces)
    packed = b"".join(struct.pack("<B3i", 3, *face) for face in faces)
    corners = b"".join(bytes(12) + points[list(face)].tobytes() + b"\0\0" for face in faces)
    text = "solid a\n" + "".join(
        "facet normal 0 0 1\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*points[corner]) for corner in face)
        + "endloop\nendfacet\n"
        for face in faces
    )
    binary = points.tobytes() + np.array(faces, "<u2").tobytes()
    gltf = {
        "asset": {"version": "2.0", "copyright": "CC0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}, {"nodes": [1]}],
        "nodes": [
            {"mesh": 0, "children": [1]},
            {"mesh": 0, "extensions": {"KHR_node_visibility": {"visible": False}}},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"componentType": 5126, "bufferView": 0, "count": 4, "type": "VEC3"},
            {"componentType": 5123, "bufferView": 1, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 48},
            {"buffer": 0, "byteOffset": 48, "byteLength": 24},
            {"buffer": 0, "byteOffset": 72, "byteLength": len(skin)},
        ],
        "buffers": [{"byteLength": 72 + len(skin)}],
        "images": [{"bufferView": 2, "mimeType": "image/png"}, {"uri": "skin.png"}],
        "extensionsUsed": ["KHR_node_visibility"],
    }
    inside = binary + skin + bytes(-len(binary + skin) % 4)
    json_chunk = json.dumps(gltf).encode()
    json_chunk += b" " * (-len(json_chunk) % 4)
    chunks = struct.pack("<I4s", len(json_chunk), b"JSON") + json_chunk
    chunks += struct.pack("<I4s", len(inside), b"BIN\0") + inside
    uri = "data:application/octet-stream;base64," + base64.b64encode(binary + skin).decode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as usdz:
        usdz.writestr("scene.usda", "#usda 1.0\n")
        usdz.writestr("skin.png", skin)
    return {
        "text.ply": f"ply\nformat ascii 1.0\ncomment a\n{head}{rows}".encode(),
        "packed.ply": f"ply\nformat binary_little_endian 1.0\n{head}".encode() + points.tobytes() + packed,
        "text.stl": (text + "endsolid a\n").encode(),
        "packed.stl": bytes(80) + struct.pack("<I", 4) + corners,
        "box.obj": (
            "mtllib box.mtl\nusemtl red\n"
            + "".join(f"v {x} {y} {z}\n" for x, y, z in points + np.float32(1e6))
            + "".join(f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in faces)
        ).encode(),
        "box.glb": struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks,
        "box.gltf": json.dumps({**gltf, "buffers": [{"uri": uri, "byteLength": 72 + len(skin)}]}).encode(),
        "box.usdz": archive.getvalue(),
        "box.fbx": b"Kaydara FBX Binary  \x00\x1a\x00" + bytes(64),
    }


def _credits() -> dict[str, bytes]:
    entry = {
        "license": {"slug": "by-nc"},
        "user": {"displayName": "Jo"},
        "viewerUrl": "https://example.org/x",
    }
    index = {"chair": entry, "table": {"licence": "CC0"}}
    return {
        "chair.json": json.dumps(entry, indent=1).encode(),
        "annotations.json": json.dumps(index).encode(),
        "metadata.json.gz": gzip.compress(json.dumps(index).encode()),
        "chair.glb": _objects(b"")["box.glb"],
    }
