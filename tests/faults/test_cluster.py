"""The same `generate` on a cluster of two raylets, one of which dies on the way."""

import subprocess
import sys
from pathlib import Path

import pytest
from launching import PATIENCE_S, Launcher, promised, wait_for

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.tiny_rendered import tiny_config

pytestmark = [pytest.mark.render, pytest.mark.long, pytest.mark.xdist_group("clusters")]


@pytest.fixture
def cluster():
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("two_raylets.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    process.wait(PATIENCE_S)
    process.stdout.close()


@pytest.mark.parametrize(
    ("lost", "groups", "fault"),
    [("machine", 18, "machine lost"), ("raylet", 36, "machine lost"), ("notice", 18, "pre-empted")],
)
def test_a_raylet_that_dies_on_the_way_changes_no_byte_and_is_named(
    cluster, assets, tmp_path, ray_address, lost, groups, fault
):
    address = cluster.stdout.readline().strip()
    config = tiny_config(assets, groups=groups)
    launcher = Launcher(address)
    out = tmp_path / "rough"
    # Every render takes half a second longer: Ray needs two seconds to notice that a raylet is gone.
    process = launcher.start(config, out, pause_s=0.5)
    wait_for(lambda: len(list(out.glob("staging/*/*/*.json"))) >= 2, "two staged groups")
    cluster.stdin.write(f"{lost}\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "killed\n"
    assert process.wait(PATIENCE_S) == 0, launcher.log(out)

    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)
    assert verify_dataset(out).ok
    losses = [event for event in read_ledger(out) if event["event"] == "fault"]
    assert {event["fault"] for event in losses} == {fault}, launcher.log(out)
    assert all("The actor" in event["message"] for event in losses)
    assert len({event["worker"] for event in losses}) == 1
