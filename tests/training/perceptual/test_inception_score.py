"""The inception score in closed form, and against torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.image.inception import InceptionScore

from pairbridge.training.perceptual.inception_score import ClassProbabilities

# Far enough apart that a softmax is 0 and 1.
SURE = 1000.0


def score(*batches: np.ndarray) -> float:
    found = ClassProbabilities()
    for logits in batches:
        found.add(logits)
    return found.score


def test_images_that_look_alike_to_the_classifier_score_one() -> None:
    assert score(np.zeros((6, 5))) == pytest.approx(1)
    # However sure it is: one class alone.
    assert score(SURE * np.eye(5)[[2, 2, 2]]) == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 5, 1008])
def test_classes_that_are_equally_many_and_certain_score_their_number(classes: int) -> None:
    certain = SURE * np.eye(classes)
    assert score(certain, certain) == pytest.approx(classes)


def test_two_images_of_known_probabilities() -> None:
    """p = (.9, .1) and (.1, .9): mean (.5, .5), IS = exp(log 2 + .9 log .9 + .1 log .1)."""
    p = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert score(np.log(p)) == pytest.approx(2 * 0.9**0.9 * 0.1**0.1)


def test_batches_add_up_and_torchmetrics_agrees() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (40, 12))
    found = score(*np.array_split(logits, 3))
    assert found == pytest.approx(score(logits))
    theirs = InceptionScore(feature=torch.nn.Identity(), splits=1)
    theirs.update(torch.from_numpy(logits))
    assert found == pytest.approx(float(theirs.compute()[0]), rel=1e-6)


def test_an_empty_set_has_none() -> None:
    with pytest.raises(ValueError, match="empty set"):
        _ = ClassProbabilities().score
