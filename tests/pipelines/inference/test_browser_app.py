"""The browser app as a user meets it: headless Chromium uploads, presses the button and saves the result."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import torch

from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.pipelines.inference.translation import TranslationRequest, open_model, translate_image
from tests.pipelines.inference.translating_models import write_model

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.long
def test_a_picture_is_translated_in_the_browser_and_nothing_calls_out(tmp_path: Path) -> None:
    """CI's set-up installs Chromium and the extra; without them this fails rather than passing unseen."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "no chromium: bash .ci/setup installs it as root, or apt-get install chromium"
    torch.set_num_threads(1)
    model = write_model(tmp_path / "train" / "checkpoints", conditions=())
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (40, 56, 3), dtype=np.uint8)
    mask = np.zeros((40, 56), np.uint8)
    mask[10:20, 12:30] = 255
    for name, pixels in (("image.png", image), ("mask.png", mask)):
        (tmp_path / name).write_bytes(encode_field(name, pixels))
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from pairbridge.pipelines.cli import main; main()",
            "app",
            str(model),
            "--port",
            "0",
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            answered: set[str] = set()
            page.on("response", lambda response: answered.add(urlparse(response.url).netloc))
            page.set_default_timeout(90_000)
            page.goto(address)
            for name in ("image", "mask"):
                page.locator(f"#{name} input[type=file]").set_input_files(tmp_path / f"{name}.png")
                page.wait_for_selector(f"#{name} img")
            page.locator("#seed input").fill("3")
            page.locator("#seed input").blur()
            page.click("#translate")
            page.wait_for_selector("#result img")
            shown = page.request.get(page.locator("#result img").get_attribute("src")).body()
            page.screenshot(path=tmp_path / "page.png", full_page=True)
            browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
    expected = translate_image(open_model(model), TranslationRequest(image=image, mask=mask, seed=3))
    assert np.array_equal(decode_field("shown.png", shown), expected)
    assert answered - {""} == {urlparse(address).netloc}
