"""Every page in headless Chromium: on a phone and a desk, light and dark, by keyboard, judged by axe-core.

CI's set-up installs Chromium, playwright and axe-core; without them these fail rather than pass unseen.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pairbridge.datagen.shards.reader import open_shards
from pairbridge.pipelines.pages.browsed_pairs import browse
from pairbridge.pipelines.pages.dataset_page import render, write_dataset_page
from pairbridge.pipelines.runs.comparison import compare_runs
from pairbridge.pipelines.sweeps.sweep_page import render_sweep
from pairbridge.training.data.pair_review import keys_to_keep, keys_to_leave_out
from tests.pipelines.pages.test_dataset_page import CHROMIUM, data_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.long
SCREENS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]
ACTS = (
    "() => {}",
    "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })",
    "() => document.querySelector('button.tiles, .grid a')?.click()",
)
NAMES = ("report", "comparison", "dataset", "outputs", "sweep")


@pytest.fixture(scope="module")
def pages(finished_run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The address of each page."""
    root = tmp_path_factory.mktemp("pages")
    shutil.copytree(finished_run.folder, root / "other")
    compare_runs(finished_run.folder, root / "other", root / "comparison.html")
    browsed = browse(finished_run.dataset_dir)
    write_dataset_page(browsed, root / "dataset", limit=100, seed=0)
    (root / "made").mkdir()
    for shard in open_shards(finished_run.dataset_dir, "holes", "train"):
        for index in range(len(shard)):
            (root / "made" / f"{shard.key(index)}.png").write_bytes(shard.read(index)["target.png"])
    write_dataset_page(browsed, root / "outputs", limit=100, seed=0, outputs=root / "made")
    (root / "sweep.html").write_text(render_sweep(a_sweep()))
    return {
        "report": finished_run.folder / "report.html",
        "comparison": root / "comparison.html",
        "dataset": root / "dataset" / "index.html",
        "outputs": root / "outputs" / "index.html",
        "sweep": root / "sweep.html",
    }


def a_sweep() -> dict[str, Any]:
    points = [
        {
            "x": nfe,
            "line": s,
            "values": {"nfe": nfe, "sigma": s},
            "of_seeds": [0.4 + s, 1.0],
            **(gain := {"mean": 0.7, "low": -0.2, "high": 1.5}),
            "over_first": gain,
            "ratios": {"contrast": [0.8, 0.9], "texture": [0.7, 0.8]},
        }
        for s in (0.01, 0.1)
        for nfe in (1, 2, 4)
    ]
    panels = [
        {
            "source": name,
            "pairs": 6,
            "subjects": "3 subjects",
            "against": "Untouched source",
            "level": 19.0,
            "points": points,
        }
        for name in ("a", "b")
    ]
    return {
        "sweep": "tiny",
        "run": "small",
        "metric": "foreground_psnr",
        "metric_label": "Foreground PSNR, dB",
        "digits": 2,
        "more_is_better": True,
        "seeds": [0, 1],
        "models": 4,
        "steps": 6,
        "images_a_model": 30,
        "pairs": {"a": 12},
        "stand_ins": [],
        "grids": [{"name": "steps", "title": "Steps", "x": "nfe", "lines": "sigma", "panels": panels}],
    }


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import expect, sync_playwright  # what `make test` alone does without

    assert CHROMIUM, "no chromium: bash .ci/setup browser installs it as root, or apt-get install chromium"
    expect.set_options(timeout=60_000)  # a busy machine is no failure
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def opened(browser: "Browser", page: Path, **options: Any) -> "Page":
    """The page in a browser of its own; a fault of its scripts or a refused load fails the test."""

    def fail(what: object) -> None:
        faults.append(str(what))

    faults: list[str] = []
    tab = browser.new_context(**options).new_page()
    tab.set_default_timeout(60_000)
    tab.on("pageerror", fail)
    tab.on("console", lambda message: fail(message.text) if message.type == "error" else None)
    tab.on("request", lambda one: None if one.url.startswith(("file:", "data:", "blob:")) else fail(one.url))
    tab.faults = faults
    tab.goto(page.as_uri())
    return tab


