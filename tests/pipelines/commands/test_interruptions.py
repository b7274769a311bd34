"""Ctrl-C and SIGTERM, whatever a command is doing: one line, status 130, and no process or half file left."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.support.tiny_dataset import TinyDataset, TinyRecipe
from tests.support.tiny_removal import removal_config

COMMAND = [sys.executable, "-c", "from pairbridge.pipelines.cli import main; main()"]


def signalled(number: int):
    """What a command calls, sending itself a signal in the midst of it."""

    def work(*args: object, **kwargs: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)
        raise AssertionError("the signal did not end it")

    return work


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("verify", "DATASET"), "pairbridge.datagen.dataset.verify.verify_dataset"),
        (("status", "DATASET"), "pairbridge.datagen.shards.mirror.local_folder"),
        (
            ("export", "DATASET", "--to", "folders", "--out", "OUT"),
            "pairbridge.datagen.exports.export.export_dataset",
        ),
        (("merge", "DATASET", "--out", "OUT"), "pairbridge.datagen.exports.merge.merge_datasets"),
        (("inspect", "DATASET", "--page", "OUT"), "pairbridge.pipelines.pages.dataset_page.render"),
    ],
    ids=["verify", "status", "export", "merge", "page"],
)
def test_an_interrupted_command_says_one_line_and_ends_with_130(
    pairbridge, tmp_path, monkeypatch, arguments, place, number
) -> None:
    dataset = TinyDataset(name="a", recipes={"relight": TinyRecipe(groups={"train": 1})}).write(
        tmp_path / "a"
    )
    places = {"DATASET": str(dataset), "OUT": str(tmp_path / "out")}
    monkeypatch.setattr(place, signalled(number))
    before = signal.getsignal(signal.SIGTERM)
    status, _, err = pairbridge(*(places.get(argument, argument) for argument in arguments))
    assert status == 130
    (line,) = err.strip().splitlines()
    assert line.startswith("interrupted: nothing half-written was left; again with: pairbridge ")
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "out").exists()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dataset.yaml"
    config = removal_config(tmp_path / "photos", groups=1)
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def start(config: Path, *arguments: object) -> subprocess.Popen:
    command = [*COMMAND, "generate", str(config), "--workers", "1", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_a_wrong_address_is_named_at_once(config, tmp_path) -> None:
    began = time.monotonic()
    process = start(config, "--out", tmp_path / "out", "--address", "127.0.0.1:1")
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "error: no Ray cluster can be joined at 127.0.0.1:1: [Errno 111] Connection refused" in err
    assert time.monotonic() - began < 60  # nearly all of it the start of Python


def test_a_server_that_is_no_ray_does_not_keep_a_run_from_a_signal(config, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        process = start(config, "--out", tmp_path / "out", "--address", f"{host}:{port}")
        server.settimeout(120)
        server.accept()
        time.sleep(2)  # Ray asks for minutes
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        err = process.communicate(timeout=30)[1]
        assert time.monotonic() - began < 5
    assert process.returncode == 130, err
    assert "interrupted: stopped while no group was being made" in err


@pytest.mark.long
@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0])
def test_a_signal_at_any_moment_of_the_start_of_ray_ends_with_130_and_leaves_no_process(
    config, tmp_path, after_s
) -> None:
    process = start(config, "--out", tmp_path / "out")
    ours = psutil.Process(process.pid)
    while not any("gcs_server" in child.name() for child in ours.children(recursive=True)):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(after_s)
    children = ours.children(recursive=True)
    ended = process.poll() is not None
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == (0 if ended else 130), err
    _, left = psutil.wait_procs(children, timeout=20)
    assert left == []
    assert not [path for path in (tmp_path / "out").rglob("*") if ".tmp-" in path.name]
