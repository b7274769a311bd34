"""Learned models and what stands in for them: `matting` cuts foregrounds out, `relighting` lights them anew.

`weights` says which files there are and whether they may be used. torch is imported when a learned model is
opened, not before. Imports the rooms up to `imaging`; knows no recipe.
"""
