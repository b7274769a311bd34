"""A static page to browse a dataset with: index.html and the images beside it, opened from the disk by any
browser. Nothing in it is loaded from elsewhere, and its policy forbids the browser to.
"""

import base64
import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from pairbridge.datagen.core.atomic_files import folder_atomically, write_atomically
from pairbridge.datagen.shards.sample import Pair, encode_field, params_of
from pairbridge.pipelines.pages.browsed_pairs import Browsed, PairStream
from pairbridge.pipelines.pages.html import page_environment
from pairbridge.pipelines.pages.pair_pictures import pair_pictures
from pairbridge.pipelines.pages.sheets import reduced

# What the overview shows of a pair: two pictures of this side at most, some 10 kB each.
THUMBNAIL_SIDE = 240
_JPEG_QUALITY = 85
# Reasons of more pairs than this make no page that one reads; quarantine.jsonl has them all.
HOLES_SHOWN = 2000


def write_dataset_page(browsed: Browsed, out: Path, *, limit: int, seed: int) -> int:
    """Write the page of at most `limit` pairs as the folder `out`, whole or not at all; its size in bytes.

    Images are stored without loss. Raises ConfigError if `out` is there and not empty.
    """
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    with folder_atomically(out) as folder:
        for name in ("images", "thumbnails"):
            (folder / name).mkdir()
        pairs = [_write_pair(stream, pair, folder) for stream, pair in browsed.pairs(limit, seed)]
        data = {"pairs": pairs, "holes": [asdict(hole) for hole in browsed.holes(HOLES_SHOWN, seed)]}
        write_atomically(folder / "index.html", [render(browsed, data).encode()])
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def render(browsed: Browsed, data: dict[str, Any]) -> str:
    """The page around its data. Text reaches the document as text alone: here by escaping, in the script by
    `textContent`.
    """
    environment = page_environment()
    script, _, _ = environment.loader.get_source(environment, "dataset.js")
    entries = [*data["pairs"], *data["holes"]]
    assets = {asset for pair in data["pairs"] for asset in pair["assets"]}
    assets |= {hole["asset"] for hole in data["holes"] if hole["asset"]}
    return environment.get_template("dataset.html.j2").render(
        browsed=browsed,
        data=data,
        recipes=sorted({entry["recipe"] for entry in entries}),
        splits=sorted({entry["split"] for entry in entries} - {""}),
        assets=sorted(assets),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _write_pair(stream: PairStream, pair: Pair, out: Path) -> dict[str, Any]:
    meta = pair["meta.json"]
    pictures = pair_pictures(pair, stream.fields, stream.roles)
    fields = []
    for number, (name, picture) in enumerate(pictures.items()):
        path = f"images/{meta['key']}.{name}.png"
        write_atomically(out / path, [encode_field("image.png", picture)])
        small = f"thumbnails/{meta['key']}.{name}.jpg" if number < 2 else None
        if small:
            write_atomically(out / small, [_thumbnail(picture)])
        height, width = picture.shape[:2]
        fields.append({"name": name, "file": path, "thumbnail": small, "width": width, "height": height})
    return {
        "key": meta["key"],
        "recipe": stream.recipe,
        "split": stream.split,
        "assets": list(dict.fromkeys(asset["id"] for asset in meta["assets"])),
        "fields": fields,
        "meta": {**meta, "params": params_of(meta)},
    }


def _thumbnail(picture: np.ndarray) -> bytes:
    picture = reduced(picture, THUMBNAIL_SIDE)
    bgr = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a thumbnail of shape {picture.shape}")
    return data.tobytes()
