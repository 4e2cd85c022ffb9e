"""Films of episodes."""

import numpy as np
import pytest
from PIL import Image
from worlds import Line, Still, line

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


def test_a_film_is_of_the_episode_that_is_judged_also_where_global_streams_are_drawn_from(tmp_path):
    class Drawn(Line):
        def __init__(self, render_mode=None):
            super().__init__(length=6)

        def _seen(self):
            seen.append(np.random.random())
            return super()._seen()

        def render(self):
            return np.zeros((20, 20, 3), dtype=np.uint8)

    seen = []
    problem = Control(Drawn, own_streams=True, episodes=1)
    problem.judge(Still())
    judged, before = seen.copy(), repr(np.random.get_state())
    seen.clear()
    frames = film(problem, Still(), str(tmp_path / "drawn.gif"), every=2, width=16)
    assert len(frames) == 3
    assert seen == judged
    assert repr(np.random.get_state()) == before
