"""The whole run as a cluster job: killed in every stage and submitted again, it ends as if never killed."""

import re
import sys
from pathlib import Path

import pytest
from faults import FaultBox
from launching import promised
from run_entrypoint import FAULTS

from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.runs.run import STAGE_NAMES, execute
from pairbridge.pipelines.runs.run_config import load_run
from pairbridge.training.engine.checkpoint import checkpoint_folders
from tests.support.ray_jobs import ray_head, submit
from tests.support.small_run import write_small_run

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("clusters")]


def test_a_run_that_is_killed_in_every_stage_and_resubmitted_goes_on(tmp_path, ray_address):
    config, markers = write_small_run(tmp_path / "configs"), tmp_path / "markers"
    markers.mkdir()
    folder = tmp_path / "runs" / "small"
    script = Path(__file__).with_name("run_entrypoint.py")
    command = [sys.executable, str(script), str(markers), str(folder / "dataset"), "run", config.name]
    command += ["--out", str(folder.parent), "--address", "auto", "--accept-quarantine"]
    said = []
    with ray_head(tmp_path, cpus=2) as head:
        for _ in range(len(FAULTS) + 1):
            done = submit(head, config.parent, command)
            said.append(done.stdout + done.stderr)
            if done.returncode == 0:
                break
    assert done.returncode == 0, said[-1]
    # Killed five times, each where it had to be: what was finished before is not made again.
    assert len(FaultBox(markers, [], folder).fired()) == len(FAULTS) == len(said) - 1 == len(STAGE_NAMES)
    for attempt, text in enumerate(said):
        # Ray repeats the log of a job that failed.
        skipped = list(dict.fromkeys(re.findall(r"^skipping stage (\w+): ", text, re.MULTILINE)))
        assert skipped == list(STAGE_NAMES[: max(attempt - 1, 0)]), text

    assert verify_dataset(folder / "dataset", decode=True).ok
    calm = load_run(str(config), tmp_path / "calm")
    execute(calm, workers=1, address=ray_address, forced_from=None, say=lambda line: None)
    assert promised(folder / "dataset") == promised(calm.dataset_dir)
    for path in sorted(checkpoint_folders(calm.training_dir / "checkpoints")[-1].glob("*.safetensors")):
        again = folder / path.relative_to(calm.folder)
        assert file_sha256(again) == file_sha256(path), path.name
    judged = Path("evaluation") / "evaluation.json"
    assert (folder / judged).read_bytes() == (calm.folder / judged).read_bytes()
