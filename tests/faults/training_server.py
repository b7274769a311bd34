"""A process that has torch and the trainer imported, and forks a small training for every line it is sent.

training_server.py DATASETS        the folder in which the toy datasets are
{"run": FOLDER, "environment": {...}, "config": {...}}      a line in; the variables are those of failio
{"status": 0}, {"status": -9} or {"status": 1, "error": NAME, "message": TEXT}          a line out
"""

import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig

CONFIG = {
    "batch_size": 2,
    "size": 16,
    "steps": 4,
    "checkpoint_every": 2,
    "keep_checkpoints": 1,
    "denoiser": {"widths": (8,), "head_width": 8, "norm_groups": 4},
    "threads": 1,
    "loader_workers": 0,
    "log_every": 1,
    "watch": {"pictures_every": 2, "rows": 1, "trackers": ()},
}
MIX = {"sources": [{"name": "toy", "path": "run:toy", "recipe": "relighting", "weight": 1.0}]}


def train_once(request: dict, datasets: Path, report: Path) -> None:
    os.environ.update(request["environment"])
    # The preloaded library has read the variables of this process's parent.
    if "FAILIO_DIR" in request["environment"]:
        ctypes.CDLL(None).failio_read_environment()
    try:
        config = TrainingConfig.model_validate({**CONFIG, **request["config"]})
        train(config, MixConfig.model_validate(MIX), Path(request["run"]), run_root=datasets)
    except Exception as error:
        traceback.print_exc()
        report.write_text(json.dumps({"error": type(error).__name__, "message": str(error)}))
        os._exit(1)
    os._exit(0)


def main(datasets: Path) -> None:
    report = datasets / "report.json"
    # As in a shell; a test run may have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Out of the collector's sight, so that no fork touches, and so copies, the pages of what was imported.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        report.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            train_once(json.loads(line), datasets, report)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = json.loads(report.read_text()) if report.exists() else {}
        print(json.dumps({"status": status, **said}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
