"""What a tracker shows of a training, read back with the tracker's own reader, also after a resume."""

import importlib.util
import json
import struct
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.trackers.run_facts import run_facts
from pairbridge.training.trackers.tensorboard_events import TensorBoardEvents
from pairbridge.training.trackers.tracker_choice import Trackers, chosen_trackers
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config, lines, mix

CONSTANT = {"optimiser": {"schedule": "constant", "warmup_images": 8, "learning_rate": 1e-3}}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_toy_dataset(folder / "a", "relighting", {"train": 12, "validation": 4})
    write_toy_dataset(folder / "b", "photos", {"train": 5}, seed=1)
    return folder


class Killed(BaseException):
    pass


def train_in_three(root: Path, run_dir: Path, trackers) -> list[dict]:
    """A training that dies after step 3 was told and before its checkpoint, goes on to 4, and is then made
    longer; its lines.
    """
    watch = {"pictures_every": 2, "rows": 1, "trackers": trackers}

    def die(line: dict) -> None:
        if line["step"] == 3:
            raise Killed

    def upto(steps: int, **given) -> None:
        settings = config(steps=steps, checkpoint_every=2, watch=watch, **CONSTANT)
        train(settings, mix(), run_dir, run_root=root, **given)

    with pytest.raises(Killed):
        upto(4, on_progress=die)
    upto(4)
    upto(5)
    return lines(run_dir / "stats.jsonl")


def test_tensorboard_is_on_where_it_is_installed_and_a_resume_repeats_nothing(
    root: Path, tmp_path: Path
) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    written = train_in_three(root, tmp_path, "auto")
    read = events.EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert [event.step for event in read.Scalars("loss")] == [1, 2, 3, 4, 5]
    losses = [event.value for event in read.Scalars("loss")]
    assert losses == pytest.approx([line["loss"] for line in written])
    assert read.Scalars("shares/photos")[-1].value == pytest.approx(written[-1]["shares"]["photos"])
    assert [event.step for event in read.Images("pictures")] == [2, 4]
    told = [json.loads(event.tensor_proto.string_val[0]) for event in read.Tensors("config/text_summary")]
    assert [(one["steps"], one["optimiser"]["learning_rate"]) for one in told] == [
        (4, 1e-3),
        (4, 1e-3),
        (5, 1e-3),
    ]
    facts = json.loads(read.Tensors("facts/text_summary")[-1].tensor_proto.string_val[0])
    assert facts["versions"]["torch"] == metadata.version("torch")
    assert {source["name"] for source in facts["mix"]["sources"]} == {"synthetic", "photos"}
    assert facts["hardware"]["processes"] == 1
    before = sorted(tmp_path.glob("events/*"))
    finished = config(steps=5, checkpoint_every=2, **CONSTANT, watch={"trackers": "auto"})
    train(finished, mix(), tmp_path, run_root=root)
    assert sorted(tmp_path.glob("events/*")) == before


