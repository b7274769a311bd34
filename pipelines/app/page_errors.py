"""What went wrong, in the words of the page: what is on it, and no option of the command line."""

import re

from pairbridge.datagen.core.errors import AssetError, PairbridgeError, Rejected

_NO_FOREGROUND = "no_foreground"
_FOLDERS = re.compile(r"(?<!\S)(?:/[^/\s]+)*/(?=[^/\s])")


def in_page(error: PairbridgeError) -> str:
    """One or two sentences for whoever looks at the page."""
    if isinstance(error, Rejected) and error.gate == _NO_FOREGROUND:
        return f"{_sentence(error.cause)} Paint the mask with the brush, or open a mask file."
    if isinstance(error, AssetError):
        return f"{_sentence(error.cause)} Choose another file."
    return f"{_sentence(error.cause)} {_sentence(error.consequence)}"


def _sentence(text: str) -> str:
    """`text` with the names of uploaded files, and without the folders that they were put into."""
    named = _FOLDERS.sub("", text).rstrip(".") + "."
    # A file keeps its name.
    return named[:1].upper() + named[1:] if named.split()[0].isalpha() else named
