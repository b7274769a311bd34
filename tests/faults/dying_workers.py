"""A driver whose workers die in two ways: `dying_workers.py config.json out address mark bytes`.

Whoever makes a pair of the object `shape-1` dies of SIGSEGV, every time. The first that composes another one
takes memory until somebody ends it, at most so many bytes; `mark` says that it has begun.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import ray

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.pipelines.attempts.holes import asset_ids
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from pairbridge.pipelines.workers.worker import GroupWorker

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
CONFIG, OUT, ADDRESS, MARK, MOST_BYTES = sys.argv[1:]


class DyingWorker(GroupWorker):
    def make_pairs(self, spec):
        self.assets = asset_ids(spec, self.order.plan.catalogue)
        return super().make_pairs(spec)

    def phase(self, name):
        super().phase(name)
        if name != "compose":
            return
        if "shape-1" in self.assets:
            os.kill(os.getpid(), signal.SIGSEGV)
        if not Path(MARK).exists():
            Path(MARK).touch()
            taken = []
            while len(taken) << 28 < int(MOST_BYTES):
                taken.append(np.ones(1 << 28, np.uint8))
                time.sleep(0.2)
            time.sleep(60)


if __name__ == "__main__":
    config = DatasetConfig.model_validate_json(Path(CONFIG).read_text())
    generate(config, OUT, workers=1, address=ADDRESS, on_progress=LogLines(), worker_class=DyingWorker)
