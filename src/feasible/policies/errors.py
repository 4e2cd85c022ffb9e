"""What goes wrong with an environment, as errors that say which copy and which step."""

from __future__ import annotations

from ..core.errors import EvaluationFailed


class EnvironmentFailed(EvaluationFailed):
    """An environment raised, returned what no environment may, took too long, or its process died.

    Its message names the environment, the copy, the episode and the step.
    """


class NotANumber(EnvironmentFailed, FloatingPointError):
    """An observation, a reward or a cost was NaN or infinite."""


class ReplayWarning(UserWarning):
    """An environment that was reset with the same seed and given the same actions is somewhere
    else: the resumed run begins a new episode there, and is not the uninterrupted one.
    """
