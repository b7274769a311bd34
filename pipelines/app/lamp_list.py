"""The lamps of the page's light-map canvas, as text that the browser and this side both read."""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.lighting.light_maps import MapLight, direction_at, place_in_map

MOST_LAMPS = 8


class PlacedLamp(FrozenModel):
    """One lamp as `templates/lamps.js` writes it."""

    u: float = Field(ge=-1, le=1)
    """Place in the light map, to the right; see `light_maps`."""
    v: float = Field(ge=-1, le=1)
    """The same, upwards."""
    softness_deg: float = Field(ge=0, le=90)
    """Angular radius of the lamp, in degrees."""
    colour: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")
    """Its colour at brightness 1, as in HTML."""
    brightness: float = Field(ge=0, le=1)
    """Amplitude in the map."""

    @property
    def light(self) -> MapLight:
        channels = (int(self.colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        return MapLight(
            direction=direction_at(self.u, self.v),
            spread_rad=math.radians(self.softness_deg),
            colour=tuple(self.brightness * channel for channel in channels),
        )

    @classmethod
    def of(cls, light: MapLight) -> "PlacedLamp":
        """The lamp of a light; its colour is rounded to 8 bits."""
        u, v = (min(1.0, max(-1.0, place)) for place in place_in_map(light.direction))
        brightness = max(light.colour)
        shares = [round(255 * one / brightness) if brightness else 255 for one in light.colour]
        return cls(
            u=u,
            v=v,
            softness_deg=math.degrees(light.spread_rad),
            colour="#" + "".join(f"{share:02x}" for share in shares),
            brightness=brightness,
        )


_LAMPS = TypeAdapter(Annotated[tuple[PlacedLamp, ...], Field(max_length=MOST_LAMPS)])

# What the canvas begins with: a lamp before the picture, from the upper left.
FIRST_LAMPS = (PlacedLamp(u=-0.45, v=0.45, softness_deg=10, colour="#ffffff", brightness=0.8),)


def lamps_text(lamps: Sequence[PlacedLamp]) -> str:
    """The canvas's value."""
    return _LAMPS.dump_json(tuple(lamps)).decode()


def read_lamps(text: str) -> list[MapLight]:
    """The lights of the canvas's value. Raises ConfigError where it is none."""
    try:
        return [lamp.light for lamp in _LAMPS.validate_json(text)]
    except ValidationError as error:
        raise ConfigError(
            f"the lamps cannot be read: {error.errors()[0]['msg']}",
            consequence="the light map cannot be drawn",
            remedy="reload the page and place them again",
        ) from error
