"""Files made to hurt: what they claim is held against what they hold, and no name in them becomes a path."""

import io
import json
import os
import resource
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pairbridge.datagen.assets.catalogue import AssetsConfig
from pairbridge.datagen.assets.exr_files import read_equirect, write_exr
from pairbridge.datagen.assets.mask_files import decode_mask
from pairbridge.datagen.assets.object_files import check_object_file
from pairbridge.datagen.assets.object_rules import ObjectRules
from pairbridge.datagen.assets.photographs import PhotoRules, decode_photograph, read_photograph
from pairbridge.datagen.core.bounded_json import JsonRefused, parse_json
from pairbridge.datagen.core.errors import AssetError, CatalogueError, PairbridgeError, ShardError
from pairbridge.datagen.core.limits import MAX_JSON_DEPTH, MAX_JSON_VALUES
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.exports.export import export_dataset
from pairbridge.datagen.exports.merge import merge_datasets
from pairbridge.datagen.imports.field_codecs import DepthCodec
from pairbridge.datagen.imports.field_decoding import decode_depth
from pairbridge.datagen.imports.foreign_tars import tar_members
from pairbridge.datagen.imports.import_manifest import FileRef, TarInfo
from pairbridge.datagen.imports.imported import read_file
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.datagen.sourcing.credits import Credit, CreditReader
from pairbridge.datagen.sourcing.sources import user_files
from pairbridge.pipelines.pages.browsed_pairs import browse
from pairbridge.pipelines.pages.dataset_page import write_dataset_page
from pairbridge.pipelines.pages.inspection import inspect_samples
from pairbridge.training.data.pairs import PairSource
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

MOST_KIB = 64 << 10
SHARD = "shards/train-swap-000000"


def chunk(kind: bytes, data: bytes, claimed: int | None = None) -> bytes:
    length = len(data) if claimed is None else claimed
    return struct.pack(">I", length) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def saved(encoding: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(512 * 3, dtype=np.uint8).reshape(16, 32, 3)).save(stream, encoding, **options)
    return stream.getvalue()


def texts(**kind: bool) -> bytes:
    info = PngImagePlugin.PngInfo()
    (info.add_itxt if kind.get("itxt") else info.add_text)("a", "b" * 9_000_000, zip=True)
    return saved("PNG", pnginfo=info)


def radiance(width: int, height: int) -> bytes:
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (height, width)


