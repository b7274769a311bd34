"""The page to browse a dataset with: what is on it, how much, and what a click in headless Chromium does."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.pipelines.pages import dataset_page
from pairbridge.pipelines.pages.browsed_pairs import browse, even_shares
from pairbridge.pipelines.pages.dataset_page import write_dataset_page
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = '"><img src=x onerror="document.title=1">'
REASON = "it is too <b>dark</b></script><script>document.title=2</script>"


def name_badly(pair: dict) -> None:
    """One object of the training side is called by what would be markup."""
    used = pair["meta.json"]["assets"][0]
    if used["id"] == "chair-train:1":
        used["id"] = HOSTILE


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    recipes = {
        "swap": TinyRecipe(groups={"train": 4, "test": 1}),
        "holes": TinyRecipe(groups={"train": 2}, kind="photo_removal"),
        "geo": TinyRecipe(groups={"validation": 1}, kind="geometry"),
    }
    reasons = {"swap-train-00000004": REASON, "holes-train-00000001": "no foreground was found"}
    tiny = TinyDataset(recipes=recipes, name="tiny & <i>small</i>", holes=reasons, edit=name_badly)
    return tiny.write(tmp_path_factory.mktemp("browsed") / "tiny")


@pytest.fixture(scope="module")
def page(dataset: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("page") / "page"
    write_dataset_page(browse(dataset), out, limit=100, seed=0)
    return out


def data_of(page: Path) -> dict:
    text = (page / "index.html").read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text).group(1))


def test_every_pair_and_every_hole_is_on_the_page_with_its_fields_as_stored(dataset, page) -> None:
    data = data_of(page)
    keys = {pair["key"] for pair in data["pairs"]} | {hole["key"] for hole in data["holes"]}
    assert len(data["pairs"]) + len(data["holes"]) == len(keys) == 10 + 4 + 2
    assert {hole["key"]: hole["reason"] for hole in data["holes"]}["swap-train-00000004"] == REASON
    shown = {pair["recipe"]: [field["name"] for field in pair["fields"]] for pair in data["pairs"]}
    assert shown["swap"] == ["source", "target", "mask"]
    assert shown["geo"] == ["source", "depth", "normal", "mask"]
    # The source of a removal pair, which is not stored, is filled as the reader fills it.
    for shard in open_shards(dataset, "holes", "train"):
        for index in range(len(shard)):
            pair = {name: decode_field(name, data) for name, data in shard.read(index).items()}
            seed = json.loads(pair["meta.json"]["params"])["fill_seed"]
            wanted = {
                "target": pair["target.png"],
                "source": fill_noise(pair["target.png"], pair["mask.png"], seed),
            }
            for name, image in wanted.items():
                stored = (page / "images" / f"{shard.key(index)}.{name}.png").read_bytes()
                assert np.array_equal(decode_field("image.png", stored), image)


def test_nothing_that_a_name_says_becomes_markup_and_nothing_is_loaded_from_elsewhere(page) -> None:
    text = (page / "index.html").read_text()
    assert HOSTILE not in text
    assert "<b>dark" not in text
    assert "<i>small" not in text
    assert text.count("<script") == 2
    assert not re.search(r"(src|href)\s*=\s*\"?(https?:)?//", text)


def test_limit_and_seed_choose_the_same_pairs_evenly_over_recipes_and_splits(dataset, tmp_path) -> None:
    chosen = [{pair["meta.json"]["key"] for _, pair in browse(dataset).pairs(7, seed)} for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    of_streams = Counter(key.rpartition("-")[0] for key in chosen[0])
    assert sorted(of_streams.values()) == [1, 2, 2, 2]
    assert even_shares([100, 1, 0, 7], 20) == [12, 1, 0, 7]
    assert even_shares([1, 1], 20) == [1, 1]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="exists"):
        write_dataset_page(browse(dataset), tmp_path / "there", limit=1, seed=0)


def test_a_page_that_was_interrupted_leaves_nothing_and_the_same_call_makes_it(
    dataset, tmp_path, monkeypatch
) -> None:
    out = tmp_path / "page"
    with monkeypatch.context() as patched:
        patched.setattr(dataset_page, "render", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_dataset_page(browse(dataset), out, limit=2, seed=0)
    assert list(tmp_path.iterdir()) == []
    # What a kill leaves is hidden, and in nobody's way.
    (tmp_path / ".page.tmp-folder" / "images").mkdir(parents=True)
    (tmp_path / ".page.tmp-folder" / "images" / "half.png").write_bytes(b"half")
    out.mkdir()
    write_dataset_page(browse(dataset), out, limit=2, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    assert len(data_of(out)["pairs"]) == 2
    assert not (out / "images" / "half.png").exists()


def interrupted(*_: object) -> str:
    raise KeyboardInterrupt


@pytest.mark.long
def test_filters_slider_and_metadata_answer_to_clicks_and_keys(page: Path, tmp_path: Path) -> None:
    """CI's set-up installs Chromium and playwright; without them this fails rather than passing unseen."""
    from playwright.sync_api import expect, sync_playwright

    assert CHROMIUM, "no chromium: bash .ci/setup browser installs it as root, or apt-get install chromium"
    expect.set_options(timeout=60_000)  # a busy machine is no failure
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 800})
        asked: list[str] = []
        errors: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto((page / "index.html").as_uri())
        title = tab.title()
        cards, holes = tab.locator("#pairs li"), tab.locator("#holes li")
        expect(cards).to_have_count(14)
        expect(holes).to_have_count(2)

        # Filters, alone and together.
        tab.select_option("#recipe", "swap")
        expect(cards).to_have_count(9)
        expect(holes).to_have_count(1)
        tab.select_option("#split", "test")
        expect(cards).to_have_count(2)
        expect(holes).to_have_count(0)
        tab.click("text=Clear")
        tab.fill("#asset", "chair-validation:0")
        expect(cards).to_have_count(2)
        expect(cards.first).to_contain_text("geo-validation-00000000")
        tab.fill("#asset", "no such thing")
        expect(tab.locator("#nothing")).to_be_visible()
        tab.click("text=Clear")
        tab.select_option("#state", "holes")
        expect(cards).to_have_count(0)
        expect(holes).to_have_count(2)
        expect(holes.filter(has_text=REASON)).to_have_count(1)
        tab.click("text=Clear")

        # A name that would be markup is text, in the list and in the viewer.
        tab.fill("#asset", "onerror")
        expect(cards).to_have_count(4)
        tab.select_option("#recipe", "swap")
        expect(cards).to_have_count(2)
        expect(cards.first.locator(".from")).to_have_text(HOSTILE)
        cards.first.locator("a").click()
        viewer = tab.locator("#viewer")
        expect(viewer).to_be_visible()
        expect(tab.locator("#used tbody td").nth(1)).to_have_text(HOSTILE)

        # The slider: by key, and by dragging on the image.
        def clip() -> str:
            return tab.eval_on_selector("#left", "image => getComputedStyle(image).clipPath")

        assert clip() == "inset(0px 50% 0px 0px)"
        expect(tab.locator("#cut")).to_be_focused()
        tab.keyboard.press("ArrowLeft")
        assert clip() == "inset(0px 51% 0px 0px)"
        box = tab.locator("#stage").bounding_box()
        middle = box["y"] + box["height"] / 2
        tab.mouse.move(box["x"] + box["width"] / 2, middle)
        tab.mouse.down()
        tab.mouse.move(box["x"] + box["width"] * 0.9, middle)
        tab.mouse.up()
        assert clip() == "inset(0px 10% 0px 0px)"
        assert tab.input_value("#cut") == "90"
        widths = tab.eval_on_selector_all("#stage img", "images => images.map(image => image.naturalWidth)")
        assert widths == [24, 24]
        tab.select_option("#right-field", "mask")
        expect(tab.locator("#right-tag")).to_have_text("mask")
        assert tab.get_attribute("#right", "src").endswith(".mask.png")

        # meta.json, the fields, and the neighbours among what is listed.
        key = tab.locator("#viewer-key").inner_text()
        expect(tab.locator("#meta pre")).to_be_hidden()
        tab.click("#meta summary")
        expect(tab.locator("#meta pre")).to_contain_text(f'"key": "{key}"')
        expect(tab.locator("#meta pre")).to_contain_text('"fill_seed": 1001')
        expect(tab.locator("#fields a")).to_have_count(3)
        expect(tab.locator("#place")).to_have_text("1 of 2")
        tab.click("#next")
        expect(tab.locator("#place")).to_have_text("2 of 2")
        expect(tab.locator("#next")).to_be_disabled()
        tab.keyboard.press("p")
        expect(tab.locator("#viewer-key")).to_have_text(key)
        tab.keyboard.press("Escape")
        expect(viewer).to_be_hidden()
        expect(cards.first.locator("a")).to_be_focused()

        # Another pair asked for in the frame in which the viewer closes: it is shown, and keeps its address.
        cards.first.locator("a").click()
        expect(viewer).to_be_visible()
        shown = tab.evaluate("""async () => {
          const viewer = document.getElementById("viewer");
          const closed = new Promise((done) => viewer.addEventListener("close", () => setTimeout(done, 50)));
          viewer.close();
          location.hash = "#geo-validation-00000000";
          await closed;
          return [location.hash, viewer.open];
        }""")
        assert shown == ["#geo-validation-00000000", True]
        tab.keyboard.press("Escape")
        expect(viewer).to_be_hidden()

        # A pair has an address.
        tab.goto((page / "index.html").as_uri() + "#geo-validation-00000001")
        expect(tab.locator("#viewer-key")).to_have_text("geo-validation-00000001")
        assert tab.locator("#right-tag").inner_text() == "mask"  # as chosen above
        tab.reload()
        expect(tab.locator("#right-tag")).to_have_text("depth")
        tab.set_viewport_size({"width": 390, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.eval_on_selector("#viewer", "it => it.scrollWidth <= it.clientWidth")
        tab.screenshot(path=tmp_path / "page.png")
        assert tab.title() == title
        assert errors == []
        assert all(url.startswith("file:") for url in asked)
        browser.close()
