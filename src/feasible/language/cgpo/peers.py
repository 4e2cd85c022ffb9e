"""TRL's own trainers on a problem with judges, which they see as the reward times the judgement."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Any

import torch

from ...core.checks import one_of
from ...core.extras import named
from ..policy import generate
from ..problem import LanguageProblem
from .losses import codpo_pairs
from .mixture import MixtureOfJudges

KINDS = ("DPO", "GRPO", "RLOO")


@dataclass
class Trained:
    """What a trainer of TRL made.

    Attributes:
        model: The policy.
        samples: Responses that were drawn.
        seconds: Of the processor, for drawing, judging and learning; making the trainer is not
            in them.
    """

    model: Any
    samples: int
    seconds: float


def trl_trained(
    problem: LanguageProblem,
    kind: str,
    iterations: int = 30,
    prompts: int = 16,
    k: int = 8,
    rate: float = 1e-3,
    seed: int = 0,
    **settings: Any,
) -> Trained:
    """Train by TRL's DPOTrainer, GRPOTrainer or RLOOTrainer, one step an iteration.

    DPO learns from pairs of the reference's own responses, the best satisfied one over the worst
    that is not, as `DPO` of this folder does; the others draw from the policy.

    Args:
        problem: Prompts, reward and judges.
        kind: "DPO", "GRPO" or "RLOO".
        iterations: Steps of the optimiser.
        prompts: In each.
        k: Responses to each prompt.
        rate: Of AdamW, constant.
        seed: Of what is drawn.
        **settings: Others of the trainer's configuration.

    Raises:
        MissingExtra: TRL is not installed.
    """
    one_of("kind", kind, KINDS)
    with named("trl_trained", "peers"):
        import trl

    model = problem.model()
    shared = {
        "max_steps": iterations,
        "learning_rate": rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "seed": seed,
    }
    online = {
        "per_device_train_batch_size": prompts * k,
        "num_generations": k,
        "steps_per_generation": 1,
        "max_completion_length": problem.max_tokens,
        "temperature": problem.temperature,
    }
    drawing = 0.0
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(f"{folder}/reference")  # where TRL reads the reference from
        model.config._name_or_path = f"{folder}/reference"
        made: dict[str, Any] = {"model": model, "processing_class": problem.tokenizer}
        if kind == "DPO":
            begun = time.process_time()
            made["train_dataset"] = pairs(problem, iterations * prompts, k, seed)
            drawing = time.process_time() - begun
            given = {"per_device_train_batch_size": prompts} | shared | settings
            trainer = trl.DPOTrainer(args=trl.DPOConfig(folder, **given), **made)
        else:
            made |= {"train_dataset": rows(problem), "reward_funcs": times_judge(problem)}
            config = getattr(trl, f"{kind}Config")(folder, **(online | shared | settings))
            trainer = getattr(trl, f"{kind}Trainer")(args=config, **made)
        begun = time.process_time()
        trainer.train()
        seconds = drawing + time.process_time() - begun
    return Trained(trainer.model, iterations * prompts * k, seconds)


def rows(problem: LanguageProblem) -> Any:
    """A problem's prompts and columns as a dataset."""
    from datasets import Dataset

    return Dataset.from_dict({"prompt": list(problem.prompts), **(problem.data or {})})


def times_judge(problem: LanguageProblem) -> Any:
    """A problem's reward times its judgement, as a reward function of TRL."""
    judges = MixtureOfJudges(problem.judges or {})

    def judged_reward(completions: Any, **columns: Any) -> list[float | None]:
        known = {name: columns[name] for name in ("prompts", *(problem.data or {}))}
        reward = problem.reward(completions, **known)
        satisfied = judges(completions, **known)
        return [None if r is None else r * y for r, y in zip(reward, satisfied, strict=True)]

    return judged_reward


def pairs(problem: LanguageProblem, many: int, k: int, seed: int) -> Any:
    """Judged pairs of the reference's responses to prompts, one after the other, as a dataset;
    prompts without a satisfied response give none.
    """
    from datasets import Dataset

    asked = [i % len(problem.prompts) for i in range(many) for _ in range(k)]
    texts = generate(
        problem.reference,
        problem.tokenizer,
        [problem.prompts[i] for i in asked],
        problem.max_tokens,
        float(problem.temperature),
        seed,
    ).texts
    scores = problem.score(asked, texts)
    reward, judged = torch.tensor(scores.reward), torch.tensor(scores.all_satisfied)
    judged = (judged & ~reward.isnan()).reshape(many, k)
    better, worse = codpo_pairs(reward.nan_to_num().reshape(many, k), judged)
    return Dataset.from_list(
        [
            {
                "prompt": problem.prompts[asked[i * k]],
                "chosen": texts[i * k + int(better[i])],
                "rejected": texts[i * k + int(worse[i])],
            }
            for i in range(many)
            if better[i] >= 0
        ]
    )
