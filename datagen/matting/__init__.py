"""Finding a photograph's foreground: maskers behind one protocol, known to configurations by their `kind`."""

from datagen.matting.grabcut import GrabCut, GrabCutConfig
from datagen.matting.protocol import Masker, cut_out

# A second masker makes this a union, discriminated by `kind`.
MaskerConfig = GrabCutConfig

__all__ = ["Masker", "MaskerConfig", "cut_out", "open_masker"]


def open_masker(config: MaskerConfig) -> Masker:
    """The masker that `config` describes. A learned one is loaded here, not before."""
    return GrabCut(config)
