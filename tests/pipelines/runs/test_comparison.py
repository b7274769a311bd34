"""Two runs on one page: what is said of their difference, and what is not."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.runs.comparison import compare_runs, configuration_differences


@pytest.fixture
def better(finished_run, tmp_path: Path) -> Path:
    """The finished run as if a longer training had made every output better by 1.5 dB."""
    folder = tmp_path / "longer"
    shutil.copytree(finished_run.folder, folder)
    table = folder / "evaluation" / "relit.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    for row in rows:
        if row["method"] == "model":
            row["foreground_psnr"] = str(float(row["foreground_psnr"]) + 1.5)
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    metrics = json.loads((folder / "metrics.json").read_bytes())
    metrics["evaluation"]["sources"]["relit"]["methods"]["model"]["foreground_psnr"]["mean"] += 1.5
    metrics["configuration"]["training"]["steps"] = 12
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_a_difference_is_paired_and_keys_that_differ_are_listed(finished_run, better, tmp_path) -> None:
    compare_runs(finished_run.folder, better, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    # Every pair gains the same, so that the interval is that point.
    assert "<strong>+1.50 dB</strong>" in html
    assert "+1.50 to +1.50" in html or "images of one subject alone carry no interval" in html
    assert "training.steps" in html
    assert "training.batch_size" not in html
    kept = json.loads((finished_run.folder / "metrics.json").read_bytes())["evaluation"]["sources"]["relit"]
    assert html.count('aria-label="Compare source, small, longer, target of') == len(kept["samples"])
    # It stands alone.
    assert not re.search(r'(src|href)="(?!data:|#)', html)


def test_runs_that_judged_different_pairs_get_no_difference(finished_run, better, tmp_path) -> None:
    path = better / "stages" / "evaluate.json"
    record = json.loads(path.read_bytes())
    record["inputs"]["data"]["relit"] = "others"
    path.write_text(json.dumps(record))
    compare_runs(finished_run.folder, better, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert "judged different pairs" in html
    assert "+1.50" not in html


def test_what_is_no_other_finished_run_is_refused(finished_run, better, tmp_path, pairbridge) -> None:
    with pytest.raises(ConfigError, match="not the folder of a finished run"):
        compare_runs(finished_run.folder, tmp_path, tmp_path / "page.html")
    with pytest.raises(ConfigError, match="are one run"):
        compare_runs(better, better, tmp_path / "page.html")
    page = tmp_path / "again.html"
    status, out, _ = pairbridge("compare", better, finished_run.folder, "--out", page)
    assert (status, out.strip()) == (0, str(page))
    assert "<strong>-1.50 dB</strong>" in page.read_text()


def test_a_key_that_one_configuration_lacks_differs() -> None:
    first, second = {"a": {"b": 1, "c": [2, 3]}}, {"a": {"b": 1, "c": [2, 4], "d": None}}
    assert configuration_differences(first, second) == [("a.c[1]", "3", "4"), ("a.d", "–", "None")]
