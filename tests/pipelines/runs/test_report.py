"""The report of a real, small run: what it shows, that it stands alone, and that its figures are those on
disk.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.verify import dataset_status
from pairbridge.pipelines.runs.pictures import loss_curve
from pairbridge.pipelines.runs.report import duration, headline, percent, size, write_report
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.engine.checkpoint import checkpoint_folders
from tests.support.sidecars import read_sidecars

ATTRIBUTES_THAT_LOAD = {"src", "href", "srcset", "data", "poster", "action", "background"}


class Page(HTMLParser):
    """Tags, what they would load, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags[tag] += 1
        self.loads += [value for name, value in attrs if name in ATTRIBUTES_THAT_LOAD]

    def handle_data(self, data) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(finished_run) -> Page:
    return Page((finished_run.folder / "report.html").read_text())


@pytest.fixture(scope="module")
def metrics(finished_run) -> dict:
    return json.loads((finished_run.folder / "metrics.json").read_bytes())


def test_where_the_workers_time_went_is_drawn_and_assets_that_stand_out_are_named(page, metrics) -> None:
    timings = metrics["timings"]
    assert sum(timings["workers_s"].values()) > sum(r["worker_s"] for r in timings["recipes"].values())
    for entry in (*timings["slowest_assets"], *timings["most_refused_assets"]):
        assert entry["asset"] in page.text
    assert timings["most_refused_assets"]


def test_the_page_stands_alone(page: Page, finished_run) -> None:
    assert page.loads
    assert all(uri.startswith(("data:image/", "#")) for uri in page.loads)
    assert not {"link", "iframe", "object"} & page.tags.keys()
    html = (finished_run.folder / "report.html").read_text()
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert "@import" not in html
    # The one script is the one that the policy allows.
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'" in html
    )


def test_its_pictures_are_the_pairs_and_the_translations(page: Page, finished_run, metrics) -> None:
    pngs = [uri.partition(",")[2] for uri in page.loads if uri.startswith("data:image/png")]
    images = [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) for data in pngs
    ]
    # The dataset's are 32 x 32, the imported folder's are as they lie there.
    assert {image.shape[:2] for image in images} == {(32, 32), (16, 24)}
    assert sum(image.shape[:2] == (16, 24) for image in images) == 3 * 4
    strips = metrics["evaluation"]["sources"]["relit"]["samples"]
    first = cv2.imread(str(finished_run.evaluation_dir / strips[0]))
    assert np.array_equal(np.concatenate(images[:3], axis=1), first)
    worst = metrics["evaluation"]["sources"]["relit"]["worst"]
    first_of_worst = cv2.imread(str(finished_run.evaluation_dir / worst[0]))
    place = 3 * len(strips)
    assert np.array_equal(np.concatenate(images[place : place + 3], axis=1), first_of_worst)
    # Three images for every translated pair, and for up to six pairs of each of two recipes.
    assert len(images) > 3 * (len(strips) + 6)
    assert len(images) % 3 == 0


def test_metrics_agree_with_the_dataset_on_disk(finished_run, metrics) -> None:
    status = {(stream.recipe, stream.split): stream for stream in dataset_status(finished_run.dataset_dir)}
    for stream in metrics["dataset"]["streams"]:
        on_disk = status.pop((stream["recipe"], stream["split"]))
        assert (stream["pairs"], stream["quarantined"]) == (on_disk.pairs_made, on_disk.holes)
        assert stream["pairs"] + stream["quarantined"] == stream["pairs_planned"]
    assert not status
    tars = list((finished_run.dataset_dir / "shards").glob("*.tar"))
    assert metrics["dataset"]["bytes"] == sum(path.stat().st_size for path in tars)


def test_shares_are_those_of_the_keys_that_were_consumed(finished_run, metrics) -> None:
    consumed: Counter[str] = Counter()
    for line in (finished_run.training_dir / "consumed.jsonl").read_text().splitlines():
        consumed.update(key.split("/")[0] for key in json.loads(line)["keys"])
    assert {row["source"]: row["samples_consumed"] for row in metrics["mix"]} == dict(consumed)
    total = sum(consumed.values())
    assert total == 6 * 5
    for row, share in zip(metrics["mix"], (0.56, 0.24, 0.2), strict=True):
        assert row["share_planned"] == pytest.approx(share)
        assert abs(row["samples_consumed"] - share * total) < 1


