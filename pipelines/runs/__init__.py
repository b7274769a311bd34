"""The whole job as one resumable command: generate, verify, train, evaluate, report.

Hands out `load_run`, `execute` and the stages that a sweep shares. It must not import `sweeps` or `commands`.
"""
