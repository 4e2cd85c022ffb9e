"""Films of episodes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import real, shown, whole
from ..core.errors import ArgumentError
from ..core.extras import named
from .control import JUDGE, Control, maker
from .copies import episode_seed
from .decisions import check_policy
from .errors import EnvironmentFailed

if TYPE_CHECKING:
    from jaxtyping import UInt8


@checked
def film(
    problem: Control,
    policy: Any,
    path: str,
    steps: int = 200,
    every: int = 4,
    width: int = 240,
    fps: float = 12.0,
    episode: int = 0,
) -> UInt8[np.ndarray, "f h w 3"]:
    """Play one of the judge's episodes and write it as an animated image; nothing is charged.

    Args:
        problem: The environment, whose maker takes `render_mode`.
        policy: With `act(obs, rng)`; its most likely actions are played.
        path: The file, such as "episode.gif".
        steps: Of the episode at most.
        every: Steps between two frames.
        width: Of the image, in pixels.
        fps: Frames a second.
        episode: Which of the judge's.

    Returns:
        The frames.

    Raises:
        ArgumentError: The environment draws no frames, or the file cannot be written.
        EnvironmentFailed: The environment raised, or returned what it must not.
    """
    whole("steps", steps, least=1, most=100_000)
    whole("every", every, least=1)
    whole("width", width, least=16, most=4096)
    whole("episode", episode, least=0)
    real("fps", fps, above=0, most=50)
    check_policy(policy, problem.spaces)
    with named("film", "environments"):
        from PIL import Image
    options = {**problem.options, "render_mode": "rgb_array"}
    try:
        place = replace(problem.world, make=maker(problem.env, options)).here()
    except (ArgumentError, EnvironmentFailed) as error:
        raise ArgumentError(f"problem: '{problem.name}' draws no frames ({error})") from error
    frames = []
    try:
        obs = place.reset(episode_seed(JUDGE, 0, episode), f"the judge's episode {episode}")
        for step in range(steps):
            if step % every == 0:
                drawn = place.env.render()
                if not isinstance(drawn, np.ndarray):
                    raise ArgumentError(f"problem: '{problem.name}' draws no frames")
                image = Image.fromarray(drawn)
                frames.append(image.resize((width, round(width * image.height / image.width))))
            row = problem.spaces.rows([policy.act(obs, None)])[0]
            obs, _, terminated, truncated, _ = place.move(row)
            if terminated or truncated:
                break
    finally:
        place.close()
    small = [frame.convert("P", palette=Image.Palette.ADAPTIVE, colors=32) for frame in frames]
    rate = round(1000 / fps)
    try:
        small[0].save(path, save_all=True, append_images=small[1:], duration=rate, loop=0)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"path={shown(path)}: {error}") from error
    return np.stack([np.asarray(frame) for frame in frames])
