"""What a group's plan costs, measured so that a busy machine judges it as an idle one does."""

import time
from collections.abc import Callable

from pairbridge.datagen.core.seeds import rng

_STREAMS = 25


def cost_in_streams(planned: Callable[[int], object], groups: int = 100) -> float:
    """How many random streams can be spawned in the time that a group takes, the median over `groups`.

    Others on the machine slow a plan and its yardstick alike, while a limit in milliseconds would judge them.
    """
    planned(0)
    parent, ratios = rng(0, "yardstick"), []
    for number in range(groups):
        took = min(_seconds(lambda at=number: planned(at)) for _ in range(3))
        spawned = min(_seconds(lambda: parent.spawn(_STREAMS)) for _ in range(3))
        ratios.append(took / spawned * _STREAMS)
    return sorted(ratios)[groups // 2]


def _seconds(run: Callable[[], object]) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start
