"""Films of episodes."""

import numpy as np
import pytest
from PIL import Image
from worlds import Still, line

import feasible
from feasible.policies import Control, film
from feasible.policies.answers import network_policy


def test_an_episode_becomes_an_animated_image_with_a_frame_every_few_steps(tmp_path):
    pytest.importorskip("pygame")
    problem = Control("CartPole-v1")
    layers = [(np.array([[0.0, 0, -1, -1], [0.0, 0, 1, 1]]), np.zeros(2))]  # towards its fall
    policy = network_policy(problem.spaces, "categorical", layers, "tanh")
    frames = film(problem, policy, str(tmp_path / "cart.gif"), steps=40, every=4, width=60)
    assert frames.shape == (10, 40, 60, 3)
    assert (frames[0] != frames[-1]).any()
    with Image.open(tmp_path / "cart.gif") as image:
        assert image.n_frames == 10


def test_an_environment_without_pictures_is_refused(tmp_path):
    with pytest.raises(feasible.errors.ArgumentError, match="'line' draws no frames"):
        film(line(), Still(), str(tmp_path / "line.gif"))
