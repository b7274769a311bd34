"""A trained bridge as a folder that stands alone, in diffusers' layout.

Hands out `pipeline.LatentBridgePipeline`, `published_folders.write_published` and `load_published`, and
`onnx_export.export_onnx`. Must not import distillation, guidance or evaluation.
"""
