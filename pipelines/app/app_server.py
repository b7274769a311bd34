"""Serves the page of a model, on this machine.

gradio's page is served from here alone: a policy in every answer forbids the browser to load anything from
elsewhere, fonts are those of the system, and gradio's own statistics are off.
"""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairbridge.datagen.core.extras import require
from pairbridge.datagen.models.matting import MattingConfig, open_matting_model
from pairbridge.pipelines.app.app_model import AppModel
from pairbridge.pipelines.app.example_pairs import example_pairs
from pairbridge.pipelines.app.page_files import page_file
from pairbridge.pipelines.inference.translation import open_model
from pairbridge.training.engine.torch_devices import Precision

if TYPE_CHECKING:
    from fastapi import FastAPI

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self'"
    " 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:;"
    " worker-src 'self' blob:"
)
MAX_UPLOAD = "64mb"


def serve(
    source: Path, *, host: str, port: int, device: str, precision: Precision, matting: MattingConfig
) -> None:
    """Serve until interrupted. Raises ConfigError without the extra `app`, a model or matting weights."""
    require("app", by="the browser app", consequence="there is no page to serve")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # It comes with gradio.
    import uvicorn

    app = AppModel(open_model(source, device, precision), open_matting_model(matting), example_pairs(source))
    # Bound here, so that the address is known, and right, before the server is up.
    listener = socket.create_server((host, port))
    server = uvicorn.Server(
        uvicorn.Config(application(app, title=source.absolute().name), log_level="warning")
    )
    print(f"http://{host}:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])


def application(app: AppModel, *, title: str) -> "FastAPI":
    """The page with its policy, to be served."""
    import gradio
    from fastapi import FastAPI

    # Here: it imports gradio.
    from pairbridge.pipelines.app.app_page import build_page

    server = FastAPI()

    @server.middleware("http")
    async def stay_here(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return gradio.mount_gradio_app(
        server,
        build_page(app, title=title),
        path="",
        max_file_size=MAX_UPLOAD,
        theme=_theme(),
        css=page_file("app.css"),
        js=page_file("app.js"),
        footer_links=[],
        ssr_mode=False,
    )


def _theme() -> Any:
    """gradio's plainest, with darker greys and blues where its own are too pale to read."""
    import gradio

    # Named as strings, fonts are the system's; gradio's themes otherwise fetch theirs.
    return gradio.themes.Base(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        body_text_color_subdued="*neutral_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )
