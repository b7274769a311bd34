"""Examinations before a dataset is made: the machine, the user's assets, matting models and relighters.

Hands out `examine` (doctor), `check_assets` and `calibrate`, with their reports. It must not import `runs`
or anything above it.
"""
