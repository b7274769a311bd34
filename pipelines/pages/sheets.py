"""Contact sheets: rows of images with captions on one PNG, for a first look at a dataset or a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.shards.sample import encode_field

MARGIN = 24
GAP = 6
TITLE_SIZE = 22
CAPTION_SIZE = 13
BACKGROUND = (250, 250, 249)
INK = (28, 25, 23)
FAINT = (120, 113, 108)
TILE_BACKGROUND = (231, 229, 228)


@dataclass(frozen=True, slots=True)
class Item:
    """Images that belong together, left to right: uint8 (H, W, 3) RGB or (H, W) grey, of any size."""

    caption: str
    images: tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One title over items that all have one image per heading."""

    title: str
    headings: tuple[str, ...]
    items: tuple[Item, ...]


def contact_sheet(sections: Sequence[Section], *, tile: int = 126, width: int = 1280) -> np.ndarray:
    """uint8 RGB (height, `width`, 3). Every image fills a square of `tile` pixels, its shape kept; as many
    items stand side by side as fit into the width."""
    laid_out = [_Layout(section, tile, width) for section in sections]
    height = MARGIN + sum(layout.height + MARGIN for layout in laid_out)
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    top = MARGIN
    for layout in laid_out:
        layout.draw(canvas, top)
        top += layout.height + MARGIN
    return np.asarray(canvas)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB or grey so that the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [encode_field("image.png", image)])


def reduced(image: np.ndarray, side: int) -> np.ndarray:
    """`image` with no side longer than `side`, its shape kept; as it is where it is small enough."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def fit(image: np.ndarray, side: int) -> np.ndarray:
    """`image` as uint8 RGB (side, side, 3): scaled to fit, centred on grey."""
    rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    scale = side / max(rgb.shape[:2])
    size = tuple(max(1, round(length * scale)) for length in rgb.shape[1::-1])
    scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    tile = np.full((side, side, 3), TILE_BACKGROUND, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = scaled
    return tile


class _Layout:
    """Where the parts of one section go."""

    def __init__(self, section: Section, tile: int, width: int) -> None:
        self.section = section
        self.tile = tile
        self.item_width = len(section.headings) * (tile + GAP) + 2 * GAP
        self.per_line = max(1, (width - 2 * MARGIN) // self.item_width)
        self.line_height = tile + CAPTION_SIZE + 3 * GAP
        lines = -(-len(section.items) // self.per_line)
        self.head = TITLE_SIZE + CAPTION_SIZE + 4 * GAP
        self.height = self.head + lines * self.line_height

    def draw(self, canvas: Image.Image, top: int) -> None:
        pen = ImageDraw.Draw(canvas)
        title, caption = (ImageFont.load_default(size) for size in (TITLE_SIZE, CAPTION_SIZE))
        pen.text((MARGIN, top), self.section.title, INK, title)
        for number in range(min(self.per_line, len(self.section.items))):
            for column, heading in enumerate(self.section.headings):
                left = MARGIN + number * self.item_width + column * (self.tile + GAP)
                pen.text((left, top + TITLE_SIZE + 2 * GAP), heading, FAINT, caption)
        for number, item in enumerate(self.section.items):
            line, place = divmod(number, self.per_line)
            left, row = MARGIN + place * self.item_width, top + self.head + line * self.line_height
            for column, image in enumerate(item.images):
                canvas.paste(Image.fromarray(fit(image, self.tile)), (left + column * (self.tile + GAP), row))
            text = _shortened(item.caption, caption, self.item_width - 3 * GAP)
            pen.text((left, row + self.tile + GAP // 2), text, FAINT, caption)


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
