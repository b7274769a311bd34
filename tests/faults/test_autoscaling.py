"""A cluster that has no machine until it is asked for one: Ray's own autoscaler, a raylet a machine."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import PATIENCE_S, Launcher, promised, wait_for

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.ray_jobs import PROGRAMS, RayHead, ray_head, raylets, submit
from tests.support.tiny_removal import removal_config
from tests.support.tiny_rendered import tiny_config

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("clusters")]

# As in the shipped files: nothing at first, and a head that makes no pairs.
MACHINES = {
    "render": {
        "resources": {"CPU": 1, "object_store_memory": 100 << 20},
        "node_config": {},
        "min_workers": 0,
        "max_workers": 2,
    }
}


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayHead]:
    with ray_head(tmp_path, cpus=0, machines=MACHINES) as head:
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            monkeypatch.setenv(name, head.environment[name])
        yield head


def machines(head: RayHead) -> int:
    """How many there are beside the head."""
    return len(raylets(head.environment)) - 1


def workers_that_made_groups(out: Path) -> set[str]:
    return {event["worker"] for event in read_ledger(out) if event["event"] == "group"}


@pytest.mark.render
def test_a_run_from_zero_machines_grows_survives_a_lost_one_and_leaves_none(
    ray_address, head, assets, tmp_path
):
    config = tiny_config(assets, groups=24)
    launcher = Launcher(head.address)
    out = tmp_path / "rough"
    wait_for(lambda: machines(head) == 0, "head")
    process = launcher.start(config, out, pause_s=1.0)
    wait_for(lambda: machines(head) == 2, "second machine")
    wait_for(lambda: workers_that_made_groups(out) == {"worker-00", "worker-01"}, "group of each worker")
    # That of the head is the oldest.
    max(raylets(head.environment), key=lambda each: each.create_time()).kill()
    assert process.wait(PATIENCE_S) == 0, launcher.log(out)
    wait_for(lambda: machines(head) == 0, "end of idle machines")

    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)
    assert verify_dataset(out).ok
    faults = [event for event in read_ledger(out) if event["event"] == "fault"]
    # Its autoscaler, too, ends what is left of a lost machine, but not before Ray has missed it.
    assert {event["fault"] for event in faults} == {"machine lost"}, faults


def test_a_submitted_job_that_asks_for_more_workers_than_ever_fit_finishes_with_those_that_do(head, tmp_path):
    folder = tmp_path / "working dir"
    folder.mkdir()
    config = removal_config(tmp_path / "photos", groups=40)
    (folder / "dataset.yaml").write_text(config.model_dump_json())
    out = tmp_path / "out"
    command = ["pairbridge", "generate", "dataset.yaml", "--out", str(out), "--address", "auto"]
    done = submit(head, folder, [*command, "--workers", "5"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 starting" in done.stdout
    assert verify_dataset(out).ok
    assert len([event for event in read_ledger(out) if event["event"] == "group"]) == 40


def test_a_worker_that_no_machine_has_room_for_is_named(head, tmp_path):
    config = removal_config(tmp_path / "photos", groups=2).model_dump(mode="json")
    pool = {"recipes": list(config["recipes"]), "workers": 1, "cpus": 64}
    config["execution"] = {"pools": {"wide": pool}, "join_timeout_s": 5, "start_timeout_s": 5}
    path = tmp_path / "dataset.yaml"
    path.write_text(removal_config(tmp_path / "photos", groups=2).model_validate(config).model_dump_json())
    done = subprocess.run(
        [PROGRAMS / "pairbridge", "generate", path, "--out", tmp_path / "out", "--address", head.address],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert "no worker of pool wide was ready" in said
    assert "each takes 64 CPU, and no machine of the cluster has that" in said
