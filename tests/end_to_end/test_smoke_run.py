"""The whole job, small and real: Blender and Ray make the data, a model is trained and judged, the page is
written.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import pytest

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.engine.checkpoint import checkpoint_folders

NOT_PROMISED = (".lock", "ledger.jsonl", ".shards.index")
STAGES = ("generate", "verify", "train", "evaluate", "report")


def run_smoke(runs: Path, *options: str) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("pairbridge"), "run", "smoke", "--out", runs, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def digests(folder: Path) -> dict[str, str]:
    """Of every file that the run promises not to touch again."""
    return {
        str(path.relative_to(folder)): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in (".lock", "ledger.jsonl", ".shards.index")
        and "logs" not in path.parts
    }


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """(the run's folder, how the command that made it ended)."""
    runs = tmp_path_factory.mktemp("runs")
    done = run_smoke(runs)
    assert done.returncode in (0, 2), done.stdout + done.stderr
    return runs / "smoke", done


@pytest.mark.render
def test_one_command_does_the_whole_job(smoke) -> None:
    folder, done = smoke
    for stage in STAGES:
        assert f"finished stage {stage} in" in done.stdout
    assert f"report: {folder / 'report.html'}" in done.stdout

    report = verify_dataset(folder / "dataset", decode=True)
    assert report.ok
    assert (done.returncode == 2) == any(stream.holes for stream in report.streams)
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
def test_its_figures_are_complete_and_its_shares_exact(smoke) -> None:
    folder, _ = smoke
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
def test_the_same_command_again_skips_everything_and_changes_nothing(smoke) -> None:
    folder, first = smoke
    before = digests(folder)
    again = run_smoke(folder.parent)
    assert again.returncode == first.returncode
    for stage in STAGES:
        assert f"skipping stage {stage}: nothing it depends on has changed" in again.stdout
    assert digests(folder) == before
