"""Groups made by one worker in a process of its own, whose environment a test chooses."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pairbridge.datagen.dataset.dataset_config import DatasetConfig

# Makes the groups of the first shard in one process, as Ray's workers do.
WORKER = """
import json, sys
from pathlib import Path
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.generation.open_plan import open_plan
from pairbridge.pipelines.shelves.staging import Staging
from pairbridge.pipelines.workers.worker import GroupWorker, WorkOrder
out = Path(sys.argv[1])
out.mkdir()
plan = open_plan(DatasetConfig.model_validate_json(sys.argv[2]), out).plan
staging = Staging.take_over(out, "run", plan)
shard = next(plan.shards())
staging.open_shard(shard)
with GroupWorker(WorkOrder(plan, out, staging.folder), "worker", threads=1) as worker:
    faults = [worker.run(shard, group).fault for group in [*shard.groups, *shard.groups]]
json.dump([faults, [record.sha256 for record, _ in staging.parts(shard)]], sys.stdout)
"""


def made_in_one_process(config: DatasetConfig, out: Path, environment: dict[str, str]) -> tuple:
    """The faults of two attempts at each group of the first shard, and the hashes of what is staged then."""
    command = [sys.executable, "-c", WORKER, str(out), config.model_dump_json()]
    ran = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return tuple(json.loads(ran.stdout))
