"""Lighting a foreground anew: relighters behind one protocol, known to configurations by their `kind`."""

from typing import Annotated

from pydantic import Field

from pairbridge.datagen.core.extras import require
from pairbridge.datagen.models.relighting.colour_transfer import ColourTransfer, ColourTransferConfig
from pairbridge.datagen.models.relighting.iclight_settings import IcLightFbcConfig, IcLightFcConfig
from pairbridge.datagen.models.relighting.relighter import (
    BatchRelighter,
    Relighter,
    ToRelight,
    relit_image,
    relit_images,
)

RelighterConfig = Annotated[
    ColourTransferConfig | IcLightFbcConfig | IcLightFcConfig, Field(discriminator="kind")
]

__all__ = [
    "BatchRelighter",
    "ColourTransferConfig",
    "IcLightFbcConfig",
    "IcLightFcConfig",
    "Relighter",
    "RelighterConfig",
    "ToRelight",
    "open_relighter",
    "relit_image",
    "relit_images",
]


def open_relighter(config: RelighterConfig) -> Relighter:
    """The relighter that `config` describes. A learned one is loaded here, not before; see its errors."""
    if isinstance(config, ColourTransferConfig):
        return ColourTransfer(config)
    require("models", by="IC-Light", consequence="nothing can be relit by it")
    from pairbridge.datagen.models.relighting.iclight import IcLight  # brings torch with it

    return IcLight(config)
