"""Widths and heights of many pictures: each size that there is once, and a small number a picture.

A dataset has few sizes, so what depends on a picture's size is worked out a size, not ten million times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class PictureSizes:
    """table: int32 (m, 2), width and height of each size, all different; codes: unsigned (n,), the row of the
    table that each picture has.
    """

    table: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, sizes_WH: np.ndarray) -> Self:
        """sizes_WH: int32 (n, 2), one a picture."""
        wide = sizes_WH.astype(np.int64)
        table, codes = np.unique(wide[:, 0] << 32 | wide[:, 1], return_inverse=True)
        both = np.stack([table >> 32, table & 0xFFFFFFFF], axis=1).astype(np.int32)
        return cls(both, codes.astype(code_type(len(both))))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after the other."""
        tables = [np.zeros((0, 2), np.int32), *(part.table for part in parts)]
        whole = cls.of(np.concatenate(tables))
        ends = np.cumsum([len(table) for table in tables])
        codes = [
            whole.codes[first:last][part.codes]
            for part, first, last in zip(parts, ends[:-1], ends[1:], strict=True)
        ]
        return cls(whole.table, np.concatenate([whole.codes[:0], *codes]))

    def at(self, positions: np.ndarray) -> Self:
        """Of the pictures at these positions alone, in their order; sizes that none of them has are gone."""
        used, codes = np.unique(self.codes[positions], return_inverse=True)
        return type(self)(self.table[used], codes.astype(code_type(len(used))))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int) -> np.ndarray:
        """int32 (2,): width and height of one picture."""
        return self.table[self.codes[index]]


def code_type(num_sizes: int) -> np.dtype:
    """The smallest unsigned type that numbers so many sizes."""
    return np.min_scalar_type(max(0, num_sizes - 1))
