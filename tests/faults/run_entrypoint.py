"""`pairbridge run`, killed once in each of its stages: `run_entrypoint.py MARKERS OUT run ARGUMENTS...`"""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

from pairbridge.datagen.shards import commit
from pairbridge.pipelines.cli import main
from pairbridge.pipelines.runs import run
from pairbridge.pipelines.shelves import shelf

sys.path.insert(0, str(Path(__file__).parent))
from faults import Fault, FaultBox

SHARD = "train-relit-000000"
FAULTS = [Fault("driver", "tar to sidecar", SHARD)]
FAULTS += [Fault("driver", stage, "-") for stage in ("verify", "train", "evaluate", "report")]
# Of six, the checkpoint of step 3 behind it.
KILLED_AT_STEP = 4


def meet(point: str, place: str = "-") -> None:
    BOX.meet(point, place, driver=os.getpid())


def place_sidecar(shards_dir, name, sidecar, record):
    meet("tar to sidecar", name)
    commit.place_sidecar(shards_dir, name, sidecar, record)


def then_meet(point, function):
    def met(*args, **kwargs):
        result = function(*args, **kwargs)
        meet(point)
        return result

    return met


@contextmanager
def show_training(steps, show=run.show_training):
    with show(steps) as on_progress:

        def met(line):
            on_progress(line)
            if line["step"] >= KILLED_AT_STEP:
                meet("train")

        yield met


if __name__ == "__main__":
    BOX = FaultBox(Path(sys.argv[1]), FAULTS, Path(sys.argv[2]))
    sys.argv[:3] = ["pairbridge"]
    shelf.place_sidecar = place_sidecar
    run.show_training = show_training
    for name, point in (("verify_dataset", "verify"), ("evaluate", "evaluate"), ("write_report", "report")):
        setattr(run, name, then_meet(point, getattr(run, name)))
    main()
