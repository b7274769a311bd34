"""What a dataset will take: a few of its groups are made and timed, and the rest is arithmetic.

Hands out `measure` and `estimate_cost` (`pairbridge plan --cost`). It must not import `checks`, `runs` or
anything above them.
"""
