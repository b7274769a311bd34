"""The same `generate` on a cluster of two raylets, one of which dies on the way."""

import subprocess
import sys
from pathlib import Path

import pytest
from launching import Launcher, promised, wait_for

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.tiny_rendered import tiny_config

pytestmark = [pytest.mark.render, pytest.mark.long]


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
    process.wait(30)
    process.stdout.close()


@pytest.mark.parametrize(("lost", "groups"), [("machine", 18), ("raylet", 36)])
def test_a_raylet_that_dies_on_the_way_changes_no_byte(cluster, assets, tmp_path, ray_address, lost, groups):
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
    assert process.wait(180) == 0, launcher.log(out)

    calm = generate(config, tmp_path / "calm", workers=2, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)
    assert verify_dataset(out).ok
    losses = [event for event in read_ledger(out) if event["event"] == "fault"]
    assert {event["fault"] for event in losses} == {"lost"}, launcher.log(out)
    assert len({event["worker"] for event in losses}) == 1
