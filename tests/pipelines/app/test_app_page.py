"""The browser app as a user meets it: headless Chromium uploads, paints, drags, chooses and saves.

CI's set-up installs Chromium, the extra and axe-core; without them these tests fail rather than pass unseen.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
import torch

from pairbridge.datagen.assets.photographs import decode_image
from pairbridge.datagen.lighting.light_maps import encode_light_map
from pairbridge.datagen.models.matting import GrabCutConfig, cut_out, open_matting_model
from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.pipelines.app.app_model import AppModel
from pairbridge.pipelines.app.app_server import application
from pairbridge.pipelines.app.environment_choice import embedded_maps
from pairbridge.pipelines.app.example_pairs import example_pairs
from pairbridge.pipelines.app.lamp_list import read_lamps
from pairbridge.pipelines.inference.given_light import read_light
from pairbridge.pipelines.inference.translation import TranslationRequest, open_model, translate_image
from tests.pipelines.app.test_app_parts import run_with_data, scene
from tests.pipelines.inference.test_given_light import LIGHT, write_map
from tests.pipelines.inference.translating_models import write_model
from tests.support.axe import serious_violations

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MATTING = open_matting_model(GrabCutConfig())
STYLE = {"field": "style", "classes": ["matte", "glossy"], "read": "mix.label", "dropout": 0.1}
PATIENCE_MS = 90_000

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("browser_app")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Here: playwright is not among what the fast tests need.
    from playwright.sync_api import expect, sync_playwright

    assert CHROMIUM, "no chromium: bash .ci/setup browser installs it as root, or apt-get install chromium"
    torch.set_num_threads(1)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 1700})
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AppModel]:
    root = tmp_path_factory.mktemp("models")
    sources = {
        "removal": run_with_data(root / "removal"),
        "lamps": write_model(root / "lamps", conditions=("mask", "light")),
        "surroundings": write_model(root / "surroundings", conditions=("mask", LIGHT, STYLE)),
        "plain": write_model(root / "plain", conditions=(), hole_read="visible"),
    }
    return {name: AppModel(open_model(one), MATTING, example_pairs(one)) for name, one in sources.items()}


@pytest.fixture(scope="module")
def addresses(models: dict[str, AppModel]) -> Iterator[dict[str, str]]:
    """Where each model's page is served from, in this process."""
    # Here: uvicorn comes with the extra.
    import uvicorn

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    servers, found = [], {}
    for name, app in models.items():
        server = uvicorn.Server(uvicorn.Config(application(app, title=name), port=0, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            thread.join(0.1)
            assert thread.is_alive()
        found[name] = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield found
    for server, thread in servers:
        server.should_exit = True
        thread.join(60)


def write_png(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_field(path.name, image))
    return path


def choose_picture(page: Any, path: Path, image: np.ndarray) -> None:
    """Upload it, and wait until it can be painted on."""
    page.locator("#image input[type=file]").set_input_files(path)
    page.wait_for_function(
        f"document.querySelector('#mask canvas')?.width === {image.shape[1]}"
        f" && document.querySelector('#mask canvas').height === {image.shape[0]}"
    )


def mask_on(page: Any) -> np.ndarray:
    """The mask that is painted in the page, uint8 (H, W)."""
    uri = page.evaluate("document.querySelector('#mask canvas').toDataURL('image/png')")
    return decode_image(base64.b64decode(uri.partition(",")[2]), "mask")[..., 0]


def label_of_mask(page: Any) -> str:
    return page.locator("#mask canvas").get_attribute("aria-label")


def drag(page: Any, where: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place to another of an element, as shares of its width and height."""
    page.locator(where).scroll_into_view_if_needed()
    box = page.locator(where).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=6)
    page.mouse.up()


def asked_to_translate(page: Any, button: str = "#translate") -> list[Any]:
    """Press the button; what the browser sent."""
    with page.expect_request(lambda one: "/queue/join" in one.url and _has_data(one)) as sent:
        page.click(button)
    return json.loads(sent.value.post_data)["data"]


def _has_data(request: Any) -> bool:
    return bool(json.loads(request.post_data)["data"])


def results(page: Any) -> tuple[np.ndarray, np.ndarray]:
    """Before and after, once both are shown."""
    page.wait_for_function("document.querySelectorAll('#result img').length === 2")
    shown = [page.locator("#result img").nth(place) for place in (0, 1)]
    assert shown[0].get_attribute("alt").startswith("Before")
    assert shown[1].get_attribute("alt").startswith("After")
    before, after = (
        decode_field("shown.png", page.request.get(one.get_attribute("src")).body()) for one in shown
    )
    return before, after


def toast(page: Any) -> str:
    """What the page says is wrong; it is then closed."""
    message = page.locator(".toast-body").first
    message.wait_for()
    said = " ".join(message.inner_text().split())
    message.locator("button").first.click()
    message.wait_for(state="detached")
    return said


def test_the_command_serves_a_page_that_translates_and_calls_nobody(browser: Any, tmp_path: Path) -> None:
    model = write_model(tmp_path / "train" / "checkpoints", conditions=())
    image, mask = scene()
    picture = write_png(tmp_path / "image.png", image)
    command = "from pairbridge.pipelines.cli import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", command, "app", str(model), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        page = browser.new_page()
        answered: set[str] = set()
        page.on("response", lambda response: answered.add(urlparse(response.url).netloc))
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        choose_picture(page, picture, image)
        page.locator(".mask-buttons input[type=file]").set_input_files(write_png(tmp_path / "mask.png", mask))
        page.wait_for_function("document.querySelector('#mask canvas').ariaLabel.includes('%')")
        page.locator("#seed input").fill("3")
        page.locator("#seed input").blur()
        page.click("#translate")
        before, after = results(page)
        page.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
    expected = translate_image(open_model(model), TranslationRequest(image=image, mask=mask, seed=3))
    assert np.array_equal(before, image)
    assert np.array_equal(after, expected)
    assert answered - {""} == {urlparse(address).netloc}


def test_the_mask_is_painted_erased_undone_and_cleared(
    page: Any, addresses: dict[str, str], models: dict[str, AppModel], tmp_path: Path
) -> None:
    image, mask = scene()
    page.goto(addresses["removal"])
    choose_picture(page, write_png(tmp_path / "a.png", image), image)
    assert label_of_mask(page) == "Mask: nothing is marked"
    page.click("#translate")
    assert "no mask: paint what to remove, or choose a mask file" in toast(page)

    drag(page, "#mask canvas", (0.2, 0.5), (0.6, 0.5))
    painted = mask_on(page)
    assert painted[24, 14:38].min() == 255
    assert not painted[:18].any()
    assert not painted[30:].any()
    page.click("#mask .eraser")
    drag(page, "#mask canvas", (0.45, 0.5), (0.8, 0.5))
    erased = mask_on(page)
    assert erased[24, 14:24].min() == 255
    assert not erased[24, 29:].any()
    page.click("#mask .undo")
    assert np.abs(mask_on(page).astype(int) - painted).max() <= 64  # rims, drawn in one go
    asked_to_translate(page)
    _, after = results(page)
    request = TranslationRequest(image=image, mask=mask_on(page))
    assert np.array_equal(after, translate_image(models["removal"].opened, request))

    page.click("#cut-out")
    page.wait_for_function("document.querySelector('#mask .undo').disabled")
    assert np.array_equal(mask_on(page), cut_out(MATTING, image))
    page.locator(".mask-buttons input[type=file]").set_input_files(
        write_png(tmp_path / "small.png", mask[:40])
    )
    assert "The mask has 64 x 40 pixels, the picture 64 x 48. Choose a mask of the picture's size." in toast(
        page
    )
    page.click("#mask .clear")
    assert label_of_mask(page) == "Mask: nothing is marked"
    page.click("#another")
    page.locator("#image input[type=file]").wait_for(state="attached")
    page.click("#translate")
    assert "Choose a picture. The model needs it." in toast(page)


def test_an_example_works_at_once(page: Any, addresses: dict[str, str], models: dict[str, AppModel]) -> None:
    app = models["removal"]
    page.goto(addresses["removal"])
    page.click("#example-2")
    before, after = results(page)
    example = app.examples[1]
    request = TranslationRequest(image=example.image, mask=example.mask)
    assert np.array_equal(before, example.image)
    assert np.array_equal(after, translate_image(app.opened, request))
    page.wait_for_function("document.querySelector('#mask canvas').width === 32")
    assert np.array_equal(mask_on(page), example.mask)


def test_many_pictures_come_back_in_a_zip_and_those_that_failed_are_named(
    page: Any, addresses: dict[str, str], models: dict[str, AppModel], tmp_path: Path
) -> None:
    image, mask = scene()
    pictures = [write_png(tmp_path / f"{name}.png", image) for name in ("a", "b", "c")]
    page.goto(addresses["removal"])
    page.get_by_role("tab", name="Many pictures").click()
    page.click("#translate-all")
    assert "Choose the pictures." in toast(page)
    page.locator("#pictures input[type=file]").set_input_files(pictures)
    page.locator("#pictures tr.file").nth(2).wait_for()
    masks = [write_png(tmp_path / "masks" / f"{name}.png", mask) for name in ("a", "c")]
    page.locator("#masks input[type=file]").set_input_files(masks)
    page.locator("#masks tr.file").nth(1).wait_for()
    page.click("#translate-all")
    page.wait_for_function("document.querySelector('#said')?.innerText.includes('of 3 pictures')")
    said = page.locator("#said").inner_text()
    assert "2 of 3 pictures translated." in said
    assert "b.png: There is no mask: paint what to remove, or choose a mask file." in said
    assert "--" not in said
    with page.expect_download() as download:
        page.click("#zip")
    expected = translate_image(models["removal"].opened, TranslationRequest(image=image, mask=mask))
    with zipfile.ZipFile(download.value.path()) as file:
        assert file.namelist() == ["a.png", "c.png"]
        assert np.array_equal(decode_field("a.png", file.read("a.png")), expected)


def test_lamps_are_dragged_and_light_the_picture(
    page: Any, addresses: dict[str, str], models: dict[str, AppModel], tmp_path: Path
) -> None:
    image, _ = scene()
    page.goto(addresses["lamps"])
    choose_picture(page, write_png(tmp_path / "a.png", image), image)
    drag(page, "#mask canvas", (0.3, 0.5), (0.6, 0.5))
    lamp = page.locator("#lamps .lamp")
    assert lamp.get_attribute("aria-label") == "Lamp 1 of 1, from above and the left, sideways"
    # From where it is, (-0.45, 0.45), to the right and further than the rim: it stops there.
    drag(page, "#lamps .sky", ((1 - 0.45) / 2, (1 - 0.45) / 2), (1.2, 0.5))
    assert lamp.get_attribute("aria-label") == "Lamp 1 of 1, from the right, behind"
    lamp.press("ArrowLeft")
    page.click("#lamps .add")
    page.locator("#lamps .colour").fill("#ff8800")
    page.locator("#lamps .softness").fill("25")
    page.locator("#lamps .lamp").nth(1).press("Shift+ArrowDown")
    lamps = next(one for one in asked_to_translate(page) if isinstance(one, str) and "softness_deg" in one)
    _, after = results(page)
    first, second = json.loads(lamps)
    assert (first["u"], first["v"]) == pytest.approx((0.95, 0), abs=0.02)
    assert second["colour"] == "#ff8800"
    assert (second["v"], second["softness_deg"]) == (pytest.approx(0.2), 25)
    light = encode_light_map(read_lamps(lamps), (64, 48), grey=False)
    request = TranslationRequest(image=image, mask=mask_on(page), conditions={"light": light})
    assert np.array_equal(after, translate_image(models["lamps"].opened, request))
    # What is painted in the page is what the model is given.
    pixels = "document.querySelector('#lamps canvas').getContext('2d').getImageData(0, 0, 192, 192).data"
    shown = page.evaluate(f"Array.from({pixels})")
    drawn = encode_light_map(read_lamps(lamps), (192, 192), grey=False).astype(int)
    assert np.abs(np.array(shown).reshape(192, 192, 4)[..., :3] - drawn).max() <= 1
    for _ in range(2):
        page.click("#lamps .remove")
    assert page.locator("#lamps .where").inner_text() == "No lamp: darkness"


def test_an_environment_map_is_chosen_turned_or_opened(
    page: Any, addresses: dict[str, str], models: dict[str, AppModel], tmp_path: Path
) -> None:
    image, mask = scene()
    opened = models["surroundings"].opened
    page.goto(addresses["surroundings"])
    choose_picture(page, write_png(tmp_path / "a.png", image), image)
    page.locator(".mask-buttons input[type=file]").set_input_files(write_png(tmp_path / "mask.png", mask))
    page.wait_for_function("document.querySelector('#mask canvas').ariaLabel.includes('%')")
    preview = page.locator("#light_target-preview img")
    first = preview.get_attribute("src")
    page.get_by_role("radio", name="sunset").check()
    page.wait_for_function(f"document.querySelector('#light_target-preview img').src !== {first!r}")
    page.locator("#light_target-turn input[type=number]").fill("90")
    page.locator("#light_target-turn input[type=number]").press("Enter")
    asked_to_translate(page)
    _, after = results(page)

    def expected(light: np.ndarray) -> np.ndarray:
        request = TranslationRequest(image=image, mask=mask, conditions={"light_target": light})
        return translate_image(opened, request)

    assert np.array_equal(after, expected(read_light(embedded_maps()["sunset"], 90)))
    page.get_by_role("radio", name="a file of mine").check()
    page.locator("#light_target-file input[type=file]").wait_for(state="attached")
    page.click("#translate")
    assert "Choose an .hdr or .exr file, or one of the maps." in toast(page)
    (tmp_path / "broken.hdr").write_bytes(b"#?RADIANCE\n\nbroken")
    page.locator("#light_target-file input[type=file]").set_input_files(tmp_path / "broken.hdr")
    said = toast(page)
    assert "broken.hdr" in said
    assert "Choose another file." in said
    assert str(tmp_path.parent) not in said
    page.locator("#light_target-file button[aria-label=Clear]").click()
    lamp = write_map(tmp_path / "lamp.exr", column=200)
    page.locator("#light_target-file input[type=file]").set_input_files(lamp)
    page.locator("#light_target-file tr.file").wait_for()
    src = page.locator("#result img").nth(1).get_attribute("src")
    asked_to_translate(page)
    page.wait_for_function(f"document.querySelectorAll('#result img')[1].src !== {src!r}")
    assert np.array_equal(results(page)[1], expected(read_light(lamp, 90)))


def test_a_model_without_a_mask_takes_the_picture_alone(
    page: Any, addresses: dict[str, str], models: dict[str, AppModel], tmp_path: Path
) -> None:
    image, _ = scene()
    page.goto(addresses["plain"])
    page.locator("#image input[type=file]").set_input_files(write_png(tmp_path / "a.png", image))
    page.locator("#image img").wait_for()
    assert page.locator("#mask, #background, #lamps").count() == 0
    page.click("#translate")
    _, after = results(page)
    assert np.array_equal(after, translate_image(models["plain"].opened, TranslationRequest(image=image)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_barrier_at_two_widths_in_the_light_and_in_the_dark(
    browser: Any, addresses: dict[str, str], tmp_path: Path, width: int, scheme: str
) -> None:
    image, _ = scene()
    path = write_png(tmp_path / "a.png", image)
    for name in ("removal", "lamps", "surroundings"):
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(addresses[name])
        page.wait_for_selector("#translate")
        assert serious_violations(page) == [], f"{name}, empty"
        if name == "removal":
            page.click("#example-1")
            results(page)
        else:
            choose_picture(page, path, image)
        page.mouse.move(0, 0)
        assert serious_violations(page) == [], f"{name}, in use"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_role("tab", name="Many pictures").click()
        page.wait_for_selector("#translate-all")
        page.locator("#pictures input[type=file]").set_input_files([path])
        page.locator("#pictures tr.file").wait_for()
        assert serious_violations(page) == [], f"{name}, many pictures"
        page.close()
