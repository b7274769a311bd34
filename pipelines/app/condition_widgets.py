"""The parts of the page by which a model's conditions are given, one class for each way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
import numpy as np

from pairbridge.datagen.lighting.light_maps import encode_light_map
from pairbridge.pipelines.app.environment_choice import embedded_maps, map_preview
from pairbridge.pipelines.app.example_pairs import ExamplePair
from pairbridge.pipelines.app.lamp_list import FIRST_LAMPS, PlacedLamp, lamps_text, read_lamps
from pairbridge.pipelines.app.page_files import page_file
from pairbridge.pipelines.app.page_inputs import labelled, missing, picture_input, saying_errors
from pairbridge.pipelines.inference.given_light import SUFFIXES
from pairbridge.pipelines.inference.image_files import read_condition, read_image, read_labels
from pairbridge.training.data.condition_specs import LIGHT, ConditionConfig, image_conditions

OWN_FILE = "a file of mine"


class ConditionWidget(Protocol):
    """Drawn where it is made."""

    field: str
    components: list[gr.Component]
    """Those whose values `read` takes."""

    def read(self, size_WH: tuple[int, int], *values: Any) -> np.ndarray | None:
        """The condition for a picture of this size, as a TranslationRequest holds it; None where it may be
        left out and was. Raises PairbridgeError.
        """

    def shown(self, example: ExamplePair) -> list[Any]:
        """The values of the components for an example."""


def condition_widgets(configs: Sequence[ConditionConfig]) -> list[ConditionWidget]:
    """A widget for each condition that is to be given beside image and mask."""
    return [_widget(config) for config in image_conditions(configs)]


def _widget(config: ConditionConfig) -> ConditionWidget:
    if config.classes:
        return ClassWidget(config)
    if config.labels:
        return LabelMapWidget(config)
    if config.is_radiance:
        return EnvironmentWidget(config)
    if config.field == LIGHT:
        return LampWidget(config)
    return PictureWidget(config)


class ClassWidget:
    """A choice among the model's classes."""

    def __init__(self, config: ConditionConfig) -> None:
        self.field, self._config = config.field, config
        self._required = not config.dropout
        classes = list(config.classes)
        self.components = [
            gr.Dropdown(
                classes if self._required else [("(none)", ""), *classes],
                value=classes[0] if self._required else "",
                label=labelled(config.field, required=self._required),
                elem_id=config.field,
            )
        ]

    def read(self, size_WH: tuple[int, int], name: str) -> np.ndarray | None:
        return self._config.class_image(name) if name else None

    def shown(self, example: ExamplePair) -> list[Any]:
        return [self._config.classes[int(example.conditions[self.field].item())]]


class LabelMapWidget:
    """A file of label numbers, as it is: a picture's widget would make colours of a palette's indices."""

    def __init__(self, config: ConditionConfig) -> None:
        self.field = config.field
        self._required = not config.dropout
        label = f"{labelled(config.field, required=self._required)}: a PNG of the labels 0 to"
        self.components = [
            gr.File(
                label=f"{label} {config.labels - 1}",
                file_types=[".png"],
                height=110,
                elem_id=config.field,
            )
        ]

    def read(self, size_WH: tuple[int, int], path: str | None) -> np.ndarray | None:
        if path is None and self._required:
            raise missing(f"a label map for {self.field}")
        return read_labels(Path(path)) if path else None

    def shown(self, example: ExamplePair) -> list[Any]:
        # The pair's own has no file.
        return [gr.skip()]


class PictureWidget:
    """An image file."""

    def __init__(self, config: ConditionConfig) -> None:
        self.field = config.field
        self._required = not config.dropout
        label = labelled(config.field.replace("_", " "), required=self._required)
        self.components = [picture_input(label, config.field)]

    def read(self, size_WH: tuple[int, int], path: str | None) -> np.ndarray | None:
        if path is None and self._required:
            raise missing(f"a picture for {self.field}")
        return read_image(Path(path)) if path else None

    def shown(self, example: ExamplePair) -> list[Any]:
        return [example.conditions[self.field]]


