"""Training of a bridge, and the model that it leads to.

Hands out `loop.train` with its `training_config.TrainingConfig`, and `translation_model.TranslationModel`,
which opens a checkpoint and translates images. Between them: `objective` (from a batch to its loss),
`losses`, `watch` (pictures while it trains) and `latent_encoding` (latents made once). `class_learner` trains
a classifier of a flow's points by the same loop, `class_guide` opens it. Must not import distillation,
guidance, published models or evaluation.
"""
