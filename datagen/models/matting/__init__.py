"""Finding a photograph's foreground: matting models behind one protocol, known to configurations by their
`kind`."""

from typing import Annotated

from pydantic import Field

from pairbridge.datagen.core.extras import require
from pairbridge.datagen.models.matting.birefnet_config import BiRefNetConfig
from pairbridge.datagen.models.matting.grabcut import GrabCut, GrabCutConfig
from pairbridge.datagen.models.matting.matting_model import MattingModel, cut_out

MattingConfig = Annotated[GrabCutConfig | BiRefNetConfig, Field(discriminator="kind")]

__all__ = [
    "BiRefNetConfig",
    "GrabCutConfig",
    "MattingConfig",
    "MattingModel",
    "cut_out",
    "open_matting_model",
]


def open_matting_model(config: MattingConfig) -> MattingModel:
    """The matting model that `config` describes. A learned one is loaded here, not before."""
    if isinstance(config, GrabCutConfig):
        return GrabCut(config)
    require("models", by="BiRefNet", consequence="no foreground can be cut out by it")
    # Here, because planning and the stand-in work without torch.
    from pairbridge.datagen.models.matting.birefnet import BiRefNetMasker

    return BiRefNetMasker(config)
