"""Fine-tuning a model of words: a step of ours beside one of TRL's GRPOTrainer on the same small
model and prompts, and log-probabilities beside the table of the whole vocabulary.

Times are the processor's, in turns; memory is by how much the largest resident size of a forked
process grows.
"""

from __future__ import annotations

import copy
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from .common import Figure, in_turns, ratio, write

GROUP, QUESTIONS, MINIBATCHES = 8, 32, 4
SAMPLINGS = 4


def small(vocabulary: int, width: int = 48) -> tuple[Any, Any, list[str]]:
    """A model of characters, its tokenizer and prompts."""
    from feasible.language import CharacterSettings, character_model, character_tokenizer

    letters = "0123456789+=" + "".join(chr(0x4E00 + i) for i in range(vocabulary - 12))
    settings = CharacterSettings(letters, context=16, width=width)
    prompts = [f"{a:02d}+{b:02d}=" for a in range(10, 30) for b in range(10, 30)]
    return character_model(settings), character_tokenizer(letters), prompts


def even(completions: list[str], **_: Any) -> list[float]:
    """1 for a response of an even number of characters."""
    return [float(len(c) % 2 == 0) for c in completions]


def ours(made: tuple[Any, Any, list[str]], **settings: Any) -> Callable[[], int]:
    """Some samplings of ours; gives the tokens of prompts and responses."""
    from feasible.language import RLVRSettings, RLVRTrainer

    model, tokenizer, prompts = made
    learner = RLVRTrainer(
        copy.deepcopy(model),
        tokenizer,
        even,
        RLVRSettings(
            **{
                "loss": "grpo",
                "group": GROUP,
                "questions": QUESTIONS,
                "minibatches": MINIBATCHES,
                "rate": 1e-4,
                **settings,
            }
        ),
        max_tokens=5,
    )
    return lambda: int(sum(row["tokens"] for row in learner.fit(prompts, SAMPLINGS)))


def theirs(made: tuple[Any, Any, list[str]], folder: str) -> Callable[[], int]:
    """The same of TRL's GRPOTrainer."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer, prompts = made
    args = GRPOConfig(
        folder,
        loss_type="grpo",
        beta=0.0,
        per_device_train_batch_size=GROUP * QUESTIONS // MINIBATCHES,
        num_generations=GROUP,
        steps_per_generation=MINIBATCHES,
        max_steps=MINIBATCHES * SAMPLINGS,
        max_completion_length=5,
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )

    def run() -> int:
        learner = GRPOTrainer(
            model=copy.deepcopy(model),
            args=args,
            reward_funcs=even,
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=tokenizer,
        )
        begun = time.process_time()
        learner.train()
        run.seconds.append(time.process_time() - begun)  # type: ignore[attr-defined]
        return int(learner.state.num_input_tokens_seen)

    run.seconds = []  # type: ignore[attr-defined]
    return run


def growth(work: Callable[[], object]) -> float:
    """Bytes by which a forked process grows at most while it works."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()

    def child() -> None:
        torch.set_num_threads(1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work()
        its.send(1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))

    process = context.Process(target=child)
    process.start()
    found: float = mine.recv()
    process.join()
    return found


def steps(folder: str) -> list[Figure]:
    """Time and memory of a step."""
    made = small(13)
    mine, its = ours(made, reference=0.0), theirs(made, folder)
    rounds, per_token = 5, []
    mine(), its()
    for _ in range(rounds):
        begun = time.process_time()
        tokens = mine()
        took = time.process_time() - begun
        other = its()
        per_token.append((took / tokens) / (its.seconds[-1] / other))  # type: ignore[attr-defined]
    wide = small(5000, 32)
    peak = [growth(work) for work in (ours(wide, reference=0.0), theirs(wide, folder))]
    disco = ours(made, loss="disco")
    referred = ours(made, reference=1e-3)
    return [
        Figure("step, processor time a token over TRL's", statistics.median(per_token), 1.0),
        Figure("step, memory over TRL's, 5,000 tokens of vocabulary", peak[0] / peak[1], 1.0),
        Figure(
            "step of disco over one of grpo with a reference",
            ratio(*in_turns(disco, referred, rounds=5, clock=time.process_time)),
            0.85,
        ),
        Figure("share of a step that the loss takes", share_of_loss(made), 0.02, "share"),
    ]


def share_of_loss(made: tuple[Any, Any, list[str]]) -> float:
    """Processor time of the losses, forwards and backwards, over that of their steps."""
    from feasible.language import disco_loss

    B = GROUP * QUESTIONS // MINIBATCHES
    logp = torch.rand(B, 5).log()
    given = (
        torch.rand(B, 5).log(),
        torch.ones(B, 5),
        (torch.rand(B) < 0.4).float(),
        torch.arange(B) // GROUP,
    )

    def losses() -> None:
        for _ in range(MINIBATCHES * SAMPLINGS):
            leaf = logp.clone().requires_grad_()
            disco_loss(leaf, *given).loss.backward()

    return ratio(*in_turns(losses, ours(made, loss="disco"), rounds=5, clock=time.process_time))


def probabilities() -> list[Figure]:
    """Log-probabilities at a vocabulary of 50,000."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from feasible.language import Responses, logp

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50_000, n_positions=64, n_embd=64, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config).eval()
    ids = torch.randint(0, 50_000, (24, 64))
    ones = torch.ones(24, 64, dtype=torch.bool)
    given = Responses(ids[:, :16], ones[:, :16], ids[:, 16:], ones[:, 16:], [""] * 24)

    def chunked() -> Any:
        model.zero_grad()
        logp(model, given).logp.sum().backward()
        return model.get_output_embeddings().weight.grad

    def table() -> Any:
        model.zero_grad()
        places = torch.arange(64).expand(24, 64)
        logits = model(input_ids=ids, position_ids=places).logits[:, 15:-1]
        logits.log_softmax(-1).gather(-1, ids[:, 16:, None]).sum().backward()
        return model.get_output_embeddings().weight.grad

    one, other = chunked().clone(), table().clone()
    away = float((one - other).abs().max() / other.abs().max())
    peak = [growth(work) for work in (chunked, table)]
    times = in_turns(chunked, table, rounds=3, clock=time.process_time)
    return [
        Figure("log-probabilities, 50,000 tokens: memory over the table's", peak[0] / peak[1], 0.3),
        Figure("log-probabilities: gradient, largest difference, relative", away, 1e-6, "share"),
        Figure("log-probabilities, 50,000 tokens: time over the table's", ratio(*times)),
    ]


def run() -> list[Figure]:
    """All of it."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures = [*probabilities(), *steps(folder)]
    write("language", figures)
    return figures
