"""The whole job, small and real: Blender and Ray make the data, a model is trained and judged, the page is
written.
"""

import json
from collections import Counter
from pathlib import Path

import cv2
import pytest

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.engine.checkpoint import checkpoint_folders
from tests.support.smoke_run import SmokeRun, start_smoke

NOT_PROMISED = (".lock", "ledger.jsonl", ".shards.index")
STAGES = ("generate", "verify", "train", "evaluate", "report")


def digests(folder: Path) -> dict[str, str]:
    """Of every file that the run promises not to touch again."""
    return {
        str(path.relative_to(folder)): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in (".lock", "ledger.jsonl", ".shards.index")
        and "logs" not in path.parts
    }


@pytest.mark.render
def test_one_command_does_the_whole_job(smoke_run: SmokeRun) -> None:
    folder = smoke_run.folder
    for stage in STAGES:
        assert f"finished stage {stage} in" in smoke_run.out
    assert f"report: {folder / 'report.html'}" in smoke_run.out

    report = verify_dataset(folder / "dataset", decode=True)
    assert report.ok
    assert (smoke_run.status == 2) == any(stream.holes for stream in report.streams)
    for recipe, split in (
        ("relighting", "train"),
        ("relighting", "test"),
        ("photos", "train"),
        ("removal", "train"),
    ):
        pair = PairSource(folder / "dataset", recipe, split).pair(0)
        assert pair.source.shape == pair.target.shape == (48, 48, 3)
        assert pair.mask.any()
        assert (pair.source != pair.target).any()


@pytest.mark.render
def test_its_figures_are_complete_and_its_shares_exact(smoke_run: SmokeRun) -> None:
    folder = smoke_run.folder
    metrics = json.loads((folder / "metrics.json").read_bytes())
    judged = metrics["evaluation"]["sources"]
    assert set(judged["rendered"]["methods"]) == {"model", "source", "colour_transfer", "colour_shift_ridge"}
    for source in judged.values():
        for figures in source["methods"].values():
            for interval in figures.values():
                assert interval["low"] <= interval["mean"] <= interval["high"]
    assert checkpoint_folders(folder / "train" / "checkpoints")[-1].name == metrics["training"]["checkpoint"]
    assert metrics["training"]["loss_last_tenth"] < metrics["training"]["loss_first"]

    consumed: Counter[str] = Counter()
    for line in (folder / "train" / "consumed.jsonl").read_text().splitlines():
        consumed.update(key.split("/")[0] for key in json.loads(line)["keys"])
        total = sum(consumed.values())
        assert abs(consumed["rendered"] - 0.9 * total) < 1
    assert {row["source"]: row["samples_consumed"] for row in metrics["mix"]} == dict(consumed)

    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") > 50
    assert "smoke test" in page
    assert f"{metrics['training']['validation_loss']:.5f}" in page
    assert cv2.imread(str(folder / "sheet.png")) is not None


@pytest.mark.render
def test_the_same_command_again_skips_everything_and_changes_nothing(smoke_run: SmokeRun) -> None:
    before = digests(smoke_run.folder)
    again = start_smoke(smoke_run.folder.parents[1])
    assert again.status == smoke_run.status
    for stage in STAGES:
        assert f"skipping stage {stage}: nothing it depends on has changed" in again.out
    assert digests(smoke_run.folder) == before
