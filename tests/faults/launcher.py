"""One driver process with faults built in: `launcher.py job.json`. The job says what to generate and what to
kill.

Exit 0 when the dataset is finished, 1 with the message on a PairbridgeError, 130 when interrupted.
"""

import json
import os
import sys
import time
from pathlib import Path

from pairbridge.datagen.core import atomic_files
from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.shards import commit
from pairbridge.pipelines.attempts.policy import Limits
from pairbridge.pipelines.generation import generate, open_plan
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.generation.stopping import Interrupted
from pairbridge.pipelines.shelves import shelf, staging
from pairbridge.pipelines.shelves.committer import Committer
from pairbridge.pipelines.workers import ray_committers
from pairbridge.pipelines.workers.worker import GroupWorker

sys.path.insert(0, str(Path(__file__).parent))
from faults import Fault, FaultBox

JOB = json.loads(Path(sys.argv[1]).read_text())
BOX = FaultBox(Path(JOB["markers"]), [Fault(**fault) for fault in JOB["faults"]], Path(JOB["out"]))
DRIVER_PID = os.getpid()
PAUSE_S, PAUSED = JOB.get("pause_s", 0.0), JOB.get("paused", "render")


class FaultyWorker(GroupWorker):
    """Meets the fault box at every point of its work."""

    def run(self, shard, group):
        self.place = f"{shard.name} {group}"
        return super().run(shard, group)

    def phase(self, name):
        super().phase(name)
        if name != "idle":
            self.meet(name)
        if name == PAUSED:
            time.sleep(PAUSE_S)

    def stage(self, shard, part, record):
        if self.order.url is not None:
            super().stage(shard, part, record)
            return
        folder = self.order.staging_dir / shard.name
        halves = [part[: len(part) // 2], part[len(part) // 2 :]]
        with staging.fenced(folder):
            atomic_files.write_atomically(staging.part_path(folder, record.group), self.met(halves))
        self.meet("staged part")
        staging.stage_record(folder, record)

    def met(self, halves):
        yield halves[0]
        self.meet("staging tar")
        yield halves[1]

    def meet(self, point):
        # Blender is started only for those that want to kill it.
        blender = (self.workbench.blender.pid) if BOX.wants_blender(point, self.place) else None
        BOX.meet(point, self.place, driver=DRIVER_PID, blender=blender)


class FaultyCommitter(Committer):
    """Meets the fault box at every point of its work."""

    def write_tar(self, path, info, parts):
        def chunks(parts, concatenate=commit._concatenate):
            for number, chunk in enumerate(concatenate(parts)):
                yield chunk
                if number == 0:
                    BOX.meet("tar", parts[0][1].parent.name, driver=DRIVER_PID)

        if "chunks" not in commit._concatenate.__qualname__:
            commit._concatenate = chunks
        sidecar = super().write_tar(path, info, parts)
        BOX.meet("ready tar", info.name, driver=DRIVER_PID)
        return sidecar

    def make_ready(self, shard, info):
        ready = super().make_ready(shard, info)
        BOX.meet("ready", shard.name, driver=DRIVER_PID)
        return ready


def place_sidecar(shards_dir, name, sidecar, record):
    BOX.meet("tar to sidecar", name, driver=DRIVER_PID)
    commit.place_sidecar(shards_dir, name, sidecar, record)


def meeting(point, function):
    """`function`, but the driver meets the fault box before it."""

    def met(*args, **kwargs):
        BOX.meet(point, "-", driver=DRIVER_PID)
        return function(*args, **kwargs)

    return met


if __name__ == "__main__":
    for module, name, point in (
        (open_plan, "bake_lightings", "bake"),
        (generate, "ray_session", "ray"),
        (generate, "write_card", "card"),
    ):
        setattr(module, name, meeting(point, getattr(module, name)))
    shelf.place_sidecar = place_sidecar
    ray_committers.Committer = FaultyCommitter
    try:
        generate.generate(
            DatasetConfig.model_validate(JOB["config"]),
            JOB.get("url", JOB["out"]),
            work_dir=Path(JOB["out"]),
            workers=JOB["workers"],
            address=JOB["address"],
            on_progress=LogLines(0.5),
            worker_class=FaultyWorker,
            retry_quarantined=JOB.get("retry_quarantined"),
            limits=Limits(**JOB.get("limits", {})),
        )
    except Interrupted as stop:
        print(stop, flush=True)
        sys.exit(130)
    except PairbridgeError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        sys.exit(1)
