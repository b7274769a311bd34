"""A student that samples in one or a few steps what a trained bridge samples in many (IBMD).

Hands out `distillation_loop.distil` with its `distillation_config.DistillationConfig`; a student's checkpoint
is a model like any other. `distillation_equations` can be held beside the paper. Must not import guidance,
published models or evaluation.
"""
