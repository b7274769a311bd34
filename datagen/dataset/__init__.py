"""A dataset as a whole: its config, its plan, redraws, `dataset.json`, extension, verification, dataset
cards.

Hands out `DatasetConfig`, `make_plan`, `make_group` and `verify_dataset`. Imports `recipes` and all below;
never `imports`, `exports` or Ray.
"""
