"""What workers, driver and committers can do together, as arithmetic: the model that `benchmarks.driver`
holds against real shards, and takes further than fits here.

Workers think for `group_s` and then wait for the driver, which takes all calls that have ended at one look
and then starts over: a closed system with one server that serves by the gate. A look costs `look_s`, and
`wait_s_per_worker` more for each call in flight; a group costs `driver_s`. Committers stand beside that and
do not hold up anybody until they fall behind; then they are what counts.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Processor seconds."""

    driver_s: float  # of the driver, a group, Ray included
    look_s: float  # of the driver, each time it looks
    wait_s_per_worker: float  # of the driver, each time it looks, for each call in flight
    committer_s: float  # of a committer, a group


class Predicted(NamedTuple):
    """Of a run in its middle."""

    groups_per_s: float
    driver_busy: float
    limit: str  # workers, driver, committers


def predict(costs: Costs, workers: int, group_s: float, committers: int) -> Predicted:
    """Groups a second, and what keeps them from being more."""
    look_s = costs.look_s + costs.wait_s_per_worker * workers
    # Rate x and the time that a group waits for the driver depend on each other; x is where both agree.
    low, high = 0.0, min(workers / group_s, 1 / costs.driver_s)
    for _ in range(60):
        rate = (low + high) / 2
        waits_s = (look_s + costs.driver_s) / (1 - rate * costs.driver_s)
        low, high = (rate, high) if workers / (group_s + waits_s) > rate else (low, rate)
    most = committers / costs.committer_s
    rate = min(low, most)
    looks_per_s = min(rate, (1 - rate * costs.driver_s) / look_s)
    busy = min(1.0, rate * costs.driver_s + looks_per_s * look_s)
    if most < low:
        return Predicted(rate, busy, "committers")
    return Predicted(rate, busy, "workers" if rate > 0.9 * workers / group_s else "driver")


def fitted_costs(
    seen: list[tuple[float, float]], call_s: float, wait_s_per_worker: float, committer_s: float
) -> Costs:
    """Of runs with (groups for each look, the driver's own processor seconds a group): what depends on the
    look, and what does not. `call_s` is Ray's part of a group.
    """
    rows = np.array([[1.0, 1 / groups_per_look] for groups_per_look, _ in seen])
    (driver_s, look_s), *_ = np.linalg.lstsq(rows, np.array([each for _, each in seen]), rcond=None)
    return Costs(
        driver_s=float(driver_s) + call_s,
        look_s=float(look_s),
        wait_s_per_worker=wait_s_per_worker,
        committer_s=committer_s,
    )
