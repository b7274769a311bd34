"""A trained model on pairs that training never saw, beside baselines, with confidence intervals.

Hands out `evaluate.evaluate`, its `evaluation_config.EvaluationConfig`, the `metrics`, the registry of
`baselines` and the `Baseline` that a user can write. The top room of training: nothing there imports it.
"""
