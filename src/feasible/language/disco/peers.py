"""DisCO in TRL's trainer, and TRL's own losses on tensors.

`DisCOTrainer` and `DisCOConfig` are made when they are asked for, because they derive from TRL's
classes.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from ...core.checkpoint import decode_as, keep
from ...core.checks import one_of
from ...core.errors import ArgumentError
from ...core.extras import named
from .losses import disco_loss
from .settings import DisCOSettings

if TYPE_CHECKING:
    from torch import Tensor

MINIBATCHES = 4
"""Optimiser steps of a sampling; with one, the constraint cannot act."""
NAMES = {f"disco_{f.name}": f.name for f in fields(DisCOSettings)}
"""Setting of DisCOConfig -> of DisCOSettings; TRL has a beta and a delta of its own."""


def __getattr__(name: str) -> Any:
    """DisCOTrainer and DisCOConfig, where they are asked for."""
    if name in ("DisCOTrainer", "DisCOConfig"):
        return classes()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def classes() -> dict[str, Any]:
    """The two classes, by name."""
    with named("DisCOTrainer", "peers"):
        from transformers import TrainerCallback, TrainerState
        from transformers.trainer_utils import get_last_checkpoint
        from trl import GRPOConfig, GRPOTrainer

    default = DisCOSettings()

    @dataclass
    class DisCOConfig(GRPOConfig):  # type: ignore[misc]
        """GRPOConfig with DisCO's settings; see DisCOSettings for those that begin with `disco_`.

        Four optimiser steps are made on a sampling where neither `steps_per_generation` nor
        `generation_batch_size` is given; rewards are not scaled. `loss_type`, `epsilon`, `beta` and
        `delta` of TRL have no effect on the objective; a `beta` above 0 costs a reference model.

        Attributes:
            disco_b: The plain mean over wrong responses instead of the robust one.
        """

        scale_rewards: Any = "none"
        disco_score: str = default.score
        disco_tau: float = default.tau
        disco_delta: float = default.delta
        disco_beta: float = default.beta
        disco_kl: str = default.kl
        disco_threshold: float | None = default.threshold
        disco_b: bool = False

        def __post_init__(self) -> None:
            """Check the settings, and that no mini-batch cuts a group."""
            if self.steps_per_generation is None and self.generation_batch_size is None:
                steps = MINIBATCHES * self.gradient_accumulation_steps
                self.steps_per_generation: Any = steps
            super().__post_init__()
            self.disco()
            one_of("scale_rewards", self.scale_rewards, ("none",), note=" for DisCO")
            one_of("num_iterations", self.num_iterations, (1,), note=" for DisCO")
            G = self.num_generations
            if self.per_device_train_batch_size % G:
                raise ArgumentError(
                    f"per_device_train_batch_size={self.per_device_train_batch_size}: expected a "
                    f"multiple of num_generations={G}, so that groups stay whole"
                )

        def disco(self) -> DisCOSettings:
            """The settings of the loss."""
            return DisCOSettings(**{own: getattr(self, name) for name, own in NAMES.items()})

    class DisCOTrainer(GRPOTrainer):  # type: ignore[misc]
        """TRL's GRPOTrainer with DisCO's loss; a response is right where its reward is above the
        mean of its group, which for rewards of 0 and 1 is what is right.

        Groups stay whole: mini-batches are of whole groups in random order. Text only. The figures
        `disco/objective`, `disco/kl`, `disco/penalty`, `disco/valid_fraction` and
        `disco/above_delta` are logged raw.

        A training that goes on from a checkpoint ends with the weights of the uninterrupted one:
        what was drawn and not yet learnt from is kept beside TRL's files, and the order of prompts
        after the first pass over them is taken up where it was.
        """

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._passes = 0
            trainer = self

            class KeepDrawn(TrainerCallback):  # type: ignore[misc]
                """Keeps what was drawn beside each checkpoint."""

                def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                    folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                    kept = {"step": trainer._step, "drawn": trainer._buffered_inputs}
                    keep(folder / drawn_file(args), kept)

            self.add_callback(KeepDrawn())

        def train(
            self, resume_from_checkpoint: str | bool | None = None, *args: Any, **more: Any
        ) -> Any:
            """Train, or go on.

            Args:
                resume_from_checkpoint: A folder of a checkpoint; True for the last one of
                    `args.output_dir`.
                *args: As of TRL's trainer.
                **more: As of TRL's trainer.

            Raises:
                CheckpointError: The file of what was drawn is damaged.

            Warns:
                UserWarning: A checkpoint without that file, as a kill between the two leaves it:
                    its sampling is drawn anew.
            """
            folder = resume_from_checkpoint
            if folder is True:
                folder = get_last_checkpoint(self.args.output_dir)
            if folder:
                self._take_up(Path(folder))
            return super().train(resume_from_checkpoint, *args, **more)

        def _take_up(self, folder: Path) -> None:
            """Restore what TRL does not: the sampling at hand, and how often prompts came."""
            states = folder / "trainer_state.json"
            if states.exists():
                self._passes = int(TrainerState.load_from_json(str(states)).epoch or 0)
            file = folder / drawn_file(self.args)
            if not file.exists():
                warnings.warn(
                    f"resume_from_checkpoint: {file} is missing, so responses are drawn anew and "
                    "the training may end elsewhere than the uninterrupted one",
                    stacklevel=3,
                )
                return
            found = decode_as(file.read_bytes(), ())
            self._step = found["step"]
            self._buffered_inputs = found["drawn"]

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            """Skip the orders of passes that are over."""
            sampler = super()._get_train_sampler(dataset)
            for _ in range(self._passes):
                next(iter(sampler), None)
            return sampler

        def _prepare_inputs(self, generation_batch: Any) -> Any:
            """Draw where it is time to, and give the next mini-batch of whole groups."""
            if not self.model.training:
                return super()._prepare_inputs(generation_batch)
            steps = self.args.steps_per_generation
            if self._step % steps == 0 or self._buffered_inputs is None:
                drawn = self._generate_and_score_completions(generation_batch)
                self._buffered_inputs = whole_groups(drawn, self.num_generations, steps)
            return self._buffered_inputs[self._step % steps]

        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            """DisCO's loss of a mini-batch."""
            ids = torch.cat((inputs["prompt_ids"], inputs["completion_ids"]), dim=1)
            seen = torch.cat((inputs["prompt_mask"], inputs["completion_mask"]), dim=1)
            mask = inputs["completion_mask"]
            if "tool_mask" in inputs:
                mask = mask * inputs["tool_mask"]
            logp, entropy, _ = self._get_per_token_logps_and_entropies(
                model, ids, seen, mask.shape[1], compute_entropy=True
            )
            old = inputs.get("old_per_token_logps")
            A = inputs["advantages"]
            reward = torch.where(A > 1e-6, 1.0, torch.where(A < -1e-6, 0.0, torch.nan))
            n = self.num_generations if self.model.training else self.num_generations_eval
            group = inputs.get("group", torch.arange(len(A), device=A.device) // n)
            kept = mask.sum(1) > 0
            s = self.args.disco()
            out = disco_loss(
                logp[kept],
                (logp.detach() if old is None else old)[kept],
                mask[kept],
                reward[kept],
                group[kept],
                s.score, s.tau, s.delta, s.beta, s.kl, None, not self.args.disco_b,
            )  # fmt: skip
            training = self.model.training
            metrics = self._metrics["train" if training else "eval"]
            figures = {
                "objective": out.objective,
                "kl": out.kl,
                "penalty": out.penalty,
                "valid_fraction": out.valid_fraction,
                "above_delta": (out.kl > s.delta).float(),
            }
            for name, value in figures.items():
                found = self.accelerator.gather(value.reshape(1))
                metrics[f"disco/{name}"].append(found.float().mean().item())
            metrics["entropy"].append(((entropy * mask).sum() / mask.sum()).item())
            return out.loss / (self.current_gradient_accumulation_steps if training else 1.0)

    found = {"DisCOConfig": DisCOConfig, "DisCOTrainer": DisCOTrainer}
    for name, made in found.items():  # so that a checkpoint of TRL finds its configuration again
        made.__module__, made.__qualname__ = __name__, name
    return found


def drawn_file(args: Any) -> str:
    """The name of the file of what a process drew, in the folder of a checkpoint."""
    return f"drawn-{args.process_index}.safetensors"


def whole_groups(drawn: dict[str, Any], group: int, parts: int) -> list[dict[str, Any]]:
    """Mini-batches of whole groups in random order.

    Args:
        drawn: Tensors and lists with a row for each response, groups one after the other; the rest
            is handed to every part.
        group: Responses of a group.
        parts: Mini-batches.
    """
    rows = len(drawn["completion_ids"])
    order = torch.randperm(rows // group)
    found = []
    for some in order.chunk(parts):
        index = (some[:, None] * group + torch.arange(group)).reshape(-1)
        part: dict[str, Any] = {}
        for name, value in drawn.items():
            if isinstance(value, torch.Tensor) and value.dim() and len(value) == rows:
                part[name] = value[index.to(value.device)]
            elif isinstance(value, list) and len(value) == rows:
                part[name] = [value[i] for i in index.tolist()]
            else:
                part[name] = value
        part["group"] = (index // group).to(drawn["completion_ids"].device)
        found.append(part)
    return found


def trl_loss(
    kind: str,
    logp: Tensor,
    old_logp: Tensor,
    mask: Tensor,
    advantages: Tensor,
    ref_logp: Tensor | None = None,
    reference: float = 0.0,
    epsilon: tuple[float, float] | None = None,
    longest: int = 1,
) -> Any:
    """A loss of TRL's GRPOTrainer on given log-probabilities, without a model.

    Args:
        kind: "grpo", "dr_grpo" or "dapo".
        logp: (B, T) of the policy.
        old_logp: (B, T) of the policy that drew.
        mask: (B, T) tokens.
        advantages: (B,).
        ref_logp: (B, T) of the reference.
        reference: Weight of the KL divergence to it.
        epsilon: Clip range, below and above; None: 0.2, and 0.28 above for "dapo".
        longest: Tokens that a response may have.
    """
    with named("TRL's losses", "peers"):
        from trl import GRPOTrainer

    low, high = epsilon or (0.2, 0.28 if kind == "dapo" else 0.2)
    accelerator = SimpleNamespace(
        num_processes=1,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction: x,
        sync_gradients=True,
    )
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (logp, torch.zeros_like(old_logp), None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=reference,
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        loss_type=kind,
        epsilon_low=low,
        epsilon_high=high,
        use_vllm=False,
        model=SimpleNamespace(training=True),
        current_gradient_accumulation_steps=1,
        max_completion_length=longest,
        _entropy_bonus_enabled=False,
        entropy_coef=0.0,
        accelerator=accelerator,
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
    )
    B, T = logp.shape
    empty = torch.zeros((B, 0), dtype=torch.long)
    inputs = {
        "prompt_ids": empty,
        "prompt_mask": empty,
        "completion_ids": torch.zeros((B, T), dtype=torch.long),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old_logp,
        "ref_per_token_logps": ref_logp,
        "num_items_in_batch": mask.sum(),
    }
    return GRPOTrainer._compute_loss(trainer, None, inputs)