@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_a_phone_and_a_desk_and_axe_finds_nothing_serious(pages, browser, name: str) -> None:
    from tests.support.axe import serious_violations  # it imports playwright

    for width, scheme in SCREENS:
        tab = opened(browser, pages[name], viewport={"width": width, "height": 844}, color_scheme=scheme)
        # All that there is on a phone in the dark; elsewhere the page as it opens.
        for act in ACTS if (width, scheme) == (390, "dark") else ACTS[:1]:
            tab.evaluate(act)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert serious_violations(tab) == [], (name, width, scheme, act)
        pictures = tab.locator("img")
        assert all(pictures.nth(n).get_attribute("alt") is not None for n in range(pictures.count()))
        # Letters of plots, in the size in which they are seen.
        for letters in tab.locator(".chart svg:visible text").all()[:40]:
            assert letters.bounding_box()["height"] >= 9
        assert tab.faults == []
        tab.context.close()


def test_a_reports_pairs_are_compared_by_keyboard_and_enlarged(pages, browser) -> None:
    from playwright.sync_api import expect

    tab = opened(browser, pages["report"], viewport={"width": 1280, "height": 900})
    first = tab.locator("button.tiles").first
    first.focus()
    tab.keyboard.press("Enter")
    viewer = tab.locator("#viewer")
    expect(viewer).to_be_visible()
    expect(tab.locator("#left-tag")).to_have_text("output")
    expect(tab.locator("#right-tag")).to_have_text("target")
    tab.keyboard.press("ArrowLeft")
    assert tab.eval_on_selector("#left", "it => getComputedStyle(it).clipPath") == "inset(0px 51% 0px 0px)"
    assert tab.eval_on_selector("#frame", "it => it.scrollWidth <= it.clientWidth")
    tab.keyboard.press("+")
    tab.keyboard.press("+")
    expect(tab.locator("#zoom")).to_have_text("200 %")
    assert tab.eval_on_selector("#frame", "it => it.scrollWidth / it.clientWidth") == pytest.approx(
        2, abs=0.02
    )
    key = tab.locator("#viewer-key").inner_text()
    tab.keyboard.press("n")
    assert tab.locator("#viewer-key").inner_text() != key
    tab.keyboard.press("p")
    tab.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(first).to_be_focused()
    tab.context.close()


def test_a_review_is_kept_saved_for_a_mix_and_opened_elsewhere(
    pages, browser, finished_run, tmp_path
) -> None:
    from playwright.sync_api import expect

    name = finished_run.dataset.name
    tab = opened(browser, pages["dataset"], viewport={"width": 390, "height": 844}, accept_downloads=True)
    keys = [pair["key"] for pair in data_of(pages["dataset"].parent)["pairs"]]
    tab.locator("#pairs a").first.click()
    tab.keyboard.press("a")
    tab.keyboard.press("n")
    tab.keyboard.press("x")
    tab.fill("#tags", "too dark, again")
    tab.keyboard.press("Escape")
    expect(tab.locator("#reviewed")).to_have_text("1 accepted, 1 rejected, 1 tagged")
    tab.reload()
    expect(tab.locator("#reviewed")).to_have_text("1 accepted, 1 rejected, 1 tagged")
    tab.fill("#asset", "too dark")
    expect(tab.locator("#shown")).to_contain_text("1 pairs")
    tab.click("text=Clear")
    tab.select_option("#state", "undecided")
    expect(tab.locator("#shown")).to_contain_text(f"{len(keys) - 2} pairs")
    tab.click("summary:has-text('Review')")
    with tab.expect_download() as saving:
        tab.click("#save")
    saved = tmp_path / "review.json"
    saving.value.save_as(saved)
    assert keys_to_keep(saved, name) == {keys[0]}
    assert keys_to_leave_out(saved, name) == {keys[1]}
    assert json.loads(saved.read_bytes())["tags"] == {keys[1]: ["too dark", "again"]}
    tab.context.close()

    elsewhere = opened(browser, pages["dataset"])
    expect(elsewhere.locator("#reviewed")).to_have_text("0 accepted, 0 rejected, 0 tagged")
    elsewhere.set_input_files("#open", saved)
    expect(elsewhere.locator("#reviewed")).to_have_text("1 accepted, 1 rejected, 1 tagged")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(saved.read_text().replace(f'"{name}"', '"another"'))
    elsewhere.set_input_files("#open", wrong)
    expect(elsewhere.locator("#said")).to_contain_text("it is of the dataset another")
    elsewhere.context.close()


