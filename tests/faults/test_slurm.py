"""`slurm.sh` on an allocation that is a stub: `srun` and `scontrol` are programs of the test that start local
processes, all else is real. What a scheduler does beside that (cgroups, other machines) is not seen.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from launching import PATIENCE_S, promised, wait_for

from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.shelves.ledger import read_ledger
from tests.support.ray_jobs import PROGRAMS, free_port
from tests.support.tiny_removal import removal_config

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("clusters")]

SCRIPT = Path(__file__).resolve().parents[2] / "pipelines" / "cluster" / "slurm.sh"
# Options first, as srun has them, then the command; each call and each node is noted.
SRUN = """\
#!/usr/bin/env bash
while [[ $1 == --* ]]; do [[ $1 == --nodelist=* ]] && node=${1#*=}; shift; done
echo "$node $*" >> "$STUB/srun.log"
exec "$@"
"""
SCONTROL = """\
#!/usr/bin/env bash
case "$1 $2" in
"show hostnames") printf 'node-1\\nnode-2\\n' ;;
requeue*) echo "$2" >> "$STUB/requeued" ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def allocation(tmp_path: Path) -> dict[str, str]:
    """Two nodes of a core each, as a batch script sees them."""
    stub = tmp_path / "stub"
    stub.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (stub / name).write_text(text)
        (stub / name).chmod(0o755)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{stub}{os.pathsep}{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "STUB": str(stub),
        "SLURM_JOB_ID": str(free_port()),
        "SLURM_JOB_NODELIST": "node-[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
        # Two machines start on the cores of one, beside other tests.
        "RAY_raylet_start_wait_time_s": "300",
        "PAIRBRIDGE_RAY_PORT": str(free_port()),
    }


def start(allocation: dict[str, str], command: list[object], log: Path) -> subprocess.Popen:
    """What sbatch would run on the first node."""
    with open(log, "a") as stream:
        return subprocess.Popen(
            ["bash", SCRIPT, *command], env=allocation, stdout=stream, stderr=stream, start_new_session=True
        )


def test_a_job_that_meets_its_time_limit_is_requeued_and_finishes(allocation, tmp_path, ray_address):
    config = removal_config(tmp_path / "photos", groups=60)
    (tmp_path / "dataset.yaml").write_text(config.model_dump_json())
    out, log = tmp_path / "out", tmp_path / "job.log"
    command = ["pairbridge", "generate", tmp_path / "dataset.yaml", "--out", out, "--workers", "2"]

    first = start(allocation, command, log)
    wait_for(lambda: list(out.glob("staging/*/*/*.json")) or first.poll() is not None, "staged group")
    assert first.poll() is None, log.read_text()
    first.send_signal(signal.SIGUSR1)
    assert first.wait(PATIENCE_S) == 130, log.read_text()
    stub = Path(allocation["STUB"])
    assert (stub / "requeued").read_text().split() == [allocation["SLURM_JOB_ID"]]
    calls = (stub / "srun.log").read_text().splitlines()
    assert [call.split()[0] for call in calls if "ray start" in call] == ["node-1", "node-2"]

    again = start(allocation, command, log)
    assert again.wait(PATIENCE_S) == 0, log.read_text()
    assert verify_dataset(out).ok
    runs = [event for event in read_ledger(out) if event["event"] in ("run", "group")]
    assert [event["event"] for event in runs].count("run") == 2
    assert len([event for event in runs if event["event"] == "group"]) == 60
    # Nobody of the job is left: neither a raylet nor a head.
    assert not subprocess.run(["pgrep", "-f", f"pairbridge-{allocation['SLURM_JOB_ID']}"], check=False).stdout

    calm = generate(config, tmp_path / "calm", workers=1, on_progress=LogLines()).dataset_dir
    assert promised(out) == promised(calm)


def test_a_command_that_fails_ends_the_job_with_its_status(allocation, tmp_path):
    log = tmp_path / "job.log"
    missing = ["pairbridge", "generate", tmp_path / "no.yaml", "--out", tmp_path / "out"]
    assert start(allocation, missing, log).wait(PATIENCE_S) == 1, log.read_text()
    assert "no.yaml" in log.read_text()
    assert not (Path(allocation["STUB"]) / "requeued").exists()
