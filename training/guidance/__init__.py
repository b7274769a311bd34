"""Edits of images by gradients of losses, along the path of a trained bridge, a flow or a diffusion model.

Hands out `guide_config.GuideConfig`, `guided_images.edit_images`, its paths (`translation_path`,
`LatentDiffusion`), and the `edit_losses.EditTerm` that a user can write. `guidance_equations` is the method,
on any model that is three callables. Must not import distillation, published models or evaluation.
"""