def sized_jpeg(width: int, height: int) -> bytes:
    data = bytearray(saved("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">2H", height, width)
    return bytes(data)


# A picture of a few bytes -> what is wrong with it.
BOMBS = {
    "a chunk of 2 GiB": (png(8, 8, chunk(b"IDAT", b"x" * 8, 0x7FFFFFFF)), "claims 2147483647 bytes"),
    "a colossal size": (png(60_000, 60_000, chunk(b"IDAT", b"x")), "60000x60000"),
    "more pixels than its bytes can hold": (
        png(9000, 9000, chunk(b"IDAT", b"x" * 99), chunk(b"IEND", b"")),
        "in 99",
    ),
    "texts that unpack to 9 MB": (texts(), "unpack"),
    "international texts that unpack to 9 MB": (texts(itxt=True), "unpack"),
    "a JPEG of 65500x1900 in half a kilobyte": (sized_jpeg(65500, 1900), "65500x1900"),
    "a JPEG of ten thousand scans": (
        saved("JPEG", progressive=True)[:-2] + b"\xff\xda\0\2" * 10_000,
        "scans",
    ),
    "a WebP cut in two": (saved("WEBP")[:60], "claims"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_picture_that_claims_what_it_cannot_hold_takes_no_memory(tmp_path: Path, kind: str) -> None:
    data, why = BOMBS[kind]
    path = tmp_path / "skin.png"
    path.write_bytes(data)
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nusemtl red\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "a.mtl").write_text("newmtl red\nmap_Kd skin.png\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (
        lambda: read_photograph(path, PhotoRules(min_side=1)),
        lambda: decode_mask(data, path.name),
        lambda: check_object_file(tmp_path / "a.obj", ObjectRules()),
    ):
        with pytest.raises(AssetError, match=why):
            read()
    with pytest.raises(ShardError):
        decode_field("source.png", data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB


def test_plain_pictures_that_compress_best_are_read() -> None:
    """The limits are those of the formats: one colour everywhere is no bomb."""
    black = Image.fromarray(np.zeros((1500, 2000, 3), np.uint8))
    for encoding, options in (
        ("PNG", {"compress_level": 9}),
        ("JPEG", {"quality": 1}),
        ("WEBP", {"lossless": True}),
    ):
        stream = io.BytesIO()
        black.save(stream, encoding, **options)
        assert decode_photograph(stream.getvalue(), "black").pixels.shape == (1500, 2000, 3)


@pytest.mark.parametrize(
    "data",
    [
        png(8, 8, chunk(b"IDAT", b"x" * 8, 0x7FFFFFFF)),
        saved("PNG"),
        saved("JPEG"),
        saved("TIFF"),
        saved("WEBP"),
        saved("JPEG2000"),
        radiance(65536, 32768),
        radiance(46340, 23170),
        radiance(16384, 8192),
    ],
)
@pytest.mark.parametrize("suffix", [".hdr", ".exr"])
def test_nothing_but_what_it_says_is_decoded_as_an_environment_map(
    tmp_path: Path, data: bytes, suffix: str
) -> None:
    path = tmp_path / f"sky{suffix}"
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AssetError) as refused:
        read_equirect(path)
    assert refused.value.fault in ("damaged", "too_large")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB


@pytest.mark.parametrize("edit", ["width", "channels", "tiles", "attribute"])
def test_an_openexr_file_that_claims_what_it_cannot_hold_is_refused(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "sky.exr"
    write_exr(path, np.ones((8, 16, 3), np.float32))
    data = bytearray(path.read_bytes())
    if edit == "width":
        at = data.index(b"dataWindow\0box2i\0") + 21
        data[at : at + 16] = struct.pack("<4i", 0, 0, 16383, 8191)
    elif edit == "channels":
        at = data.index(b"channels\0chlist\0") + 16
        size = struct.unpack_from("<i", data, at)[0]
        many = (
            b"".join(b"c%d\0" % number + struct.pack("<iIii", 2, 0, 1, 1) for number in range(100_000))
            + b"\0"
        )
        data[at : at + 4 + size] = struct.pack("<i", len(many)) + many
    elif edit == "tiles":
        data[5] |= 2
        at = data.index(b"channels\0chlist\0")
        data[at:at] = b"tiles\0tiledesc\0" + struct.pack("<iIIB", 9, 1 << 16, 1 << 16, 0)
    else:
        at = data.index(b"channels\0chlist\0") + 16
        data[at : at + 4] = struct.pack("<i", 0x7FFFFFFF)
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AssetError):
        read_equirect(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB


def test_jpeg_2000_never_reaches_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2025-53644. Whatever a file is called, OpenCV gets a PNG or a Radiance picture."""
    decoded: list[bytes] = []
    decode = cv2.imdecode

    def watched(data: np.ndarray, flags: int) -> np.ndarray:
        decoded.append(bytes(data[:12]))
        return decode(data, flags)

    monkeypatch.setattr(cv2, "imdecode", watched)
    monkeypatch.setattr(cv2, "imread", lambda *_: pytest.fail("OpenCV opened a file by itself"))
    boxed = saved("JPEG2000")
    bare = boxed[boxed.index(b"\xff\x4f\xff\x51") :]
    # Behind the signatures of what is read, too.
    disguised = [
        b"\x89PNG\r\n\x1a\n" + boxed,
        b"#?RADIANCE\n" + bare,
        b"\xff\xd8\xff" + bare,
        b"RIFF\0\0\0\0WEBP" + bare,
    ]
    for number, data in enumerate((boxed, bare, *disguised)):
        for suffix in (".hdr", ".exr", ".png", ".jpg", ".webp", ".jp2"):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(data)
            for read in (
                lambda: read_photograph(path, PhotoRules(min_side=1)),  # noqa: B023
                lambda: decode_mask(data, "mask"),  # noqa: B023
                lambda: read_equirect(path),  # noqa: B023
                lambda: decode_field("source.png", data),  # noqa: B023
            ):
                with pytest.raises(PairbridgeError):
                    read()
    decode_field("source.png", cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    assert len(decoded) == 1
    assert all(head.startswith((b"\x89PNG", b"#?RADIANCE")) for head in decoded)


def ply(head: bytes) -> bytes:
    return b"ply\n" + head + b"end_header\n" + bytes(64)


BINARY = b"format binary_little_endian 1.0\n"
GLTF = {
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    "accessors": [{"componentType": 5126, "bufferView": 0, "count": 1, "type": "VEC3"}],
    "bufferViews": [{"buffer": 0}],
    "buffers": [{"uri": "data:,AAAAAAAAAAAAAAAA"}],
}
HEADERS = {
    "no-properties.ply": ply(BINARY + b"element vertex 3\n"),
    "negative.ply": ply(
        BINARY + b"element vertex -3\nproperty float x\nproperty float y\nproperty float z\n"
    ),
    "word.ply": ply(BINARY + b"element vertex many\nproperty float x\n"),
    "short.ply": ply(BINARY + b"element vertex\nproperty float x\n"),
    "twice.ply": ply(BINARY + b"element vertex 1\nproperty float x\nproperty float x\n"),
    "no-format.ply": ply(b"format\nelement vertex 1\n"),
    "big.ply": ply(BINARY + b"element vertex 99999999999999999999\nproperty float x\nelement face 9999\n"),
    "deep.gltf": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "count.gltf": json.dumps({**GLTF, "accessors": [{**GLTF["accessors"][0], "count": 1 << 62}]}).encode(),
    "stride.gltf": json.dumps({**GLTF, "bufferViews": [{"buffer": 0, "byteStride": 0}]}).encode(),
    "etc.gltf": json.dumps({**GLTF, "buffers": [{"uri": "/etc/passwd"}]}).encode(),
    "endless.gltf": json.dumps({**GLTF, "buffers": [{"uri": "/dev/zero"}]}).encode(),
    "nan.gltf": b'{"a": NaN}',
    "short.glb": b"glTF\2",
    "count.stl": bytes(80) + struct.pack("<I", 0xFFFFFFFF),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_malformed_object_is_refused_by_its_own_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HEADERS[name])
    with pytest.raises(AssetError):
        check_object_file(tmp_path / name, ObjectRules())


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b"[" * (MAX_JSON_DEPTH + 1) + b"]" * (MAX_JSON_DEPTH + 1),
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"[" + b"[]," * MAX_JSON_VALUES + b"[]]",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'"\\ud800"',
        b"9" * 10_000,
        b"\xff",
        b"",
    ],
)
def test_json_that_could_not_be_walked_or_written_is_refused(text: bytes) -> None:
    with pytest.raises(JsonRefused):
        parse_json(text, 1 << 30)


def test_brackets_in_strings_are_not_nesting() -> None:
    value = {"a": "[{" * 5000 + '\\"[', "b": [["\\"]], "c": "\U0001f600"}
    assert parse_json(json.dumps(value).encode(), 1 << 20) == value
    deepest = b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH
    assert parse_json(deepest, 1 << 20) is not None


def test_a_side_file_nested_200000_deep_states_no_credit(tmp_path: Path) -> None:
    (tmp_path / "chair.glb").write_bytes(b"glTF")
    (tmp_path / "chair.json").write_bytes(b"[" * 200_000)
    assert CreditReader(tmp_path).read(tmp_path / "chair.glb") == Credit()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &a {split: test}\nb: {<<: *a, licence: CC0-1.0}\n", "anchor"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchor"),
        ("a: !!python/object/apply:os.system [id]\n", "tag"),
        ("a: {split: test}\na: {split: train}\n", "second time"),
        ("[" * 300, "not valid YAML"),
        ("a: \xff", "cannot be read"),
    ],
)
def test_a_catalogue_is_read_as_strictly_as_a_configuration(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "catalogue.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(CatalogueError, match=why):
        user_files(AssetsConfig(embedded=False, photos=(tmp_path,)), set())


def test_an_id_of_digits_is_an_id(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)).save(
        tmp_path / "123.png"
    )
    (tmp_path / "catalogue.yaml").write_text("123: {split: test, licence: CC0-1.0}\n")
    ((found,), left_out) = user_files(AssetsConfig(embedded=False, photos=(tmp_path,)), set())
    assert (found.asset.id, found.asset.split, left_out) == ("123", "test", [])


def test_an_array_that_a_file_cannot_hold_is_refused_unread() -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("dataset", (20_000, 20_000), "f4", chunks=(100, 100), compression="gzip")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AssetError, match="are stored"):
        decode_depth(DepthCodec(file="hypersim_hdf5"), stream.getvalue(), "depth.hdf5")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KIB


@pytest.mark.parametrize(
    "ref", [{"size": 10**13}, {"size": 600, "offset": 10**13}, {"size": 600, "offset": 9800}]
)
def test_an_index_that_claims_more_than_its_file_is_refused(tmp_path: Path, ref: dict) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(10_240))
    offset = {"offset": 0} | ref
    with pytest.raises(OSError, match="not in it"):
        read_file(tmp_path, FileRef(path="a.tar", **offset), {"a.tar": TarInfo(bytes=10_240)})


def chained_headers() -> bytes:
    record = b"20 path=aaaaaaaaaaa\n"
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    return (header.tobuf() + record.ljust(512, b"\0")) * 5000


def negative_size() -> bytes:
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    return bytes(header) + bytes(1024)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("made", [chained_headers, negative_size])
def test_a_tar_that_leads_its_reader_astray_is_refused(tmp_path: Path, made: Callable[[], bytes]) -> None:
    (tmp_path / "a.tar").write_bytes(made())
    with pytest.raises(ShardError):
        tar_members(tmp_path / "a.tar", tmp_path / "members.json", hash_file=False)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return TinyDataset(recipes={"swap": TinyRecipe(groups={"train": 1})}).write(tmp_path / "set")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["dataset.json", f"{SHARD}.json", f"{SHARD}.tar"])
def test_a_pipe_in_the_place_of_a_file_is_refused(small: Path, name: str) -> None:
    """Whoever waits for its writer waits for ever."""
    (small / name).unlink()
    os.mkfifo(small / name)
    assert not verify_dataset(small).ok
    with pytest.raises(ShardError, match=Path(name).name):
        PairSource(small, "swap", "train")


def test_a_dataset_cannot_have_its_shards_fetched_from_elsewhere(small: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "shards"
    elsewhere.mkdir(parents=True)
    (small / f"{SHARD}.tar").rename(elsewhere / f"{Path(SHARD).name}.tar")
    (small / ".store.json").write_text(json.dumps({"url": f"file://{elsewhere.parent}", "records": {}}))
    with pytest.raises(ShardError, match="tar"):
        PairSource(small, "swap", "train").pair(0)
    assert not list(small.rglob("*.tar"))


def climbing(pair: dict) -> None:
    pair["meta.json"]["key"] = "../../escaped"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    recipes = {"swap": TinyRecipe(groups={"train": 2})}
    return TinyDataset(recipes=recipes, edit=climbing).write(tmp_path / "in" / "foreign")


OPENERS: dict[str, Callable[[Path, Path], object]] = {
    "inspect": lambda dataset, out: inspect_samples(dataset, None, out, 2),
    "page": lambda dataset, out: write_dataset_page(browse(dataset), out, limit=10, seed=0),
    "folders": lambda dataset, out: export_dataset(dataset, "folders", out),
    "hf": lambda dataset, out: export_dataset(dataset, "hf", out),
    "energon": lambda dataset, out: export_dataset(dataset, "energon", out),
    "merge": lambda dataset, out: merge_datasets([dataset], out),
    "training": lambda dataset, _: PairSource(dataset, "swap", "train").pair(0),
}


@pytest.mark.parametrize("command", OPENERS)
def test_a_sample_that_names_a_path_for_its_key_is_refused(
    foreign: Path, tmp_path: Path, command: str
) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    out = tmp_path / "a" / "b" / "out"
    out.parent.mkdir(parents=True)
    with pytest.raises(ShardError, match="escaped"):
        OPENERS[command](foreign, out)
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert not {path for path in after - before if out not in path.parents}


@pytest.mark.parametrize("place", ["recipe", "field"])
def test_names_in_dataset_json_that_would_be_paths_are_refused(small: Path, place: str) -> None:
    content = json.loads((small / "dataset.json").read_bytes())
    swap = content["recipes"].pop("swap")
    if place == "field":
        swap["fields"]["../../x.png"] = "a picture"
    content["recipes"]["../../swap" if place == "recipe" else "swap"] = swap
    (small / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(ShardError, match="recipes"):
        DatasetManifest.from_folder(small)
