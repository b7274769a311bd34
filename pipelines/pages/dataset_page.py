"""A static page to browse a dataset with: index.html and the images beside it, opened from the disk by any
browser. Nothing in it is loaded from elsewhere, and its policy forbids the browser to.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pairbridge.datagen.core.atomic_files import folder_atomically, write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.shards.sample import Pair, encode_field, params_of
from pairbridge.pipelines.pages.browsed_pairs import Browsed, PairStream
from pairbridge.pipelines.pages.html import page_environment, page_script
from pairbridge.pipelines.pages.model_outputs import model_outputs, read_output_picture, with_output
from pairbridge.pipelines.pages.pair_pictures import pair_pictures
from pairbridge.pipelines.pages.sheets import reduced

# What the overview shows of a pair: two pictures of this side at most, some 10 kB each.
THUMBNAIL_SIDE = 240
_JPEG_QUALITY = 85
# Reasons of more pairs than this make no page that one reads; quarantine.jsonl has them all.
HOLES_SHOWN = 2000


def write_dataset_page(
    browsed: Browsed, out: Path, *, limit: int, seed: int, outputs: Path | None = None
) -> int:
    """Write the page of at most `limit` pairs as the folder `out`, whole or not at all; its size in bytes.

    Images are stored without loss. `outputs`: a folder of what a model made of the pairs, see
    `model_outputs`; the page then has those pairs alone, each with its output. Raises ConfigError if `out` is
    there and not empty, or no pair has an output.
    """
    made_by_model = None if outputs is None else model_outputs(outputs)
    if made_by_model is not None and not any(
        stream.capacity(seed, made_by_model) for stream in browsed.streams
    ):
        raise ConfigError(
            f"no file of {outputs} is called by the key of a pair of {browsed.name}",
            consequence="there is no output to show",
            remedy="call them KEY.png or KEY.source.png; `pairbridge inspect` prints keys",
        )
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    with folder_atomically(out) as folder:
        for name in ("images", "thumbnails"):
            (folder / name).mkdir()
        pairs = [
            _write_pair(stream, pair, folder, made_by_model)
            for stream, pair in browsed.pairs(limit, seed, made_by_model)
        ]
        data = {
            "dataset": browsed.name,
            "pairs": pairs,
            "holes": [asdict(hole) for hole in browsed.holes(HOLES_SHOWN, seed)],
        }
        write_atomically(folder / "index.html", [render(browsed, data).encode()])
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def render(browsed: Browsed, data: dict[str, Any]) -> str:
    """The page around its data. Text reaches the document as text alone: here by escaping, in the script by
    `textContent`.
    """
    environment = page_environment()
    entries = [*data["pairs"], *data["holes"]]
    assets = {asset for pair in data["pairs"] for asset in pair["assets"]}
    assets |= {hole["asset"] for hole in data["holes"] if hole["asset"]}
    return environment.get_template("dataset.html.j2").render(
        browsed=browsed,
        counts=_counts(browsed),
        has_outputs=any(field["name"] == "output" for pair in data["pairs"] for field in pair["fields"]),
        data=data,
        recipes=sorted({entry["recipe"] for entry in entries}),
        splits=sorted({entry["split"] for entry in entries} - {""}),
        assets=sorted(assets),
        **page_script(environment, "compare.js", "dataset.js"),
    )


def _counts(browsed: Browsed) -> list[dict[str, Any]]:
    """A row per recipe and split: pairs planned (None where nothing says), there, and in quarantine."""
    missing = Counter((hole.recipe, hole.split) for hole in browsed.quarantined)
    rows = [
        {
            "recipe": stream.recipe,
            "split": stream.split,
            "planned": stream.planned,
            "present": stream.num_pairs,
            "quarantined": missing.pop((stream.recipe, stream.split), 0),
        }
        for stream in browsed.streams
    ]
    # What an import refused belongs to no split; it never planned it either.
    rows += [
        {"recipe": recipe, "split": "", "planned": None, "present": 0, "quarantined": count}
        for (recipe, _), count in missing.items()
    ]
    return rows


def _write_pair(
    stream: PairStream, pair: Pair, out: Path, outputs: Mapping[str, Path] | None
) -> dict[str, Any]:
    meta = pair["meta.json"]
    pictures = pair_pictures(pair, stream.fields, stream.roles)
    figures = {}
    if outputs is not None:
        output = read_output_picture(outputs[meta["key"]])
        pictures, psnr = with_output(pictures, output, stream.roles.target)
        figures = {} if psnr is None else {"PSNR of the output, dB": round(psnr, 3)}
    fields = []
    for number, (name, picture) in enumerate(pictures.items()):
        path = f"images/{meta['key']}.{name}.png"
        write_atomically(out / path, [encode_field("image.png", picture)])
        small = f"thumbnails/{meta['key']}.{name}.jpg" if number < (2 if outputs is None else 3) else None
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
        "figures": figures,
        "meta": {**meta, "params": params_of(meta)},
    }


def _thumbnail(picture: np.ndarray) -> bytes:
    picture = reduced(picture, THUMBNAIL_SIDE)
    bgr = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a thumbnail of shape {picture.shape}")
    return data.tobytes()
