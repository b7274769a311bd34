"""In which lossless form should pictures be stored? Size, encoding and decoding of each.

    python -m benchmarks.picture_formats [--rounds 5] [--out docs/benchmarks]

Pictures of 512x512 pixels: photographs that come with scikit-image, at their own size, and renders of
embedded objects with their masks. Times are those of the processor, the least of the rounds, in which all
take turns; an encoding or decoder whose package is not installed (pyspng, qoi) is skipped by name. Every
decoder has to give the picture back. Writes `picture_formats.json` and `picture_formats.md`.
"""

import argparse
import importlib.util
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage
from PIL import Image

from pairbridge import Camera, relighting_pairs, render
from pairbridge.datagen.shards.sample import decode_field, encode_field

SIZE = 512
PHOTOGRAPHS = ("astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "ihc.png", "retina.jpg")
OBJECTS = ("chair:7", "vase:3")
Encode, Decode = Callable[[np.ndarray], bytes], Callable[[bytes], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    rendered = renders()
    pictures = {
        "photographs": photographs(),
        "renders": [image for pair in rendered for image in (pair.source, pair.target)],
        "masks of renders": [pair.mask for pair in rendered],
    }
    rows = {name: measured(images, arguments.rounds) for name, images in pictures.items()}
    result = {
        "size": SIZE,
        "rounds": arguments.rounds,
        "numbers": {name: len(images) for name, images in pictures.items()},
        "skipped": [name for name in ("pyspng", "qoi") if not _there(name)],
        "rows": rows,
    }
    (arguments.out / "picture_formats.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "picture_formats.md").write_text(markdown(result))
    print(markdown(result))


def photographs() -> list[np.ndarray]:
    """The middle of each, mirrored at its borders where it is smaller."""
    folder, found = Path(skimage.__file__).parent / "data", []
    for name in PHOTOGRAPHS:
        image = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
        room = [max(0, SIZE - side) for side in image.shape[:2]]
        image = np.pad(image, ((0, room[0]), (0, room[1]), (0, 0)), mode="symmetric")
        y, x = ((side - SIZE) // 2 for side in image.shape[:2])
        found.append(np.ascontiguousarray(image[y : y + SIZE, x : x + SIZE]))
    return found


def renders() -> list:
    """Relighting pairs as the shipped configs make them."""
    camera = Camera(azimuth_deg=30, elevation_deg=15, fov_deg=40)
    pairs = []
    for name in OBJECTS:
        views = render(name, ["forest", "city"], camera=camera, size=(SIZE, SIZE), samples=16)
        pairs += list(relighting_pairs(views))
    return pairs


def measured(images: Sequence[np.ndarray], rounds: int) -> list[dict]:
    encodings = encoders(grey=images[0].ndim == 2)
    files = {name: [encode(image) for image in images] for name, (encode, _) in encodings.items()}
    for name, (_, decoders) in encodings.items():
        for decode in decoders.values():
            assert all(
                np.array_equal(decode(data), image) for data, image in zip(files[name], images, strict=True)
            ), name
    encode_s = {name: np.full(len(images), np.inf) for name in encodings}
    decode_s = {
        (name, how): np.full(len(images), np.inf)
        for name, (_, decoders) in encodings.items()
        for how in decoders
    }
    for turn in range(rounds):
        for name, (encode, decoders) in encodings.items():
            # Some encoders take a hundred times as long as their decoders.
            if turn < 2:
                encode_s[name] = np.minimum(encode_s[name], [_cpu_s(encode, image) for image in images])
            for how, decode in decoders.items():
                took = [_cpu_s(decode, data) for data in files[name]]
                decode_s[name, how] = np.minimum(decode_s[name, how], took)
    return [
        {
            "encoding": name,
            "kib": statistics.mean(map(len, files[name])) / 1024,
            "encode_ms": 1000 * float(encode_s[name].mean()),
            "decode_ms": {how: 1000 * float(decode_s[name, how].mean()) for how in decoders},
        }
        for name, (_, decoders) in encodings.items()
    ]


def encoders(*, grey: bool) -> dict[str, tuple[Encode, dict[str, Decode]]]:
    """Of each encoding: what encodes, and what decodes it."""
    of_png: dict[str, Decode] = {"OpenCV": by_opencv, "Pillow": by_pillow}
    if _there("pyspng"):
        of_png["libspng"] = importlib.import_module("pyspng").load
    found: dict[str, tuple[Encode, dict[str, Decode]]] = {
        "PNG of shards": (
            lambda image: encode_field("a.png", image),
            {"this project": lambda data: decode_field("a.png", data), **of_png},
        ),
        "PNG by OpenCV": (lambda image: opencv_bytes(image, ".png"), of_png),
    }
    if grey:
        return found
    for method, quality in ((0, 0), (4, 50)):
        found[f"WebP lossless, method {method}"] = (
            lambda image, method=method, quality=quality: webp(image, method, quality),
            {"OpenCV": by_opencv, "Pillow": by_pillow},
        )
    if _there("qoi"):
        qoi = importlib.import_module("qoi")
        found["QOI"] = (qoi.encode, {"qoi": qoi.decode})
    return found


def opencv_bytes(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[
        1
    ].tobytes()


def webp(image: np.ndarray, method: int, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "webp", lossless=True, method=method, quality=quality)
    return stream.getvalue()


def by_opencv(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _cpu_s(call: Callable, argument: object) -> float:
    began = time.process_time()
    call(argument)
    return time.process_time() - began


def markdown(result: dict) -> str:
    size = result["size"]
    lines = [
        "# Picture formats",
        "",
        f"What a picture of {size}x{size} pixels takes in lossless forms: KiB, and milliseconds of the",
        f"processor to encode and to decode it (the least of {result['rounds']} rounds, in turns,",
        "means over the pictures). Every decoder gave the picture back. Written by",
        "`python -m benchmarks.picture_formats`.",
        "",
        "*PNG of shards* is the form in which this project writes (`datagen/shards/shard_png.py`): each row",
        "as its difference to the row above, packed by libdeflate at level 4, unpacked by it and summed by",
        "NumPy.",
        "",
    ]
    lines += [f"Skipped: {name} is not installed." for name in result["skipped"]]
    for name, rows in result["rows"].items():
        lines += ["", f"## {name.capitalize()} ({result['numbers'][name]})", ""]
        lines += ["| encoding | KiB | encode, ms | decode, ms |", "|---|---|---|---|"]
        for row in rows:
            decoded = ", ".join(f"{how} {took:.2f}" for how, took in row["decode_ms"].items())
            lines.append(f"| {row['encoding']} | {row['kib']:.0f} | {row['encode_ms']:.1f} | {decoded} |")
    lines += [
        "",
        "## Who opens it",
        "",
        "| | webdataset, `datasets`, energon | browsers | |",
        "|---|---|---|---|",
        "| PNG | yes | yes | the form of shards is a PNG like any other |",
        "| WebP | yes, by their lists of suffixes | yes | smaller; two to three times as long to decode |",
        "| QOI | no | no | larger |",
        "",
        "So shards hold PNG.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
