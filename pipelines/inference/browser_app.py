"""`pairbridge app`: a trained model in the browser, on this machine, without calling out.

gradio's page is served from here alone: a policy in every answer forbids the browser to load anything from
elsewhere, fonts are those of the system, and gradio's own statistics are off.
"""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.core.extras import require
from pairbridge.datagen.models.matting import GrabCutConfig
from pairbridge.pipelines.inference.translation import (
    OpenedModel,
    TranslationRequest,
    open_model,
    translate_image,
)
from pairbridge.training.data.condition_specs import MASK, image_fields
from pairbridge.training.engine.torch_devices import Precision

if TYPE_CHECKING:
    import gradio

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self'"
    " 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:;"
    " worker-src 'self' blob:"
)
MAX_UPLOAD = "64mb"
SIDE_PX = 260


def serve(source: Path, *, host: str, port: int, device: str, precision: Precision) -> None:
    """Serve until interrupted. Raises ConfigError without the extra `app` or without a model."""
    require("app", by="the browser app", consequence="there is no page to serve")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # An extra, which brings the other two.
    import gradio
    import uvicorn
    from fastapi import FastAPI

    opened = open_model(source, device, precision)
    server = FastAPI()

    @server.middleware("http")
    async def stay_here(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    server = gradio.mount_gradio_app(
        server,
        build_page(opened, title=source.name),
        path="",
        max_file_size=MAX_UPLOAD,
        # Named as strings, fonts are the system's; gradio's themes otherwise fetch theirs.
        theme=gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        footer_links=[],
        ssr_mode=False,
    )
    # Bound here, so that the address is known, and right, before the server is up.
    listener = socket.create_server((host, port))
    print(f"http://{host}:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(server, log_level="warning")).run(sockets=[listener])


def build_page(opened: OpenedModel, *, title: str) -> "gradio.Blocks":
    """The page: only the inputs that this model takes."""
    import gradio as gr

    conditions = opened.model.config.denoiser.conditions
    takes_mask = opened.removes or any(one.field == MASK for one in conditions)
    takes_background = takes_mask and not opened.removes
    named = {one.field: one for one in conditions if one.classes}
    extra = [field for field in image_fields(conditions) if field not in named]

    def translate(
        image: np.ndarray | None, steps: float, seed: float, *others: np.ndarray | str | None
    ) -> np.ndarray:
        if image is None:
            raise gr.Error("Choose an image first.")
        rest = list(others)
        mask = rest.pop(0) if takes_mask else None
        background = rest.pop(0) if takes_background else None
        given = {name: one for name, one in zip([*extra, *named], rest, strict=True) if one is not None}
        given |= {name: named[name].class_image(one) for name, one in given.items() if name in named}
        request = TranslationRequest(
            image=image,
            mask=None if mask is None else mask.max(axis=2),
            conditions=given,
            background=background,
            matting=GrabCutConfig(),
            steps=int(steps),
            seed=int(seed),
        )
        try:
            return translate_image(opened, request)
        except PairbridgeError as error:
            raise gr.Error(f"{error.cause}: {error.consequence}. {error.remedy}.") from error

    def picture(label: str, name: str) -> "gradio.Image":
        return gr.Image(
            label=label,
            type="numpy",
            image_mode="RGB",
            format="png",
            sources=["upload"],
            height=SIDE_PX,
            elem_id=name,
        )

    with gr.Blocks(analytics_enabled=False, title=f"{title} · pairbridge") as page:
        gr.Markdown(f"## {title}")
        with gr.Row():
            with gr.Column():
                inputs = [picture("Image", "image")]
                others = []
                if takes_mask:
                    what = "what to remove" if opened.removes else "the foreground"
                    others.append(picture(f"Mask: white on {what}", "mask"))
                if takes_background:
                    others.append(picture("New background (optional)", "background"))
                others += [picture("Light map" if name == "light" else name, name) for name in extra]
                others += [
                    gr.Dropdown(list(one.classes), value=None, label=name, elem_id=name)
                    for name, one in named.items()
                ]
                with gr.Row():
                    inputs.append(gr.Number(1, label="Steps", precision=0, minimum=1, elem_id="steps"))
                    inputs.append(gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed"))
                button = gr.Button("Translate", variant="primary", elem_id="translate")
            output = gr.Image(
                label="Result",
                type="numpy",
                format="png",
                interactive=False,
                height=2 * SIDE_PX,
                buttons=["download", "fullscreen"],
                elem_id="result",
            )
        button.click(translate, [*inputs, *others], output, api_visibility="private")
    return page
