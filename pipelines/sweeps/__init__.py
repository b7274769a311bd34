"""One run trained and evaluated over grids of hyperparameters, and the page of plots.

Hands out `load_sweep` and `execute_sweep`. It must not import `commands`.
"""