def wandb_records(run_dir: Path) -> list:
    """Of every offline file, in the order in which they were written: LevelDB's log format with wandb's
    messages.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for path in sorted(run_dir.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
        data, at, message = path.read_bytes(), 7, b""
        while at + 7 <= len(data):
            if 32768 - at % 32768 < 7:
                at += 32768 - at % 32768
                continue
            _, length, kind = struct.unpack_from("<IHB", data, at)
            message += data[at + 7 : at + 7 + length]
            at += 7 + length
            # A whole record, or the last part of one.
            if kind in (1, 4):
                found.append(Record.FromString(message))
                message = b""
    return found


def test_wandb_goes_on_with_the_run_offline(root: Path, tmp_path: Path, monkeypatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    try:
        written = train_in_three(root, tmp_path, ("wandb",))
    finally:
        # Ends its process, which other tests would find among ours.
        wandb.teardown()
    # A process of wandb's own writes the files, and may still be at it.
    ended, until = 0, time.monotonic() + 20
    while ended < 3 and time.monotonic() < until:
        time.sleep(0.05)
        records = wandb_records(tmp_path)
        ended = sum(record.HasField("exit") for record in records)
    runs = [record.run for record in records if record.HasField("run")]
    assert {run.run_id for run in runs} == {json.loads((tmp_path / "wandb.json").read_bytes())["id"]}
    assert {run.project for run in runs} == {"pairbridge"}
    told = {
        item.key or "/".join(item.nested_key): item.value_json for run in runs for item in run.config.update
    }
    assert json.loads(told["optimiser"])["learning_rate"] == 1e-3
    assert json.loads(told["facts"])["hardware"]["processes"] == 1
    history = [record.history for record in records if record.HasField("history")]
    rows = [
        (one.step.num, {item.key or "/".join(item.nested_key): item.value_json for item in one.item})
        for one in history
    ]
    losses = [(step, json.loads(row["loss"])) for step, row in rows if "loss" in row]
    assert losses == [(line["step"], pytest.approx(line["loss"])) for line in written]
    assert [step for step, row in rows if any(key.startswith("pictures") for key in row)] == [2, 4]


def test_mlflow_goes_on_with_the_run_in_the_folder(root: Path, tmp_path: Path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    written = train_in_three(root, tmp_path, ("mlflow",))
    client = mlflow.MlflowClient((tmp_path / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("pairbridge")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["optimiser.learning_rate"] == "0.001"
    losses = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")]
    assert losses == [(line["step"], pytest.approx(line["loss"])) for line in written]
    last = client.get_metric_history(run.info.run_id, "shares/photos")[-1]
    assert last.value == pytest.approx(written[-1]["shares"]["photos"])
    pictures = client.list_artifacts(run.info.run_id, "pictures")
    assert [Path(one.path).name for one in pictures] == ["step-000002.png", "step-000004.png"]
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    assert json.loads((artifacts / "config.json").read_bytes())["steps"] == 5
    assert json.loads((artifacts / "facts.json").read_bytes())["hardware"]["processes"] == 1


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_is_refused_before_the_first_step(
    name: str, root: Path, tmp_path: Path, monkeypatch
) -> None:
    # Python's own way of saying that there is no such module.
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=name) as caught:
        train(config(watch={"trackers": (name,)}), mix(), tmp_path, run_root=root)
    assert f"[{name}]'" in caught.value.remedy
    assert not (tmp_path / "stats.jsonl").exists()
    assert chosen_trackers("auto") == (() if name == "tensorboard" else ("tensorboard",))


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is not None, reason="mlflow is installed")
def test_a_folder_of_a_trackers_name_is_not_the_tracker(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mlflow").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="not installed"):
        chosen_trackers(("mlflow",))


class Gone:
    """A tracker whose service went away."""

    def __init__(self) -> None:
        self.asked = 0

    def figures(self, step: int, numbers: dict) -> None:
        self.asked += 1
        raise ConnectionError("no route to host")


def test_a_tracker_that_fails_costs_neither_the_training_nor_the_others(tmp_path: Path, caplog) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    gone = Gone()
    both = Trackers({"gone": gone, "tensorboard": TensorBoardEvents(tmp_path, 0)})
    for step in (1, 2):
        both.figures(step, {"loss": 1 / step})
        both.picture(step, "pictures", np.zeros((2, 2, 3), np.uint8))
    both.close()
    read = events.EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert [event.value for event in read.Scalars("loss")] == [1.0, 0.5]
    assert gone.asked == 1
    assert "gone failed" in caplog.text
    assert "no route to host" in caplog.text


def test_the_commit_is_that_of_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert run_facts(1)["commit"] is None

    def git(*words: str) -> str:
        own = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        return subprocess.run(["git", *own, *words], check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")
    head = git("rev-parse", "HEAD").strip()
    assert run_facts(1)["commit"] == head
    (tmp_path / "file").write_text("two")
    assert run_facts(1)["commit"] == f"{head}-dirty"
