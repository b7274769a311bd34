"""What a run keeps on disk or on an object store, and how it stays whole: lock, ledger, staging, shards.

Hands out `Ledger`, `Staging`, `open_shelf` and scratch folders. It imports no Ray and no
room of pipelines above `attempts`.
"""
