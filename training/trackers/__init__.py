"""Where a training is watched from outside: TensorBoard, Weights & Biases, MLflow.

Hands out `tracker.Tracker` and `tracker_choice.start_trackers`, which makes one of all that a config names.
It sees numbers, pictures and JSON alone: it must not import what is trained, nor the engine.
"""
