"""The size of a bucket, the same where datasets draw their sizes and where trainings batch them."""

import math


def bucket_size_WH(side: int, ratio: float, multiple: int) -> tuple[int, int]:
    """(width, height) of about `side`² pixels and the aspect `ratio`; both are multiples of `multiple`."""
    stretch = math.sqrt(ratio)
    width, height = (
        max(1, round(length / multiple)) * multiple for length in (side * stretch, side / stretch)
    )
    return width, height
