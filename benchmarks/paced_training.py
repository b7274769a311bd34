"""A training that takes one step for each line of its standard input, of any commit's tree.

    python benchmarks/paced_training.py TREE RECIPE STEPS

Imports `pairbridge` from TREE alone, trains a shipped recipe on pairs made there, and after each step of the
optimiser prints the processor time so far, in seconds, of its own thread and of all else. Run by
`benchmarks/train.py --beside`.
"""

import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch


def paced(step):
    process = psutil.Process()

    def call(*args, **kwargs):
        made = step(*args, **kwargs)
        times = [child.cpu_times() for child in process.children(recursive=True)]
        # Of former commits the loader is processes, else threads.
        own, whole = time.thread_time(), time.process_time()
        print(own, whole - own + sum(child.user + child.system for child in times), flush=True)
        if not sys.stdin.readline():
            sys.exit()
        return made

    return call


def main(tree: Path, recipe: str, steps: int) -> None:
    # Not this file's folder, which is of another commit.
    sys.path[0] = str(tree)
    import pairbridge  # of the tree, known only now

    # An installed copy of this commit would answer for its rooms.
    pairbridge.__path__.append(str(tree))

    from pairbridge.pipelines.reading.config_files import find_config, load_config  # of the tree
    from pairbridge.training.bridge_training.loop import train  # of the tree
    from pairbridge.training.bridge_training.training_config import TrainingConfig  # of the tree
    from pairbridge.training.data.mix_config import MixConfig  # of the tree
    from tests.support.tiny_dataset import TinyDataset, TinyRecipe  # of the tree

    assert Path(sys.modules[train.__module__].__file__).is_relative_to(tree)
    config = load_config(find_config("training", recipe), TrainingConfig)
    update = {"steps": steps, "checkpoint_every": steps, "threads": 1}
    if hasattr(config, "validation"):
        # Not a part of a step, and younger than some commits.
        update["validation"] = config.validation.model_copy(update={"every_images": None})
    config = config.model_copy(update=update)
    mix = MixConfig.model_validate(
        {"sources": [{"name": "pairs", "path": "run:dataset", "recipe": "relighting"}]}
    )
    torch.optim.AdamW.step = paced(torch.optim.AdamW.step)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        size = TinyRecipe(groups={"train": 64}, pairs_per_group=1, size_WH=(config.size, config.size))
        TinyDataset(recipes={"relighting": size}, groups_per_shard=16).write(root / "dataset")
        train(config, mix, root / "train", run_root=root)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3]))
