"""How far apart images are to an eye: CIELAB, LPIPS, and the features and distance of FID.

Hands out differentiable `lab.to_lab` and `lpips.Lpips`, `inception.inception_features` and
`frechet.FeatureMoments`. Published weights come from local files. Knows arrays and tensors alone: it must
not import data, networks or anything above them.
"""
