"""What runs any training here: from its newest checkpoint to its last step, alone or over ranks.

Hands out `engine_run.run` and the `Method` that it runs, `learner.Learner` (a network, its optimiser and its
EMA), `engine_config.EngineConfig`, `checkpoint`, and the log of a run (`telemetry`, `run_log`). What a step
does is the method's business: this room must not import bridges, networks or losses, nor of data more than
batches, their loader and ranks.
"""
