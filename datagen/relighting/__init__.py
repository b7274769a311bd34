"""Lighting a foreground anew: relighters behind one protocol, known to configurations by their `kind`."""

from datagen.relighting.colour_transfer import ColourTransfer, ColourTransferConfig
from datagen.relighting.protocol import Relighter, relit_image

# A second relighter makes this a union, discriminated by `kind`.
RelighterConfig = ColourTransferConfig

__all__ = ["Relighter", "RelighterConfig", "open_relighter", "relit_image"]


def open_relighter(config: RelighterConfig) -> Relighter:
    """The relighter that `config` describes. A learned one is loaded here, not before."""
    return ColourTransfer(config)
