"""The page of `pairbridge app`: only the inputs that the model takes, its result beside them."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from pairbridge.pipelines.app.app_model import AppModel
from pairbridge.pipelines.app.condition_widgets import ConditionWidget, condition_widgets
from pairbridge.pipelines.app.example_pairs import ExamplePair
from pairbridge.pipelines.app.many_pictures import translate_many, zipped
from pairbridge.pipelines.app.page_inputs import ONE_BY_ONE, labelled, missing, picture_input, saying_errors
from pairbridge.pipelines.app.picture_part import PicturePart
from pairbridge.pipelines.inference.image_files import read_image
from pairbridge.pipelines.inference.translation import TranslationRequest
from pairbridge.pipelines.pages.sheets import write_png

# As a default of an event's function it is what gradio shows the progress by.
_PROGRESS = gr.Progress()
# On a phone the result is a page away from what was pressed.
_SHOW_RESULT = (
    "() => document.querySelector('#result').scrollIntoView({behavior: 'smooth', block: 'nearest'})"
)


def build_page(app: AppModel, *, title: str) -> gr.Blocks:
    """The page. Its styles and scripts are `templates/app.css` and `templates/app.js`."""
    with gr.Blocks(analytics_enabled=False, title=f"{title} · pairbridge") as page:
        gr.Markdown(f"# {title}\n\n{_about(app)}")
        examples = _example_buttons(app.examples)
        with gr.Row(elem_classes="sides"):
            with gr.Column():
                with gr.Tabs():
                    with gr.Tab("One picture") as one_tab:
                        picture = PicturePart(app)
                    with gr.Tab("Many pictures") as many_tab:
                        many_files = _many_inputs(app)
                asking = _Asking(app)
                one_button = gr.Button("Translate", variant="primary", elem_id="translate")
                many_button = gr.Button(
                    "Translate all", variant="primary", elem_id="translate-all", visible=False
                )
            with gr.Column():
                with gr.Column() as one_out:
                    result = gr.ImageSlider(
                        label="Before and after",
                        type="numpy",
                        format="png",
                        interactive=False,
                        height="min(32rem, 90vw)",
                        elem_id="result",
                    )
                with gr.Column(visible=False) as many_out:
                    gallery = gr.Gallery(
                        label="Results",
                        interactive=False,
                        columns=3,
                        height="min(32rem, 90vw)",
                        elem_id="results",
                    )
                    said = gr.Markdown(elem_id="said")
                    archive = gr.DownloadButton("Download all as zip", interactive=False, elem_id="zip")

        def translate_one(*values: Any) -> tuple[np.ndarray, np.ndarray]:
            with saying_errors():
                image, mask = picture.read(*values[: len(picture.inputs)])
                request = asking.request(image, mask, values[len(picture.inputs) :])
                return image, app.translate(request)

        def translate_all(
            pictures: list[str] | None, masks: list[str] | None, *values: Any, progress: Any = _PROGRESS
        ) -> tuple[Any, ...]:
            with saying_errors():
                if not pictures:
                    raise missing("the pictures")
                return _all_done(
                    [Path(one) for one in pictures],
                    [Path(one) for one in masks or ()],
                    lambda image, mask: app.translate(asking.request(image, mask, values)),
                    progress,
                )

        one_inputs = [*picture.inputs, *asking.components]
        one_button.click(None, js=_SHOW_RESULT)
        one_button.click(translate_one, one_inputs, result, **ONE_BY_ONE)
        many_button.click(
            translate_all, [*many_files, *asking.components], [gallery, said, archive], **ONE_BY_ONE
        )
        for button, example, path in examples:
            button.click(None, js=_SHOW_RESULT)
            button.click(
                partial(_example, picture, asking.widgets, example, path),
                None,
                [*picture.outputs, *asking.components],
                api_visibility="private",
            ).then(translate_one, one_inputs, result, **ONE_BY_ONE)
        for tab, one in ((one_tab, True), (many_tab, False)):
            tab.select(
                partial(_visible, one, one, not one, not one),
                None,
                [one_button, one_out, many_button, many_out],
                api_visibility="private",
            )
    return page


class _Asking:
    """Asked of every picture alike: background, conditions, steps and seed. Drawn where it is made."""

    def __init__(self, app: AppModel) -> None:
        self._background = (
            [picture_input(labelled("New background", required=False), "background")]
            if app.takes_background
            else []
        )
        self.widgets = condition_widgets(app.opened.model.config.denoiser.conditions)
        counts = app.step_counts
        with gr.Row():
            steps = gr.Dropdown(counts, value=counts[0], label="Sampling steps", elem_id="steps")
            seed = gr.Number(0, label="Random seed", precision=0, minimum=0, elem_id="seed")
        given = [component for widget in self.widgets for component in widget.components]
        self.components = [steps, seed, *self._background, *given]

    def request(
        self, image: np.ndarray, mask: np.ndarray | None, values: Sequence[Any]
    ) -> TranslationRequest:
        """What is asked for, of the components' values. Raises PairbridgeError."""
        steps, seed, *rest = values
        background = rest.pop(0) if self._background else None
        conditions = {}
        for widget in self.widgets:
            own, rest = rest[: len(widget.components)], rest[len(widget.components) :]
            condition = widget.read(image.shape[1::-1], *own)
            if condition is not None:
                conditions[widget.field] = condition
        return TranslationRequest(
            image=image,
            mask=mask,
            conditions=conditions,
            background=read_image(Path(background)) if background else None,
            steps=int(steps),
            seed=int(seed),
        )


