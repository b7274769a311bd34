"""Compositing against closed forms."""

import numpy as np
import pytest

from pairbridge.datagen.imaging.compositing import alpha_to_mask, over_linear, own_part


def test_over_is_exact_at_both_ends_and_premultiplied_between() -> None:
    colour, alpha = np.array([0.2, 0.5, 3.0], np.float32), np.array([0.0, 0.25, 1.0], np.float32)
    foreground = np.concatenate([colour * alpha[:, None], alpha[:, None]], axis=1)[None]
    background = np.full((1, 3, 3), 0.8, np.float32)
    composite = over_linear(foreground, background)
    assert composite[0, 0].tolist() == background[0, 0].tolist()
    assert composite[0, 2].tolist() == colour.tolist()
    assert composite[0, 1] == pytest.approx(0.25 * colour + 0.75 * 0.8)


def test_gain_scales_the_foreground_and_leaves_the_background() -> None:
    random = np.random.default_rng(2)
    foreground = random.random((4, 5, 4), np.float32)
    foreground[..., :3] *= foreground[..., 3:]
    gain = np.array([0.5, 1.0, 1.3], np.float32)
    dark = over_linear(foreground, np.zeros((4, 5, 3), np.float32), gain)
    assert dark == pytest.approx(foreground[..., :3] * gain)
    lit = over_linear(foreground, np.ones((4, 5, 3), np.float32), gain)
    assert lit - dark == pytest.approx(np.repeat(1 - foreground[..., 3:], 3, axis=2), abs=1e-6)


def test_the_part_of_objects_is_found_between_plain_colours_and_stays_within_the_picture() -> None:
    x = np.linspace(0, 1, 60, dtype=np.float32)
    # A soft edge, and a wire that fills no pixel.
    soft, wire = np.clip((x - 0.4) * 12, 0, 1), np.where(np.abs(x - 0.15) < 0.01, 0.5, 0)
    alpha = np.repeat((soft + wire)[None].astype(np.float32), 12, axis=0)
    objects, ground = np.array([0.9, 0.3, 0.1], np.float32), np.array([0.1, 0.2, 0.4], np.float32)
    truth = alpha[..., None] * objects
    picture = truth + (1 - alpha[..., None]) * ground
    found = own_part(picture, alpha)
    assert (found[alpha == 0] == 0).all()
    assert (found[alpha == 1] == picture[alpha == 1]).all()
    assert (found >= 0).all()
    assert (found <= picture).all()
    edge = alpha[0] * (x > 0.3) % 1 > 0
    assert found[:, edge] == pytest.approx(truth[:, edge], abs=0.01)
    # Nothing shows the wire alone: what is known of it is that the ground is not this bright.
    thin = wire > 0
    naive = np.abs(0.5 * picture[:, thin] - truth[:, thin]).mean()
    assert np.abs(found[:, thin] - truth[:, thin]).mean() < 0.8 * naive


def test_mask_rounds_alpha_to_the_nearest_level() -> None:
    assert alpha_to_mask(np.array([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 1.0, 1.2])).tolist() == [
        *(0, 0, 0, 1, 128, 255, 255)
    ]