def test_the_model_is_counted_by_its_weights(finished_run, metrics) -> None:
    model = TranslationModel.load(checkpoint_folders(finished_run.training_dir / "checkpoints")[-1])
    assert metrics["training"]["parameters"] == sum(weight.numel() for weight in model.denoiser.parameters())


def test_the_page_shows_the_figures_of_metrics_json(page: Page, metrics) -> None:
    judged = metrics["evaluation"]["sources"]["relit"]
    for figures in judged["methods"].values():
        assert f"{figures['foreground_psnr']['mean']:.2f}" in page.text
        assert f"{figures['ssim']['low']:.3f} to {figures['ssim']['high']:.3f}" in page.text
    assert set(judged["ratios"]) == set(judged["methods"])
    for ratios in judged["ratios"].values():
        for ratio in ratios.values():
            assert f"{ratio['median']:.2f} {ratio['low']:.2f} to {ratio['high']:.2f}" in page.text
    assert f"{judged['objects']} subjects under {judged['lightings']} lightings" in page.text
    for row in metrics["mix"]:
        assert f"consumed {percent(row['share_consumed'])}" in page.text
    for version in metrics["versions"].values():
        assert version in page.text


def test_who_made_it_when_where_and_with_what_configuration_is_said(page: Page, metrics) -> None:
    assert list(metrics["made"]) == ["generate", "verify", "train", "evaluate"]
    for stage in metrics["made"].values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", stage["finished"])
        assert f"{stage['hardware']['cpu_cores']} cores of" in page.text
        assert " ".join(stage["command"].split()) in page.text
        assert stage["finished"] in page.text
    assert metrics["configuration"]["training"]["denoiser"]["widths"] == [8, 16]
    for shown in ("head_width: 8", "min_change: 9.0", "bootstrap_resamples: 100", "recipe: elsewhere"):
        assert shown in page.text


def test_the_contents_lead_to_every_section(finished_run) -> None:
    html = (finished_run.folder / "report.html").read_text()
    linked = re.findall(r'<li><a href="#(\w+)">', html)
    assert linked == re.findall(r'<section id="(\w+)">', html)
    assert {"outputs", "worst", "training", "made", "others"} <= set(linked)


def test_losses_are_drawn_in_the_pages_own_colours_with_those_of_validation() -> None:
    lines = [
        {"images": 10 * n, "loss": 1 / n, "loss_per_source": {"a": 1 / n, "b": 2 / n}} for n in range(1, 9)
    ]
    lines[3]["validation_loss"] = lines[7]["validation_loss"] = 0.5
    drawn = loss_curve({"one": lines})
    assert drawn.count("<svg") == 2
    words = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"a, training", "b, training", "whole mix, training", "validation", "images seen"} <= set(words)
    assert "currentColor" in drawn
    assert not re.search(r"(fill|stroke): #(?!000000|ffffff)", drawn)
    both = loss_curve({"one": lines, "two": lines})
    words = re.findall(r"<text[^>]*>([^<]*)</text>", both)
    assert {"one, training", "two, training", "one, validation", "two, validation"} <= set(words)


def test_what_was_refused_is_listed_with_its_reason(page: Page, finished_run, metrics) -> None:
    lines = (finished_run.dataset_dir / "quarantine.jsonl").read_text().splitlines()
    assert sum(entry["pairs"] for entry in metrics["quarantine"]) == len(lines) > 0
    for entry in metrics["quarantine"]:
        assert " ".join(entry["reason"].split()) in page.text


def test_refused_draws_are_counted_by_gate(page: Page, finished_run, metrics) -> None:
    recorded = [
        rejection
        for sidecar in read_sidecars(finished_run.dataset_dir / "shards")
        for rejection in sidecar.rejections
    ]
    assert sum(entry["draws"] for entry in metrics["gates"]) == len(recorded) > 0
    assert {entry["gate"] for entry in metrics["gates"]} == {rejection.gate for rejection in recorded}
    # Without redraws each of them is a hole.
    assert all(entry["draws"] == entry["quarantined"] for entry in metrics["gates"])
    assert all(entry["gate"] in page.text for entry in metrics["gates"])


