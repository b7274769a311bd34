"""How samples lie on disk: their fields, tars, sidecar records, the layout of streams, a shard's commit.

Hands out `Pair`, `Stream`, `ShardSpec` and `GroupSpec`, writing (`commit`) and reading (`reader`, also from
an object store). Knows neither recipes nor what a dataset was configured as; imports `core` alone.
"""