class LampWidget:
    """A light map: drawn of lamps that are dragged, or a picture of one."""

    field = LIGHT

    def __init__(self, config: ConditionConfig) -> None:
        with gr.Column(elem_classes="part"):
            gr.Markdown("### Lamps")
            lamps = gr.HTML(
                lamps_text(FIRST_LAMPS),
                html_template=page_file("lamps.html"),
                css_template=page_file("lamps.css"),
                js_on_load=page_file("lamps.js"),
                apply_default_css=False,
                elem_id="lamps",
            )
            with gr.Accordion("A picture of a light map, in place of the lamps", open=False):
                picture = picture_input(labelled("Light map", required=False), LIGHT)
        self.components = [lamps, picture]

    def read(self, size_WH: tuple[int, int], lamps: str, path: str | None) -> np.ndarray:
        if path:
            return read_image(Path(path))
        return encode_light_map(read_lamps(lamps), size_WH, grey=False)

    def shown(self, example: ExamplePair) -> list[Any]:
        if example.lights:
            return [lamps_text([PlacedLamp.of(light) for light in example.lights]), None]
        return [lamps_text(FIRST_LAMPS), example.conditions[self.field]]


class EnvironmentWidget:
    """An environment map: an embedded one or a file, turned about the vertical."""

    def __init__(self, config: ConditionConfig) -> None:
        self.field = config.field
        self._required = not config.dropout
        self._maps = embedded_maps()
        first = next(iter(self._maps), OWN_FILE)
        with gr.Column(elem_classes="part"):
            gr.Markdown(f"### Light ({config.field})")
            choice = gr.Radio(
                [*self._maps, OWN_FILE],
                value=first,
                label=labelled("Environment map", required=self._required),
                elem_id=f"{config.field}-map",
            )
            file = gr.File(
                label="Equirectangular .hdr or .exr file",
                file_types=list(SUFFIXES),
                height=110,
                visible=first == OWN_FILE,
                elem_id=f"{config.field}-file",
            )
            turn = gr.Slider(
                -180,
                180,
                value=0,
                step=1,
                label="Turn, in degrees: at 90, what the camera looks at lights from the right",
                buttons=[],
                elem_id=f"{config.field}-turn",
            )
            preview = gr.Image(
                map_preview(self._maps[first], 0) if first in self._maps else None,
                label="The light around the picture; the camera looks at the middle",
                alt_text="The chosen environment map, turned; the camera looks at its middle",
                interactive=False,
                buttons=[],
                elem_id=f"{config.field}-preview",
            )
        self.components = [choice, file, turn]
        choice.change(
            lambda name: gr.update(visible=name == OWN_FILE), choice, file, api_visibility="private"
        )
        gr.on(
            [choice.change, file.change, turn.release],
            self._preview,
            self.components,
            preview,
            show_progress="hidden",
            api_visibility="private",
        )

    def read(
        self, size_WH: tuple[int, int], choice: str, file: str | None, turn_deg: float
    ) -> np.ndarray | None:
        path = self._path(choice, file)
        if path is None and self._required:
            raise missing("an .hdr or .exr file, or one of the maps")
        return read_condition(path, turn_deg) if path else None

    def shown(self, example: ExamplePair) -> list[Any]:
        # The light is the user's to choose; the pair's own has no file.
        return [gr.skip(), gr.skip(), gr.skip()]

    def _path(self, choice: str, file: str | None) -> Path | None:
        if choice == OWN_FILE:
            return Path(file) if file else None
        return self._maps[choice]

    def _preview(self, choice: str, file: str | None, turn_deg: float) -> np.ndarray | None:
        path = self._path(choice, file)
        with saying_errors():
            return map_preview(path, turn_deg) if path else None
