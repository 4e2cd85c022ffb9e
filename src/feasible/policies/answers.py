"""Policies as plain data: networks, tables, and fronts of them. Each acts by `act(obs, rng)`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checkpoint import decode_as, encode
from ..core.checks import floats, one_of, real, shown, whole
from ..core.errors import ArgumentError, ArgumentTypeError, CheckpointError, Infeasible, ShapeError
from .spaces import Spaces

if TYPE_CHECKING:
    from jaxtyping import Float

ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}
LOG_STD = (-20.0, 2.0)
"""Range of the log of a squashed Gaussian's standard deviation."""


@dataclass(frozen=True)
class NetworkPolicy:
    """A fully connected network, its normaliser and what its outputs mean.

    Attributes:
        kind: "categorical" (outputs are logits), "gaussian" (means, with `log_std`, clipped to the
            bounds), or "squashed" (means and logs of standard deviations, of a Gaussian before a
            tanh that is stretched to the bounds).
        weights: (out, in) of each layer.
        biases: (out,) of each layer.
        activation: "tanh" or "relu", between layers.
        log_std: (a,) of a "gaussian", else empty.
        mean: (d,) subtracted from observations; empty for none.
        scale: (d,) by which they are divided then.
        clip: What is left is cut to this size.
        said: The spaces, as plain data.
    """

    kind: str
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    activation: str
    log_std: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    clip: float
    said: dict[str, Any]

    @property
    def spaces(self) -> Spaces:
        """What it was made for."""
        return Spaces(**self.said)

    def outputs(self, obs: Any) -> Float[np.ndarray, "n k"]:
        """The network's outputs.

        Args:
            obs: (n, *shape) observations.
        """
        x = self.spaces.encoded(obs)
        if self.mean.size:
            x = np.clip((x - self.mean) / self.scale, -self.clip, self.clip).astype(np.float32)
        between = ACTIVATIONS[self.activation]
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = between(x @ W.T + b)
        return x @ self.weights[-1].T + self.biases[-1]

    def act(self, obs: Any, rng: np.random.Generator | None = None) -> Any:
        """The action for one observation, as the environment takes it.

        Args:
            obs: One observation.
            rng: Draws the action; None for the most likely one (of a squashed Gaussian, the image
                of the mean).
        """
        row = self.acts(np.asarray(obs)[None], rng)[0]
        return self.spaces.native(row)

    def acts(self, obs: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Actions for several observations, as `Copies.step` takes them; numbers count from 0.

        Args:
            obs: (n, *shape) observations.
            rng: As for `act`.
        """
        spaces, out = self.spaces, self.outputs(obs)
        if self.kind == "categorical":
            if rng is not None:
                out = out + rng.gumbel(size=out.shape)  # the largest is a draw of softmax
            return out.argmax(axis=1)[:, None]
        if self.kind == "gaussian":
            if rng is not None:
                out = out + np.exp(self.log_std) * rng.standard_normal(out.shape)
            return spaces.clipped(out)
        mean, log_std = np.split(out, 2, axis=1)
        if rng is not None:
            mean = mean + np.exp(np.clip(log_std, *LOG_STD)) * rng.standard_normal(mean.shape)
        low, high = spaces.bounds
        return spaces.clipped(low + 0.5 * (np.tanh(mean) + 1) * (high - low))

    def save(self, path: str) -> None:
        """Write it as safetensors, with the rest as JSON in the header."""
        write_policy(self, path)

    @classmethod
    def load(cls, path: str) -> NetworkPolicy:
        """Read what `save` wrote. Raises ArgumentError."""
        found = read_policy(path)
        if not isinstance(found, cls):
            raise ArgumentError(f"path={shown(path)}: a {type(found).__name__}, no network")
        return found


@dataclass(frozen=True)
class TablePolicy:
    """The probability of each action in each state.

    Attributes:
        probabilities: (S, A), or (H, S, A) where it depends on the step of the episode.
        first_state: Number of the first state.
        first_action: Number of the first action.
    """

    probabilities: np.ndarray
    first_state: int = 0
    first_action: int = 0

    def act(self, obs: Any, rng: np.random.Generator | None = None, step: int = 0) -> int:
        """The action in a state.

        Args:
            obs: The state.
            rng: Draws the action; None for the most likely one.
            step: Of the episode, where it matters.
        """
        table = self.probabilities
        row = table[int(obs) - self.first_state] if table.ndim == 2 else table[step, int(obs)]
        if rng is None:
            return int(row.argmax()) + self.first_action
        drawn = int(np.searchsorted(np.cumsum(row), rng.random() * row.sum(), side="right"))
        return min(drawn, len(row) - 1) + self.first_action


@dataclass(frozen=True)
class PolicyFront:
    """Policies for several rewards at once.

    Attributes:
        members: Of each policy its fields by name.
        returns: (n, m) what the method measured of them; the judge measures anew.
    """

    members: list[dict[str, Any]]
    returns: np.ndarray

    @classmethod
    def of(cls, policies: Sequence[NetworkPolicy | TablePolicy], returns: Any) -> PolicyFront:
        """A front of policies with their measured returns.

        Args:
            policies: The policies.
            returns: (n, m).

        Raises:
            ShapeError: Not one row of returns for each policy.
        """
        rows = np.asarray(returns, dtype=float)
        if rows.ndim != 2 or len(rows) != len(policies):
            raise ShapeError(
                f"returns has shape {rows.shape}, expected ({len(policies)}, m), a row for each "
                "policy"
            )
        return cls([{f.name: getattr(p, f.name) for f in fields(p)} for p in policies], rows)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def policies(self) -> list[NetworkPolicy | TablePolicy]:
        """Its policies."""
        return [self._at(i) for i in range(len(self))]

    def policy_for(self, weights: Any) -> NetworkPolicy | TablePolicy:
        """The policy of the largest weighted sum of measured returns.

        Args:
            weights: (m,) of the rewards.

        Raises:
            ShapeError: Not a weight for each reward.
            ArgumentError: Weights below 0, whose sum is not 1, or an empty front.
        """
        w = floats("weights", weights)
        if w.shape != self.returns.shape[1:]:
            raise ShapeError(
                f"weights has shape {w.shape}, expected {self.returns.shape[1:]}, one a reward"
            )
        if not (w >= 0).all() or abs(float(w.sum()) - 1.0) > 1e-6:
            raise ArgumentError(f"weights={w.tolist()}: expected numbers >= 0 whose sum is 1")
        return self._at(int((self._measured() @ w).argmax()))

    def policy_within(
        self, maximise: int, at_least: Mapping[int, float]
    ) -> NetworkPolicy | TablePolicy:
        """The policy of the largest measured return of one reward among those that keep others.

        Args:
            maximise: Number of the reward, from 0.
            at_least: Number of a reward -> least return.

        Raises:
            ArgumentError: There is no such reward, or the front is empty.
            ArgumentTypeError: at_least is no mapping.
            Infeasible: No policy keeps all of them; says how near the nearest comes.
        """
        m = self.returns.shape[1]
        whole("maximise", maximise, least=0, most=m - 1)
        rows = self._measured()
        lacking = np.zeros(len(rows))
        if not isinstance(at_least, Mapping):
            raise ArgumentTypeError(
                f"at_least={shown(at_least)}: expected a mapping from a reward's number"
            )
        for j, least in at_least.items():
            j = whole("at_least", j, least=0, most=m - 1, note=", the number of a reward")
            short = real(f"at_least[{j}]", least) - rows[:, j]
            lacking = np.maximum(lacking, short)
        kept = np.flatnonzero(lacking <= 0)
        if not len(kept):
            near = int(lacking.argmin())
            raise Infeasible(
                f"at_least={dict(at_least)}: no policy of the front keeps all of it; the nearest "
                f"has the returns {rows[near].tolist()}"
            )
        return self._at(int(kept[rows[kept, maximise].argmax()]))

    def _measured(self) -> Float[np.ndarray, "n m"]:
        """The returns. Raises ArgumentError where there is no policy, or none was measured."""
        if not len(self) or np.isnan(self.returns).any():
            raise ArgumentError("front: it has no policy whose return was measured")
        return self.returns

    def _at(self, i: int) -> NetworkPolicy | TablePolicy:
        """One of its policies."""
        data = self.members[i]
        return TablePolicy(**data) if "probabilities" in data else NetworkPolicy(**data)


def network_policy(
    spaces: Spaces,
    kind: str,
    layers: Sequence[tuple[Any, Any]],
    activation: str,
    log_std: Any = (),
    mean: Any = (),
    scale: Any = (),
    clip: float = 10.0,
) -> NetworkPolicy:
    """A policy of copies of weights, whatever they are held in.

    Args:
        spaces: What it is for.
        kind: See `NetworkPolicy`.
        layers: Weight and bias of each layer, arrays or tensors.
        activation: See `NetworkPolicy`.
        log_std: See `NetworkPolicy`.
        mean: See `NetworkPolicy`.
        scale: See `NetworkPolicy`.
        clip: See `NetworkPolicy`.
    """
    one_of("kind", kind, ("categorical", "gaussian", "squashed"))
    one_of("activation", activation, ACTIVATIONS)

    def copy(value: Any) -> np.ndarray:
        held = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        return np.array(held, dtype=np.float32)

    return NetworkPolicy(
        kind,
        [copy(W) for W, _ in layers],
        [copy(b) for _, b in layers],
        activation,
        copy(log_std),
        copy(mean),
        copy(scale),
        float(clip),
        asdict(spaces),
    )


def write_policy(policy: NetworkPolicy | TablePolicy | PolicyFront, path: str) -> None:
    """Write a policy, or a front of them, as safetensors with JSON in the header."""
    with open(path, "wb") as file:
        file.write(encode(policy))


def read_policy(path: str | os.PathLike[str]) -> NetworkPolicy | TablePolicy | PolicyFront:
    """Read what `write_policy` wrote; runs no code of the file.

    Raises:
        ArgumentError: There is no such file, or it holds no policy.
        ArgumentTypeError: It is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(f"path={shown(path)}: expected a path")
    try:
        with open(path, "rb") as file:
            return decode_as(file.read(), (NetworkPolicy, TablePolicy, PolicyFront))
    except (OSError, CheckpointError) as error:
        raise ArgumentError(f"path={shown(path)}: no policy ({error})") from error
