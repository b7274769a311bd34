"""The part of the page with the one picture, and what its mask is painted, found or opened with."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.models.matting import cut_out
from pairbridge.pipelines.app.app_model import AppModel
from pairbridge.pipelines.app.example_pairs import ExamplePair
from pairbridge.pipelines.app.page_files import page_file
from pairbridge.pipelines.app.page_inputs import ONE_BY_ONE, labelled, missing, picture_input, saying_errors
from pairbridge.pipelines.app.painted_mask import painted_mask, painter_value
from pairbridge.pipelines.inference.image_files import read_image, read_mask


class PicturePart:
    """Drawn where it is made. components: those whose values `read` takes, and `shown` gives."""

    def __init__(self, app: AppModel) -> None:
        self._picture = picture_input(labelled("Picture", required=True), "image")
        self.inputs: list[gr.Component] = [self._picture]
        self.outputs: list[gr.Component] = [self._picture]
        if app.takes_mask:
            self._add_painter(app)

    def read(self, path: str | None, painted: str = "") -> tuple[np.ndarray, np.ndarray | None]:
        """Picture and mask. Raises PairbridgeError."""
        if path is None:
            raise missing("a picture")
        image = read_image(Path(path))
        return image, painted_mask(painted, image.shape[1::-1]) if painted else None

    def shown(self, example: ExamplePair, path: Path) -> dict[gr.Component, Any]:
        """Values of the outputs for an example, whose picture is at `path`."""
        values: list[Any] = [str(path)]
        if len(self.outputs) > 1:
            hidden, *others = _painting(painter_value(example.image, example.mask))
            values = [{**hidden, "value": str(path)}, *others]
        return dict(zip(self.outputs, values, strict=True))

    def _add_painter(self, app: AppModel) -> None:
        what = "what to remove" if app.removes else "the foreground"
        picture = self._picture
        with gr.Column(visible=False) as painting:
            gr.Markdown(f"Paint {what} ({'required' if app.needs_mask else 'optional'}):")
            painter = gr.HTML(
                "",
                html_template=page_file("painter.html"),
                css_template=page_file("painter.css"),
                js_on_load=page_file("painter.js"),
                apply_default_css=False,
                elem_id="mask",
            )
            with gr.Row(elem_classes="mask-buttons"):
                cut = gr.Button("Cut out the foreground", size="sm", elem_id="cut-out")
                opened = gr.UploadButton(
                    "Open a mask file", file_types=["image"], size="sm", elem_id="mask-file"
                )
                other = gr.Button("Another picture", size="sm", elem_id="another")
        self.inputs.append(painter)
        self.outputs += [painter, painting]

        def chosen(path: str | None) -> list[Any]:
            if path is None:
                return [gr.skip(), gr.skip(), gr.skip()]
            with saying_errors():
                return _painting(painter_value(read_image(Path(path))))

        def found(path: str) -> str:
            with saying_errors():
                image = read_image(Path(path))
                return painter_value(image, cut_out(app.matting, image))

        def read(path: str, mask_path: str) -> str:
            with saying_errors():
                image, mask = read_image(Path(path)), read_mask(Path(mask_path))
                _check_size(image, mask)
                return painter_value(image, mask)

        def begin() -> list[Any]:
            return [gr.update(value=None, visible=True), "", gr.update(visible=False)]

        # Of the user alone: an example brings its mask.
        picture.input(chosen, picture, self.outputs, api_visibility="private")
        cut.click(found, picture, painter, **ONE_BY_ONE)
        opened.upload(read, [picture, opened], painter, api_visibility="private")
        other.click(begin, None, self.outputs, api_visibility="private")


def _painting(value: str) -> list[Any]:
    """Updates of picture, painter and what is around it, once there is a picture to paint on."""
    return [gr.update(visible="hidden"), value, gr.update(visible=True)]


def _check_size(image: np.ndarray, mask: np.ndarray) -> None:
    if mask.shape != image.shape[:2]:
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        raise ConfigError(
            f"the mask has {mask_width} x {mask_height} pixels, the picture {width} x {height}",
            consequence="choose a mask of the picture's size",
            remedy="bring both to one size",
        )