def _about(app: AppModel) -> str:
    if app.removes:
        return "Removes what you mark in a picture."
    if app.takes_mask:
        return "Translates a picture whose foreground you mark, where it is or on a new background."
    return "Translates a picture."


def _many_inputs(app: AppModel) -> list[gr.Component]:
    required = app.needs_mask and not app.takes_background
    return [
        gr.File(
            label=label,
            file_count="multiple",
            file_types=["image"],
            height=150,
            visible=visible,
            elem_id=name,
        )
        for label, name, visible in (
            (labelled("Pictures", required=True), "pictures", True),
            (labelled("Masks, named as their pictures", required=required), "masks", app.takes_mask),
        )
    ]


def _example_buttons(examples: Sequence[ExamplePair]) -> list[tuple[gr.Button, ExamplePair, Path]]:
    """A button for each, and its picture as a file."""
    if not examples:
        return []
    folder = Path(tempfile.mkdtemp(prefix="pairbridge-app-"))
    gr.Markdown("Examples, held-out pairs of this run:")
    found = []
    with gr.Row(elem_classes="examples"):
        for number, example in enumerate(examples, 1):
            path = folder / f"example-{number}.png"
            write_png(path, example.image)
            button = gr.Button(
                f"Example {number}", icon=path, min_width=72, size="sm", elem_id=f"example-{number}"
            )
            found.append((button, example, path))
    return found


def _example(
    picture: PicturePart, widgets: Sequence[ConditionWidget], example: ExamplePair, path: Path
) -> dict[gr.Component, Any]:
    """What the page shows of an example."""
    values = picture.shown(example, path)
    for widget in widgets:
        values |= zip(widget.components, widget.shown(example), strict=True)
    return values


def _visible(*shown: bool) -> list[Any]:
    return [gr.update(visible=one) for one in shown]


def _all_done(
    pictures: Sequence[Path],
    masks: Sequence[Path],
    translate: Callable[[np.ndarray, np.ndarray | None], np.ndarray],
    progress: Any,
) -> tuple[Any, ...]:
    """What the page shows once all pictures are done."""
    folder = Path(tempfile.mkdtemp(prefix="pairbridge-app-"))
    done, failed = [], []
    for one in translate_many(pictures, masks, translate, folder):
        if one.path:
            done.append(one.path)
        else:
            failed.append(f"- {one.name}: {one.why}")
        progress((len(done) + len(failed), len(pictures)), unit="pictures")
    said = f"{len(done)} of {len(pictures)} pictures translated."
    if failed:
        said += "\n\nNot translated:\n\n" + "\n".join(failed)
    archive = gr.update(value=str(zipped(done, folder / "results.zip")), interactive=True) if done else None
    return [(str(path), path.stem) for path in done], said, archive
