"""The memory estimate of a training, as a table on a terminal."""

from pairbridge.pipelines.commands.tables import new_console, new_table
from pairbridge.training.bridge_training.memory_estimate import (
    FRAGMENTATION,
    GIB,
    OUTSIDE_TORCH,
    MemoryEstimate,
    advice,
    estimate_memory,
)
from pairbridge.training.bridge_training.training_config import TrainingConfig


def show_memory(config: TrainingConfig, gpus: int | None, gpu_memory_gib: float | None) -> None:
    """What `pairbridge train --dry-run` prints; None: as the config's `hardware` says."""
    hardware = config.hardware
    gpus = gpus or (hardware.gpus if hardware else 1)
    gpu_memory_gib = gpu_memory_gib or (hardware.gpu_memory_gib if hardware else None)
    estimate = estimate_memory(config, gpus)
    out = new_console()
    out.print(_table(estimate))
    bucket = estimate.bucket
    width, height = bucket.size_WH
    share = f"{bucket.batch_size // gpus} images a GPU of {width}x{height} in {config.accumulate} parts"
    out.print(f"largest bucket: {share}; estimated, never run")
    if estimate.host:
        out.print(f"host memory: {estimate.host / GIB:.2f} GiB a rank, beside the data loader's")
    if gpu_memory_gib is None:
        return
    if estimate.peak <= gpu_memory_gib * GIB:
        out.print(f"fits {gpus} x {gpu_memory_gib:g} GiB")
        return
    out.print(f"does not fit {gpus} x {gpu_memory_gib:g} GiB. Change, in this order:")
    for line in advice(config, estimate, gpu_memory_gib * GIB):
        out.print(f"- {line}")


def _table(estimate: MemoryEstimate):
    table = new_table("memory per GPU", "GiB")
    rows = {
        "parameters": estimate.parameters,
        "gradients": estimate.gradients,
        "optimiser": estimate.optimiser,
        "average (EMA)": estimate.average,
        "frozen networks": estimate.frozen,
        "gathered weights": estimate.gathered,
        "activations, with the gradients beside them": estimate.passing,
        f"allocator's loss (assumed, {FRAGMENTATION:.0%})": round(estimate.tensors * FRAGMENTATION),
        "CUDA context and workspaces (assumed)": OUTSIDE_TORCH,
        "peak": estimate.peak,
    }
    for name, size in rows.items():
        table.add_row(name, f"{size / GIB:.2f}")
    return table
