"""Which source the n-th sample comes from: chairman assignment, exact at every prefix and without state.

R. Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980): with k sources of weights w_i
and c_i(n) draws from source i among the first n,

    |c_i(n) - n w_i| <= 1 - 1/(2k - 2) < 1        for every source and every n,

which is the best possible. Here in integers: w_i = P_i / T in lowest terms, and after T draws all is even
again, so that one period of T draws, as a table, answers every n.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property, reduce
from math import gcd, lcm

import numpy as np

from pairbridge.datagen.core.errors import ConfigError

# The table of one period: 0.1 s to build and 8 bytes a source and draw.
MAX_PERIOD = 100_000


class Schedule:
    """The infinite sequence of sources for weights in lowest terms. Immutable; equal weights give equal
    schedules.
    """

    def __init__(self, weights: Sequence[float | int | str | Fraction]) -> None:
        """weights: positive, any scale; taken as the decimals they are written with, so 0.1 is one tenth.

        Raises ConfigError if one is not positive, or if they need a period above MAX_PERIOD.
        """
        shares = [weight if isinstance(weight, Fraction) else Fraction(str(weight)) for weight in weights]
        if not shares or min(shares) <= 0:
            raise ConfigError(
                f"weights {[str(weight) for weight in weights]} are not all positive",
                consequence="a source without weight would never be drawn",
                remedy="give every source a weight above 0, or remove it from the mix",
            )
        scale = lcm(*(share.denominator for share in shares))
        whole = [int(share * scale) for share in shares]
        divisor = reduce(gcd, whole)
        self.parts: tuple[int, ...] = tuple(part // divisor for part in whole)
        self.period = sum(self.parts)
        if self.period > MAX_PERIOD:
            raise ConfigError(
                f"weights {[str(weight) for weight in weights]} repeat only after {self.period} samples",
                consequence=f"schedules are kept up to a period of {MAX_PERIOD}; rounding would be silent",
                remedy="write the weights with fewer decimals",
            )

    @property
    def shares(self) -> tuple[Fraction, ...]:
        return tuple(Fraction(part, self.period) for part in self.parts)

    @cached_property
    def sequence(self) -> np.ndarray:
        """int64 (T,): the source of each draw of one period."""
        return np.array(_one_period(self.parts), dtype=np.int64)

    @cached_property
    def _prefix(self) -> np.ndarray:
        """int64 (T + 1, k): draws per source after n < T + 1 draws."""
        table = np.zeros((self.period + 1, len(self.parts)), dtype=np.int64)
        table[np.arange(1, self.period + 1), self.sequence] = 1
        return table.cumsum(axis=0, out=table)

    def counts(self, n: int) -> np.ndarray:
        """int64 (k,): draws per source among the first n; within 1 - 1/(2k-2) of n times its share."""
        periods, rest = divmod(n, self.period)
        return periods * np.array(self.parts, dtype=np.int64) + self._prefix[rest]


def _one_period(parts: tuple[int, ...]) -> list[int]:
    """The chairman's choice at n = 1..T.

    With m = 2k - 2 and c draws so far, source i is eligible once its deficit D = m (P n - c T) reaches T,
    that is at n >= T (1 + m c) / (m P), and of the eligible the one whose deficit would break the bound first
    is chosen, that is the smallest T (m - 1 + m c) / P; ties go to the smaller i. Both thresholds depend on c
    alone.
    """
    if len(parts) == 1:
        return [0]
    m = 2 * len(parts) - 2
    period = sum(parts)
    sources = range(len(parts))
    drawn = [0] * len(parts)
    deadline = [m - 1] * len(parts)  # in units of T / P_i
    opens = [-(-period // (m * part)) for part in parts]
    sequence = []
    for n in range(1, period + 1):
        chosen = -1
        for i in sources:
            if opens[i] <= n and (chosen < 0 or deadline[i] * parts[chosen] < deadline[chosen] * parts[i]):
                chosen = i
        sequence.append(chosen)
        drawn[chosen] += 1
        deadline[chosen] += m
        opens[chosen] = -(-period * (1 + m * drawn[chosen]) // (m * parts[chosen]))
    return sequence
