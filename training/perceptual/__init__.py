"""How far apart images are to an eye: CIELAB, LPIPS, the features and distance of FID, the inception score;
whether a classifier recognises them; and how far what fills a hole is from what surrounds it.

Hands out differentiable `lab.to_lab` and `lpips.Lpips`, `inception.inception_features`,
`frechet.FeatureMoments`, `inception_score.ClassProbabilities`, `image_classifier.ImageClassifier` and
`context_deviation.ContextDeviation`. Published weights come from local files.
Knows arrays and tensors alone: it must not import data, networks or anything above them.
"""
