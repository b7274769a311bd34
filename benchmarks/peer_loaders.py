"""Loaders of others over this project's shards, as a good engineer would write them.

Knows nothing of this project, so that it runs in an environment of the peer's own:
`python peer_loaders.py NAME DATASET WORKERS BATCH`, see `serve`.

webdataset float    decoded and made float32 in the loader's processes, no copy to change the order of axes
webdataset uint8    whole numbers across processes; who takes the batch makes floats (a GPU, if there is one)
webdataset libspng  the same, pictures decoded by pyspng (libspng)
energon uint8       megatron-energon over `pairbridge export --to energon`, whole numbers as above

A batch has `keys`, `source` and `target` (B, H, W, 3), `mask` (B, H, W), and the text of each meta.json.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch

IMAGES = ("source", "target", "mask")
Decode = Callable[[bytes], np.ndarray]


def by_opencv(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def decoded(sample: dict, decode: Decode) -> dict:
    images = {name: torch.from_numpy(decode(sample[f"{name}.png"])) for name in IMAGES}
    return {"key": sample["__key__"], "meta": json.loads(sample["meta.json"]), **images}


def batch_of(samples: list[dict]) -> dict:
    # torch's own collation: in a loader's process it stacks into shared memory at once.
    images = {name: torch.utils.data.default_collate([sample[name] for sample in samples]) for name in IMAGES}
    return {
        "keys": [sample["key"] for sample in samples],
        "meta": [sample["meta"] for sample in samples],
        **images,
    }


def floats(batch: dict) -> dict:
    """What a network is given: float32 (B, C, H, W), channels last in memory."""
    pictures = {name: batch[name].permute(0, 3, 1, 2).float().div_(127.5).sub_(1) for name in IMAGES[:2]}
    return {**batch, **pictures, "mask": batch["mask"][:, None].float().div_(255)}


def webdataset_batches(
    dataset: Path, workers: int, batch: int, decode: Decode, in_workers: Callable[[dict], dict] | None = None
) -> Iterator[dict]:
    # Here: each peer is in an environment of its own.
    import webdataset as wds

    shards = [str(path) for path in sorted((dataset / "shards").glob("train-*.tar"))]
    # Workers take whole shards; resampled, every worker has some and the stream has no end.
    data = wds.WebDataset(shards, resampled=True, shardshuffle=False, empty_check=False)
    data = data.map(lambda sample: decoded(sample, decode))
    data = data.batched(batch, collation_fn=batch_of, partial=False)
    if in_workers:
        data = data.map(in_workers)
    return iter(wds.WebLoader(data, batch_size=None, num_workers=workers))


def webdataset_float(dataset: Path, workers: int, batch: int) -> Iterator[dict]:
    return webdataset_batches(dataset, workers, batch, by_opencv, floats)


def webdataset_uint8(dataset: Path, workers: int, batch: int) -> Iterator[dict]:
    return webdataset_batches(dataset, workers, batch, by_opencv)


def webdataset_libspng(dataset: Path, workers: int, batch: int) -> Iterator[dict]:
    # Here: as above.
    import pyspng

    return webdataset_batches(dataset, workers, batch, pyspng.load)


def energon_uint8(dataset: Path, workers: int, batch: int) -> Iterator[dict]:
    # Here: as above.
    from megatron import energon

    @energon.edataclass
    class Decoded(energon.Sample):
        fields: dict

    @energon.stateless
    def cook(sample: dict) -> Decoded:
        return Decoded(**energon.basic_sample_keys(sample), fields=decoded(sample, by_opencv))

    class Task(energon.DefaultTaskEncoder):
        decoder = None
        cookers = (energon.Cooker(cook),)

        def batch(self, samples: list[Decoded]) -> dict:
            return batch_of([sample.fields for sample in samples])

    pairs = energon.get_train_dataset(
        dataset.parent / "energon" / "relighting",
        worker_config=energon.WorkerConfig(rank=0, world_size=1, num_workers=workers),
        batch_size=batch,
        shuffle_buffer_size=None,
        max_samples_per_sequence=None,
        task_encoder=Task(),
    )
    return iter(energon.get_loader(pairs))


def serve(batches: Iterator[dict], ready: Callable[[dict], dict]) -> None:
    """Answers lines on stdin with lines of JSON.

    `digests N`: sha256 of the floats of each pair of N batches, by key. `time N`: seconds of N batches as
    they are handed over, of the clock and of all processors.
    """
    print("{}", flush=True)
    for line in sys.stdin:
        what, count = line.split()
        if what == "digests":
            answer: dict = {}
            for batch in islice(batches, int(count)):
                whole = ready(batch)
                for row, key in enumerate(batch["keys"]):
                    parts = [whole[name][row].contiguous().numpy().tobytes() for name in IMAGES]
                    answer[key.rpartition("/")[2]] = hashlib.sha256(b"".join(parts)).hexdigest()
        else:
            # What was fetched ahead while others had their turn.
            for _ in range(8):
                next(batches)
            before = clocks()
            for _ in range(int(count)):
                next(batches)
            seconds, cpu_s = (now - then for now, then in zip(clocks(), before, strict=True))
            answer = {"seconds": seconds, "cpu_s": cpu_s}
        print(json.dumps(answer), flush=True)


def clocks() -> tuple[float, float]:
    """Seconds of the clock, and of the processor in this process and those that it started."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return time.perf_counter(), sum(each.user + each.system for each in times)


PEERS = {
    "webdataset float": webdataset_float,
    "webdataset uint8": webdataset_uint8,
    "webdataset libspng": webdataset_libspng,
    "energon uint8": energon_uint8,
}


def main() -> None:
    name, dataset, workers, batch = sys.argv[1:5]
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    batches = PEERS[name](Path(dataset), int(workers), int(batch))
    serve(batches, (lambda batch: batch) if name == "webdataset float" else floats)


if __name__ == "__main__":
    main()
