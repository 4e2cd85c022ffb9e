"""One small valid call of what the language room offers, for the fuzz test."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from calling import Calls

from feasible import language
from feasible.core.errors import ArgumentError
from feasible.language import Backend, node, scripted
from feasible.language.cgpo import hackable
from feasible.language.cgpo.hackable import vowels
from feasible.language.trace import Bundle
from feasible.language.ultragen import (
    EncoderSettings,
    ExtractionSettings,
    Keyword,
    SamplerSettings,
    Soft,
    StoryModelSettings,
    StoryTokenizer,
    TextEmbedding,
    Words,
    story_model,
)

ASKED = [{"role": "user", "content": "hello"}]
PROMPTS = {
    "memory_size": 1,
    "include_example": False,
    "objective": "improve it",
    "max_tokens": 10,
    "temperature": 0.0,
    "ignore_extraction_error": True,
    "max_prompt_tokens": 5000,
    "max_value": 100,
}

BITS = [language.Option(b) for b in (0, 4, 8)]
COST = np.array([[[3.0, 1.0, 0.0]] * 3] * 2)
CHOICES = language.Choices(BITS, COST, [0, 50, 100])
TINY = language.TinySettings(
    layers=1, hidden=8, inner=8, experts=2, top_k=1, steps=1, batch=1, length=8
)
WRITTEN = language.AttributePool.of([[Soft("mood: happy"), Keyword("lamp"), Words(0, 10)]])
ULTRAGEN = {
    "ar_steps": 1,
    "ar_batch": 1,
    "ar_rate": 1e-3,
    "order": "fixed",
    "n_samples": 2,
    "score": "csr",
    "gpo_steps": 1,
    "gpo_batch": 1,
    "gpo_rate": 1e-3,
    "beta": 0.1,
    "warm_up": 0.1,
    "decay": 0.0,
    "clip": 1.0,
}
ROOT = node(1.0, name="root", trainable=True)


FLAT = torch.zeros(2, 2)
ROLLED = {
    "logp": FLAT,
    "ref_logp": FLAT,
    "reward": FLAT,
    "base_reward": torch.zeros(2),
    "judged": FLAT.bool(),
    "kl_max": 5.0,
    "lengths": FLAT + 1,
    "per_token": False,
}
ASKED_ROWS = [{"prompt": "A1+2="}, {"prompt": "B2x:"}]
PAIRED = {name: torch.zeros(2) for name in ("chosen", "rejected", "ref_chosen", "ref_rejected")}


def model() -> Backend:
    """A backend that answers at once."""
    return Backend(scripted(lambda request: "TERMINATE"), "m", wait=0.0)


@cache
def trained() -> Any:
    """A very small mixture of experts."""
    return language.train_tiny(TINY)


CHARACTERS = language.CharacterSettings(context=10, layers=1, width=8, heads=1, steps=1, batch=2)


@cache
def letters() -> Any:
    """A very small policy of characters, and its tokenizer."""
    return (
        language.character_model(CHARACTERS),
        language.character_tokenizer(CHARACTERS.characters),
    )


def lengths(completions, **_):
    """How long responses are."""
    return [float(len(text)) for text in completions]


def language_problem() -> dict[str, Any]:
    """A language problem's arguments."""
    policy, tokenizer = letters()
    return {
        "policy": policy,
        "tokenizer": tokenizer,
        "prompts": ["1+1=", "2="],
        "held_out": ["3="],
        "reward": lengths,
        "data": {"kind": [1, 2]},
        "held_out_data": {"kind": [1]},
        "judges": {"short": lambda completions, **_: [len(c) < 3 for c in completions]},
        "limits": {"short": ">= 0.5"},
        "paid": {"short": 1},
        "bucket": "kind",
        "max_tokens": 3,
        "temperature": 1.0,
        "samples": 1,
        "trail_prompts": 5,
        "timeout": None,
        "name": "small",
    }


def tokens() -> dict[str, Any]:
    """What a loss takes: four responses of two tokens to two questions."""
    old = torch.full((4, 2), -1.0)
    return {
        "logp": torch.full((4, 2), -0.9),
        "old_logp": old,
        "mask": torch.ones(4, 2),
        "reward": torch.tensor([1.0, 0.0, 0.0, 1.0]),
        "group": torch.tensor([0, 0, 1, 1]),
    }


def of_loss(function: Any, **settings: Any) -> Any:
    """A loss's call."""
    return lambda: (function, {**tokens(), **settings})