def test_what_was_drawn_is_counted_and_sorted_by(pages, browser) -> None:
    from playwright.sync_api import expect

    tab = opened(browser, pages["dataset"])
    tab.select_option("#recipe", "relit")
    tab.click("summary:has-text('What was drawn')")
    data = [pair for pair in data_of(pages["dataset"].parent)["pairs"] if pair["recipe"] == "relit"]
    expect(tab.locator("#charts h3")).to_have_text(f"relit: {len(data)} pairs")
    chart = tab.locator("#charts li", has=tab.locator("h4", has_text="coverage")).first
    values = sorted(pair["meta"]["params"]["coverage"] for pair in data)
    expect(chart).to_contain_text(f"{len(values)} values")
    assert chart.locator("svg").get_attribute("aria-label").startswith("Histogram of coverage")
    for order, wanted in (("1", values[0]), ("-1", values[-1])):
        tab.select_option("#sort", "coverage")
        tab.select_option("#order", order)
        key = tab.locator("#pairs .key").first.inner_text()
        assert next(pair for pair in data if pair["key"] == key)["meta"]["params"]["coverage"] == wanted
    tab.context.close()


def test_outputs_stand_beside_their_targets(pages, browser) -> None:
    from playwright.sync_api import expect

    tab = opened(browser, pages["outputs"])
    assert {pair["recipe"] for pair in data_of(pages["outputs"].parent)["pairs"]} == {"holes"}
    alts = (
        tab.locator("#pairs li")
        .first.locator("img")
        .evaluate_all("all => all.map((one) => one.alt.split(' ')[0])")
    )
    assert alts == ["source", "target", "output"]
    tab.locator("#pairs a").first.click()
    expect(tab.locator("#left-tag")).to_have_text("output")
    expect(tab.locator("#right-tag")).to_have_text("target")
    expect(tab.locator("#facts")).to_contain_text("PSNR of the output, dB120")
    tab.context.close()


def test_thousands_of_pairs_keep_a_phones_document_small(pages, browser, finished_run) -> None:
    from playwright.sync_api import expect

    page = pages["dataset"].parent
    data = data_of(page)
    pairs = data["pairs"]
    data["pairs"] = [{**pairs[n % len(pairs)], "key": f"pair-{n:05d}"} for n in range(5000)]
    (page / "many.html").write_text(render(browse(finished_run.dataset_dir), data))
    tab = opened(browser, page / "many.html", viewport={"width": 390, "height": 844})
    expect(tab.locator("#shown")).to_contain_text("5000 pairs")
    seen = []
    for part in (0, 0.5, 1):
        tab.evaluate("(part) => scrollTo(0, part * document.getElementById('pairs').scrollHeight)", part)
        tab.wait_for_timeout(200)
        assert 0 < tab.locator("#pairs li").count() < 20
        seen += tab.locator("#pairs .key").all_inner_texts()
    assert seen[0] == "pair-00000"
    assert "pair-04999" in seen
    # By keyboard one gets further than what was there at first.
    tab.evaluate("scrollTo(0, 0)")
    tab.locator("#pairs a").first.focus()
    for _ in range(30):
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.closest('li').getAttribute('aria-posinset')") == "11"
    tab.context.close()
