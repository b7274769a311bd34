"""Checkpoints that are written while the training goes on."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from torch import Tensor
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.tensor import DTensor

from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine.checkpoint import CheckpointState, write_checkpoint
from pairbridge.training.engine.run_folder import RunFolder
from pairbridge.training.engine.run_log import LogPoint

Tensors = Mapping[str, Mapping[str, Tensor]]


class CheckpointWriter:
    """One checkpoint at a time: a copy on the host at once, the files in a thread.

    Not `dcp.async_save`, whose future ends where the files are: manifest and rename, which make them a
    checkpoint, belong to what happens behind the training's back. The thread talks to those of other ranks in
    a group of its own.
    """

    def __init__(self, folder: RunFolder, keep: int) -> None:
        """Collective."""
        self._folder, self._keep = folder, keep
        self._root = folder.path / "checkpoints"
        self._ranks = folder.ranks.apart()
        # Its memory is kept for the next copy.
        self._stager = DefaultStager(StagingOptions(False, False, False, False))
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[Path] | None = None

    def write(self, state: CheckpointState, tensors: Tensors, logs: Mapping[str, LogPoint]) -> None:
        """Begin to write a checkpoint of `tensors` as they are now, in any layout; `state` and `logs` are the
        first rank's. Waits for the one before, and raises what that raised. Collective.
        """
        self.wait()
        copy = self._stager.stage({kind: own_part(of, self._ranks) for kind, of in tensors.items()})
        self._writing = self._thread.submit(self._write, state, copy, logs)

    def wait(self) -> None:
        """Until the last one is on disk. Raises what kept it from there: OSError, OutputMoved."""
        if self._writing:
            writing, self._writing = self._writing, None
            writing.result()

    def close(self) -> None:
        """Lets one that is being written end; what becomes of it is not said."""
        self._thread.shutdown()
        self._stager.close()

    def _write(self, state: CheckpointState, tensors: Tensors, logs: Mapping[str, LogPoint]) -> Path:
        return write_checkpoint(
            self._root,
            state,
            tensors,
            keep=self._keep,
            logs=logs,
            ranks=self._ranks,
            check_place=self._folder.check_place,
        )


def own_part(tensors: Mapping[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    """What this rank writes: its shards, and of tensors that every rank has whole an equal share, of which
    no other rank takes a copy.
    """
    shares, own = [0] * ranks.world, {}
    for name, tensor in tensors.items():
        if isinstance(tensor, DTensor):
            own[name] = tensor
            continue
        least = shares.index(min(shares))
        shares[least] += tensor.nbytes
        if least == ranks.rank:
            own[name] = tensor
    return own
