"""Which machines of a cluster can do something that depends on where they are: each is asked once, by a call
that takes no core, when it has joined.
"""

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

# A machine answers within seconds, under load within half a minute; a later answer counts when it comes.
ANSWER_S = 60.0


class NodeSight:
    """The machines of which a question is true."""

    def __init__(self, question: Callable[..., bool], *arguments: Any, but: str = "") -> None:
        """The function is called in a process of the machine; that it raises means no. `but`: the machine
        that is not asked, by Ray's name.
        """
        # Asked once: where it cannot be asked, nothing should be placed.
        self._ask = ray.remote(num_cpus=0, max_retries=0)(question)
        self._arguments = arguments
        self._known = {but}
        self._asked: dict[Any, tuple[str, float]] = {}  # call -> machine, since when
        self._seeing: set[str] = set()
        self.settled = True
        """No machine that has just joined is still to answer."""

    def look(self) -> list[str]:
        """Ray's names of those that have said yes and live, sorted. Asks those that have joined since."""
        now = time.monotonic()
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        for node in alive - self._known:
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            self._asked[self._ask.options(scheduling_strategy=there).remote(*self._arguments)] = node, now
        self._known |= alive
        calls = list(self._asked)
        for call in ray.wait(calls, num_returns=len(calls), timeout=0)[0] if calls else []:
            node, _ = self._asked.pop(call)
            if _says_yes(call):
                self._seeing.add(node)
        self.settled = all(now - since_s > ANSWER_S for _, since_s in self._asked.values())
        return sorted(self._seeing & alive)

    def refuse(self, node: str) -> None:
        """It said yes, and was found wanting: it does not count any more."""
        self._seeing.discard(node)


def _says_yes(call: Any) -> bool:
    try:
        return bool(ray.get(call, timeout=0))
    except RayError:
        return False
