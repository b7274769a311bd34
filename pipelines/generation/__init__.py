"""From a dataset's config to its committed shards: opening a plan, running it, previewing and watching it.

Hands out `generate`, `open_plan`, `preview` and `Watched`. It must not import `costing`, `checks`, `runs` or
anything above them.
"""
