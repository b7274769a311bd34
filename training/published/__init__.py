"""A trained bridge as a folder that stands alone, in diffusers' layout.

Hands out `pipeline.LatentBridgePipeline` and `load_published`. Must not import distillation, guidance or
evaluation.
"""