CONSTRAINED = {
    "score": "logl",
    "tau": 1.0,
    "delta": 1e-4,
    "beta": 1e3,
    "kl": "k1",
    "threshold": None,
    "dro": True,
}
LEARNT = language.RLVRSettings(loss="grpo", group=2, questions=2, minibatches=1)


def learner() -> Any:
    """A trainer of a very small policy."""
    return language.RLVRTrainer(*letters(), lengths, LEARNT, max_tokens=2)


@cache
def written_model() -> Any:
    """A very small model of stories."""
    return story_model(StoryModelSettings(1, 8, 2, 40))


def double(x):
    """Twice a number."""
    return x * 2


def optimizer(kind):
    """A text optimiser's call."""
    return lambda: (
        kind,
        {
            "parameters": [node(1.0, name="x", trainable=True)],
            "backend": model(),
            "checks": {"x": bool},
            **PROMPTS,
        },
    )


def opened(**given):
    """Enter the block of a local model; there is none."""
    try:
        with language.local_model(**given):
            pass
    except ArgumentError as error:
        if "no such file" not in str(error):
            raise


CALLS: Calls = {
    "Backend": lambda: (
        language.Backend,
        {
            "client": scripted(lambda request: "hello"),
            "model": "m",
            "prices": {"m": (1.0, 2.0)},
            "retries": 1,
            "wait": 0.0,
            "timeout": 5.0,
            "count": len,
        },
    ),
    "Backend.complete": lambda: (
        model().complete,
        {"messages": ASKED, "max_tokens": 10, "temperature": 0.0, "seed": 1, "json_only": False},
    ),
    "Recorded": lambda: (
        language.Recorded,
        {"client": scripted(lambda request: "hello"), "path": "replies.jsonl", "mode": "auto"},
    ),
    "local_model": lambda: (
        opened,
        {
            "file": "no-such.gguf",
            "threads": 1,
            "context": 64,
            "prices": {"m": (1.0, 2.0)},
            "retries": 1,
            "timeout": 5.0,
        },
    ),
    "scripted": lambda: (language.scripted, {"rule": lambda request: "hello"}),
    "calibrated": lambda: (
        language.calibrated,
        {"reward": FLAT, "base_reward": torch.zeros(2)},
    ),
    "crpg_weights": lambda: (language.crpg_weights, dict(ROLLED)),
    "crpg_loss": lambda: (language.crpg_loss, {**ROLLED, "by_tokens": True}),
    "crraft_loss": lambda: (
        language.crraft_loss,
        {**ROLLED, **{f"base_{n}": torch.zeros(2) for n in ("logp", "ref_logp", "judged")}},
    ),
    "codpo_loss": lambda: (
        language.codpo_loss,
        {
            **{n: ROLLED[n] for n in ("logp", "ref_logp", "reward", "judged", "lengths")},
            "beta": 0.1,
            "sft": 1.0,
        },
    ),
    "dpo_loss": lambda: (language.dpo_loss, {**PAIRED, "beta": 0.1, "reduction": "sum"}),
    "dpo_margin": lambda: (language.dpo_margin, dict(PAIRED)),
    "CRPG": lambda: (
        language.CRPG,
        {"use_judges": True, "kl_max": 5.0, "per_token": False, "by_tokens": False},
    ),
    "CRRAFT": lambda: (
        language.CRRAFT,
        {"use_judges": True, "kl_max": 5.0, "per_token": False},
    ),
    "CODPO": lambda: (language.CODPO, {"use_judges": True, "beta": 0.1, "sft": 1.0}),
    "RegexAnswer": lambda: (language.RegexAnswer, {"pattern": "a", "column": "answer"}),
    "NumberAnswer": lambda: (language.NumberAnswer, {"tolerance": 0.1, "column": "answer"}),
    "Length": lambda: (language.Length, {"most": 3, "least": 1, "unit": "words"}),
    "Ended": lambda: (language.Ended, {"tokenizer": str.split, "max_tokens": 3}),
    "Keywords": lambda: (language.Keywords, {"include": ["a"], "exclude": ["b"]}),
    "JSONObject": lambda: (language.JSONObject, {"keys": ["a"]}),
    "UnitTests": lambda: (
        language.UnitTests,
        {
            "allowed": True,
            "function": "f",
            "column": "tests",
            "sandbox": language.Sandbox(),
        },
    ),
    "ModelJudge": lambda: (
        language.ModelJudge,
        {
            "backend": model(),
            "template": "{completion}",
            "parse": bool,
            "max_tokens": 4,
            "known": {},
        },
    ),
    "MixtureOfJudges": lambda: (language.MixtureOfJudges, {"judges": [language.Length(3)]}),
    "CGPOConfig": lambda: (
        language.CGPOConfig,
        {
            "rule": language.CODPO(),
            "num_generations": 2,
            "prompts_per_step": 1,
            "max_completion_length": 4,
            "temperature": 1.0,
            "missing_eos_penalty": 0.1,
            "warm_up": 1,
            "baseline": "",
            "learning_rate": 0.01,
            "max_grad_norm": 1.0,
            "max_steps": 1,
            "seed": 0,
        },
    ),
    "CGPOTask": lambda: (
        language.CGPOTask,
        {
            "train_dataset": ASKED_ROWS,
            "reward_funcs": [vowels, vowels],
            "judges": [language.Length(3)],
            "rule": language.CODPO(),
            "weight": 0.5,
            "num_generations": 2,
            "prompts_per_step": 1,
            "reward_weights": [1.0, 2.0],
            "paid": {"Length": 0},
            "name": "t",
        },
    ),
    "CGPOTrainer": lambda: (
        language.CGPOTrainer,
        {
            "model": hackable.trained_policy(hackable.BRIEF),
            "args": language.CGPOConfig(
                num_generations=2, prompts_per_step=1, max_completion_length=6
            ),
            "reward_funcs": vowels,
            "judges": [language.Length(3)],
            "train_dataset": ASKED_ROWS,
            "processing_class": language.character_tokenizer(hackable.CHARACTERS),
        },
    ),
    "ResponseTable": lambda: (
        language.ResponseTable,
        {
            "reward": np.eye(2),
            "judges": {"one": np.eye(2)},
            "reference": np.zeros((2, 2)),
            "baseline": [0, 1],
            "tolerance": 0.01,
            "name": "t",
        },
    ),
    "Sandbox": lambda: (language.Sandbox, {"seconds": 5.0, "megabytes": 200.0}),
    "OptoPrime": optimizer(language.OptoPrime),
    "OPRO": optimizer(language.OPRO),
    "TextGrad": optimizer(language.TextGrad),
    "NumericTrace": lambda: (
        language.NumericTrace,
        {
            "parameters": [node(1.0, trainable=True)],
            "goal": "zero",
            "seed": 0,
            "radius": 1.0,
            "least_radius": 0.1,
            "slow": 0.1,
        },
    ),
    "PromptSettings": lambda: (language.PromptSettings, dict(PROMPTS)),
    "Variable of a workflow": lambda: (
        language.Variable,
        {
            "start": 1.0,
            "low": 0.0,
            "high": 2.0,
            "choices": (),
            "check": lambda v: v < 3,
            "constraint": "below 3",
            "description": "a number",
        },
    ),
    "Workflow": lambda: (
        language.Workflow,
        {
            "program": lambda x: x * 2,
            "variables": {"x": 1.0},
            "feedback": lambda y: y - 3.0,
            "goal": "zero",
            "scale": 1.0,
            "tolerance": 0.0,
            "name": "small",
        },
    ),
    "Workflow.execute": lambda: (
        language.Workflow(lambda x: x * 2, {"x": 1.0}, lambda y: y - 3.0).execute,
        {"values": {"x": 1.0}},
    ),
    "bundle": lambda: (
        language.bundle,
        {
            "description": "[double] twice a number",
            "trainable": False,
            "traceable_code": False,
            "catch_execution_error": True,
            "allow_external_dependencies": False,
            "allow_code_execution": False,
            "vjp": None,
            "sandbox": language.Sandbox(),
        },
    ),
    "Bundle": lambda: (Bundle, {"function": double, "trainable": False}),
    "Module": lambda: (language.Module, {}),
    "model": lambda: (language.model, {"cls": type("Agent", (), {})}),
    "node": lambda: (
        language.node,
        {
            "data": 1.0,
            "name": "x",
            "trainable": True,
            "description": "a number",
            "constraint": "x > 0",
        },
    ),
    "gradient": lambda: (
        language.gradient,
        {"output": ROOT * 2.0, "parameters": [ROOT], "scale": 1.0},
    ),
    "Option": lambda: (language.Option, {"bits": 4, "fast": True}),
    "Choices": lambda: (language.Choices, {"options": BITS, "cost": COST, "bytes": [0, 50, 100]}),
    "plan_moe": lambda: (
        language.plan_moe,
        {
            "choices": CHOICES,
            "memory": 300.0,
            "fast": 300.0,
            "latency": None,
            "gap": 0.0,
            "seconds": 5.0,
        },
    ),
    "greedy_moe": lambda: (language.greedy_moe, {"choices": CHOICES, "memory": 300.0}),
    "bound_moe": lambda: (
        language.bound_moe,
        {"choices": CHOICES, "memory": 300.0, "fast": 300.0, "latency": None},
    ),
    "rtn": lambda: (language.rtn, {"w": torch.ones(2, 8), "bits": 4, "group": 8}),
    "searched": lambda: (language.searched, {"w": torch.ones(2, 8), "bits": 4, "group": 8}),
    "gptq": lambda: (
        language.gptq,
        {"w": torch.ones(2, 8), "x": torch.eye(8), "bits": 4, "group": 8},
    ),
    "TinySettings": lambda: (
        language.TinySettings,
        {
            "layers": 1,
            "hidden": 8,
            "inner": 8,
            "experts": 2,
            "top_k": 1,
            "steps": 1,
            "batch": 1,
            "length": 8,
            "rate": 1e-3,
            "sentences": 10,
            "seed": 0,
        },
    ),
    "train_tiny": lambda: (language.train_tiny, {"settings": TINY, "folder": None}),
    "profile_moe": lambda: (
        language.profile_moe,
        {
            "model": trained(),
            "ids": torch.zeros(2, 8, dtype=torch.long),
            "bits": (0, 4),
            "quantiser": "rtn",
            "group": 8,
        },
    ),
    "CompressedModel": lambda: (
        language.CompressedModel,
        {
            "model": trained(),
            "calibration": torch.zeros(2, 8, dtype=torch.long),
            "held_out": torch.zeros(2, 8, dtype=torch.long),
            "memory": 1e6,
            "quantiser": "rtn",
            "group": 8,
            "name": "small",
            "fast": 1e6,
            "latency": 1.0,
        },
    ),
    "generate": lambda: (
        language.generate,
        {
            "model": letters()[0],
            "tokenizer": letters()[1],
            "prompts": ["1+1="],
            "max_tokens": 2,
            "temperature": 1.0,
            "seed": 0,
        },
    ),
    "written": lambda: (
        language.written,
        {"tokenizer": letters()[1], "prompts": ["1="], "responses": ["2"]},
    ),
    "logp": lambda: (
        language.logp,
        {
            "model": letters()[0],
            "responses": language.written(letters()[1], ["1="], ["2"]),
            "temperature": 1.0,
            "entropy_gradient": False,
            "at_once": 100,
        },
    ),
    "LanguageProblem": lambda: (language.LanguageProblem, language_problem()),
    "LanguageProblem.generate": lambda: (
        language.LanguageProblem(**language_problem()).generate,
        {"model": letters()[0], "rows": [0, 1], "seed": 0},
    ),
    "LanguageProblem.score": lambda: (
        language.LanguageProblem(**language_problem()).score,
        {"rows": [0, 1], "texts": ["1", "2"], "known": {}},
    ),
    "CharacterSettings": lambda: (
        language.CharacterSettings,
        {
            "characters": "abc",
            "context": 8,
            "layers": 1,
            "width": 8,
            "heads": 1,
            "steps": 1,
            "batch": 1,
            "rate": 1e-3,
            "stop": 1.0,
            "every": 10,
            "seed": 0,
        },
    ),
    "character_model": lambda: (language.character_model, {"settings": CHARACTERS}),
    "character_tokenizer": lambda: (language.character_tokenizer, {"characters": "abc"}),
    "train_characters": lambda: (
        language.train_characters,
        {
            "settings": CHARACTERS,
            "pairs": lambda rng, n: (["1="] * n, ["2"] * n),
            "check": None,
            "folder": None,
        },
    ),
    "extract_hard": lambda: (
        language.extract_hard,
        {
            "text": "a lamp",
            "settings": ExtractionSettings(max_keywords=3),
            "weights": {"lamp": 2.0},
        },
    ),
    "csr": lambda: (
        language.csr,
        {"texts": ["a lamp"], "sets": [[Keyword("lamp")]], "soft_judge": None},
    ),
    "resolve_conflicts": lambda: (language.resolve_conflicts, {"sets": [[Keyword("lamp")]]}),
    "AttributePool": lambda: (
        language.AttributePool,
        {"attributes": (Keyword("lamp"),), "by_document": ((0,),)},
    ),
    "AttributePool.from_corpus": lambda: (
        language.AttributePool.from_corpus,
        {
            "texts": ["a lamp"],
            "soft_extractor": lambda text: ["mood: happy"],
            "settings": ExtractionSettings(),
            "seed": 0,
        },
    ),
    "AttributeSampler": lambda: (
        language.AttributeSampler,
        {
            "pool": WRITTEN,
            "encoder": None,
            "settings": SamplerSettings("diverse", size=(2, 2), soft=(1, 1)),
            "embedding": TextEmbedding(2).fit(WRITTEN),
        },
    ),
    "UltraGenSettings": lambda: (language.UltraGenSettings, dict(ULTRAGEN)),
    "UltraGen": lambda: (
        language.UltraGen,
        {
            "model": written_model(),
            "tokenizer": StoryTokenizer(),
            "settings": language.UltraGenSettings(**ULTRAGEN),
            "soft_judge": None,
            "max_tokens": 3,
            "seed": 0,
        },
    ),
    "UltraGen.fit_ar": lambda: (
        language.UltraGen(
            written_model(), StoryTokenizer(), language.UltraGenSettings(**ULTRAGEN)
        ).fit_ar,
        {"corpus": [("a lamp", [Keyword("lamp")])]},
    ),
    "attribute_control": lambda: (
        language.attribute_control,
        {
            "policy": written_model(),
            "tokenizer": StoryTokenizer(),
            "corpus": [("a lamp", [Keyword("lamp")])],
            "held_out": {"local": [[Keyword("lamp")]]},
            "soft_judge": None,
            "max_tokens": 3,
        },
    ),
    "AttributeControl": lambda: (
        language.AttributeControl,
        {
            "policy": written_model(),
            "tokenizer": StoryTokenizer(),
            "prompts": ["a"],
            "held_out": ["a"],
            "reward": len,
            "data": {"text": ["a"], "attributes": [["include: a"]], "part": ["p"]},
            "held_out_data": {"text": ["a"], "attributes": [["include: a"]], "part": ["p"]},
            "soft_judge": None,
            "fluent": ["a lamp"],
            "tolerance": 0.5,
            "max_tokens": 3,
        },
    ),
    "CorrelationEncoder": lambda: (
        language.CorrelationEncoder,
        {"settings": EncoderSettings(2, hashed=8, hidden=4, triplets=10, epochs=1)},
    ),
    "disco_loss": of_loss(language.disco_loss, **CONSTRAINED),
    "DisCOLoss": lambda: (language.DisCOLoss, dict(CONSTRAINED)),
    "grpo_loss": of_loss(
        language.grpo_loss,
        ref_logp=torch.full((4, 2), -1.0),
        entropy=torch.ones(4, 2),
        epsilon=0.2,
        reference_weight=1e-3,
        entropy_weight=1e-3,
        eps=1e-6,
    ),
    "dr_grpo_loss": of_loss(language.dr_grpo_loss, longest=2, epsilon=0.2),
    "dapo_loss": of_loss(language.dapo_loss, epsilon=0.2, epsilon_high=0.28, eps=1e-6),
    "rloo_loss": of_loss(language.rloo_loss, epsilon=0.2),
    "trpa_loss": of_loss(
        language.trpa_loss, ref_logp=torch.full((4, 2), -1.0), preference=0.1, trust=0.1, top=1.0
    ),
    "group_advantages": lambda: (
        language.group_advantages,
        {"reward": torch.ones(4), "group": torch.zeros(4), "scale": True, "eps": 1e-6},
    ),
    "leave_one_out": lambda: (
        language.leave_one_out,
        {"reward": torch.ones(4), "group": torch.zeros(4)},
    ),
    "overlong_penalty": lambda: (
        language.overlong_penalty,
        {"lengths": torch.ones(4), "longest": 4, "cache": 2, "complete": None},
    ),
    "RLVRTrainer": lambda: (
        language.RLVRTrainer,
        {
            "model": letters()[0],
            "tokenizer": letters()[1],
            "reward": lengths,
            "settings": None,
            "max_tokens": 2,
            "temperature": 1.0,
            "timeout": None,
            "seed": 0,
        },
    ),
    "RLVRTrainer.fit": lambda: (
        learner().fit,
        {"prompts": ["1="], "steps": 1, "data": None, "budget": None},
    ),
    "RLVRTrainer.projected": lambda: (
        learner().projected,
        {"prompts": ["1="], "steps": 1},
    ),
    "RLVRTrainer.evaluate": lambda: (
        learner().evaluate,
        {"prompts": ["1="], "data": None},
    ),
    "subgraph": lambda: (language.subgraph, {"outputs": ROOT * 2.0, "parameters": [ROOT]}),
}
