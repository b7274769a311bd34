"""What the parts of the page have in common: labels, picture inputs, and how they say what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.pipelines.app.page_errors import in_page

# One picture at a time through the one model.
ONE_BY_ONE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
_SIDE_PX = 200


def labelled(what: str, *, required: bool) -> str:
    """A label that says whether the input may be left out."""
    return f"{what} ({'required' if required else 'optional'})"


def picture_input(label: str, name: str) -> gr.Image:
    """An image file as it is: read by pairbridge, which knows its colours, and not by gradio."""
    return gr.Image(
        label=label,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        height=_SIDE_PX,
        buttons=[],
        elem_id=name,
    )


def missing(what: str) -> ConfigError:
    """The error for an input that was not given."""
    return ConfigError(f"choose {what}", consequence="the model needs it", remedy="choose it in the page")


@contextmanager
def saying_errors() -> Iterator[None]:
    """Shows what went wrong in the page."""
    try:
        yield
    except PairbridgeError as error:
        raise gr.Error(in_page(error), print_exception=False) from error
