"""Cost estimates: hours, bytes and money of a dataset, from a few of its groups made and timed.

Hands out `measure` and `estimate_cost` (`pairbridge plan --cost`). It must not import `checks`, `runs` or
anything above them.
"""
