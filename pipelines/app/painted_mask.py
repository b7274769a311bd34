"""The picture and its mask in the page's painter, as text that the browser and this side both read.

gradio's own editor is not used: 6.31 shows a layer that it is given beside its place, which a mask that was
found would be, and it draws every picture anew where pairbridge wants the file.
"""

import base64
import binascii

import numpy as np
from pydantic import ValidationError

from pairbridge.datagen.assets.photographs import decode_image
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.pipelines.pages.sheets import reduced

_PNG = "data:image/png;base64,"
# Of what is painted on; the mask has the picture's own size.
_SHOWN_SIDE = 1280


class PaintedPicture(FrozenModel):
    """The painter's value, as `templates/painter.js` reads and writes it."""

    size_WH: tuple[int, int]
    """Of the picture and the mask, in pixels."""
    picture: str = ""
    """What is shown, as a data URI. Empty in what comes back: the browser has it."""
    mask: str = ""
    """The mask as a PNG in a data URI, white where it was painted; empty where nothing was."""


def painter_value(image: np.ndarray, mask: np.ndarray | None = None) -> str:
    """What the painter shows of a picture, uint8 (H, W, 3), and a mask, uint8 (H, W)."""
    return PaintedPicture(
        size_WH=image.shape[1::-1],
        picture=_uri(reduced(image, _SHOWN_SIDE)),
        mask="" if mask is None else _uri(mask),
    ).model_dump_json()


def painted_mask(value: str, size_WH: tuple[int, int]) -> np.ndarray | None:
    """uint8 (H, W) in the painter's value, for a picture of this size; None where nothing is painted.

    Raises ConfigError for a mask of another size, or what is no value of the painter.
    """
    try:
        painted = PaintedPicture.model_validate_json(value)
        if not painted.mask:
            return None
        data = base64.b64decode(painted.mask.removeprefix(_PNG), validate=True)
    except (ValidationError, binascii.Error) as error:
        raise _unreadable("it is none that the page made") from error
    mask = decode_image(data, "the painted mask")[..., 0]
    if mask.shape != size_WH[::-1]:
        raise _unreadable("it was painted on another picture")
    return mask if mask.any() else None


def _uri(image: np.ndarray) -> str:
    return _PNG + base64.b64encode(encode_field("image.png", image)).decode()


def _unreadable(why: str) -> ConfigError:
    return ConfigError(
        f"the painted mask cannot be used: {why}",
        consequence="nothing was made of it",
        remedy="choose the picture again",
    )