def test_stand_ins_are_named(page: Page, metrics) -> None:
    named = {(entry["part"], entry["what"]) for entry in metrics["stand_ins"]}
    assert {("masks", "GrabCut"), ("relit foregrounds", "colour transfer")} <= named
    assert ("photographs", "4 photographs that come with scikit-image") in named
    for word in ("GrabCut", "colour transfer", "smoke test", "Haar"):
        assert word in page.text


def test_licences_and_authors_are_listed_and_escaped(page: Page, finished_run) -> None:
    html = (finished_run.folder / "report.html").read_text()
    assert "<b>Jo</b>" not in html
    assert "<b>Jo</b> & Co" in unescape(html)
    assert "NASA" in page.text


def test_what_was_imported_is_shown_with_its_licence(page: Page, metrics) -> None:
    (source,) = metrics["other_sources"]
    assert (source["name"], source["kind"], source["recipe"]) == ("plates", "import", "elsewhere")
    assert source["pairs"] == {"train": 4}
    assert "Other data" in page.text
    assert "plates import, layout folders; CC-BY-4.0; Plates & Sons" in page.text
    licences = {(entry["licence"], entry["author"]) for entry in metrics["licences"]}
    assert ("CC-BY-4.0", "Plates & Sons") in licences


def test_masks_have_their_figures_beside_lamas(page: Page, finished_run, metrics) -> None:
    rows = {row["name"]: row for row in metrics["masks"]}
    pairs = PairSource(finished_run.dataset_dir, "holes", "train")
    assert rows["holes"]["masks"] == len(pairs)
    coverage = np.mean([(pairs.pair(index).mask > 127).mean() for index in range(len(pairs))])
    assert rows["holes"]["coverage"] == pytest.approx(coverage)
    # A rectangle of 8 by 6 less a corner, in 24 by 16 pixels.
    assert rows["plates"]["coverage"] == pytest.approx(47 / (24 * 16))
    assert rows["plates"]["edge"] == pytest.approx(28 / 16 * np.pi / 4)
    assert [name for name, row in rows.items() if row["reference"]] == [
        "LaMa training, 256 pixels",
        "LaMa test, thick, 512 pixels",
        "LaMa test, medium, 512 pixels",
        "LaMa test, thin, 512 pixels",
    ]
    for row in rows.values():
        assert f"{row['name']} {row['masks']} {percent(row['coverage'])}" in page.text


def test_the_contact_sheet_is_a_picture(finished_run) -> None:
    sheet = cv2.imread(str(finished_run.folder / "sheet.png"))
    assert sheet.shape[1] == 1280
    assert sheet.std() > 10


def test_an_unchanged_run_gives_the_same_page(finished_run) -> None:
    names = ("metrics.json", "report.html", "sheet.png")
    before = [file_sha256(finished_run.folder / name) for name in names]
    write_report(finished_run)
    assert [file_sha256(finished_run.folder / name) for name in names] == before


def test_the_headline_claims_no_more_than_the_interval() -> None:
    def verdict(low: float, high: float, objects: int = 10, metric: str = "foreground_psnr") -> str:
        gain = {metric: {"mean": (low + high) / 2, "low": low, "high": high}}
        source = {"gains": {"source": gain}, "best_baseline": "source", "judged_by": metric}
        return headline("x", {**source, "pairs": 20, "objects": objects, "lightings": 0})["verdict"]

    assert verdict(0.2, 1.0).startswith("better")
    assert verdict(-0.2, 1.0).startswith("no clear difference")
    assert verdict(-1.0, -0.2).startswith("worse")
    assert verdict(1.0, 1.0, objects=1).startswith("no verdict")
    assert verdict(-0.3, -0.1, metric="abs_rel").startswith("better")
    alone = headline("x", {"best_baseline": None, "pairs": 2, "objects": 2, "lightings": 3})
    assert alone["verdict"].startswith("no verdict")
    assert alone["where"].startswith("2 pairs of 2 subjects under 3 lightings")


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (duration(0.034), "34 ms"),
        (duration(59.96), "60.0 s"),
        (duration(65), "1 min 05 s"),
        (duration(7200), "2 h 00 min"),
        (size(999), "999 B"),
        (size(1_500_000), "1.5 MB"),
        (percent(0.9), "90.00 %"),
    ],
)
def test_figures_are_written_for_people(shown: str, text: str) -> None:
    assert shown == text
