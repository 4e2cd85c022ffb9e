"""UltraGen's two phases beside TRL's SFTTrainer and DPOTrainer, from the same weights on the same
texts and pairs with as many steps; its correlation encoder beside scikit-learn's.

TRL gets each text with its attributes in as many new orders as ours draws, and the same rates;
words are its tokens, as they are ours. SFTTrainer's time is that with texts of a batch of like
length, its satisfaction that without, which are the better ones.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
import warnings
from typing import Any

import numpy as np

from .common import Figure, write

SEEDS = range(100, 103)
TRIPLETS = 20_000


def numbered(tokenizer: Any) -> Any:
    """A tokenizer of transformers with the tokens of ours, each written as its number."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = {tokenizer.pad_token_id: "<pad>", tokenizer.eos_token_id: "<eos>"}
    words = {special.get(i, f"t{i}"): i for i in range(len(tokenizer))}
    made = Tokenizer(models.WordLevel(words, unk_token=f"t{tokenizer.unknown}"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")


def spelt(tokenizer: Any, text: str, first: str = "") -> str:
    """A text as the numbers of its tokens."""
    return first + " ".join(f"t{i}" for i in tokenizer(text)["input_ids"])


def trained(kind: str, model: Any, tokenizer: Any, rows: list[dict[str, str]], batch: int,
            steps: int, rate: float, **more: Any) -> tuple[Any, float]:  # fmt: skip
    """A model after TRL's trainer, and its seconds of the processor."""
    import trl
    from datasets import Dataset

    with tempfile.TemporaryDirectory() as folder:
        args = getattr(trl, f"{kind}Config")(
            folder,
            max_steps=steps,
            per_device_train_batch_size=batch,
            learning_rate=rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(steps // 10, 1),
            weight_decay=0.01,
            max_grad_norm=1.0,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            **more,
        )
        given = {"ref_model": copy.deepcopy(model)} if kind == "DPO" else {}
        trainer = getattr(trl, f"{kind}Trainer")(
            model=model,
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=numbered(tokenizer),
            **given,
        )
        begun = time.process_time()
        trainer.train()
        return trainer.model.eval(), time.process_time() - begun


def dpo_of_trl(model: Any, reference: Any, tokenizer: Any, rows: list[dict[str, str]],
               beta: float) -> float:  # fmt: skip
    """The loss that TRL's trainer has on these pairs."""
    import trl
    from datasets import Dataset

    with tempfile.TemporaryDirectory() as folder:
        args = trl.DPOConfig(folder, beta=beta, per_device_eval_batch_size=len(rows), report_to=[],
                             use_cpu=True, bf16=False, disable_tqdm=True)  # fmt: skip
        pairs = Dataset.from_list(rows)
        trainer = trl.DPOTrainer(
            model=model,
            ref_model=reference,
            args=args,
            train_dataset=pairs,
            eval_dataset=pairs,
            processing_class=numbered(tokenizer),
        )
        return float(trainer.evaluate()["eval_loss"])


def preferred(model: Any, tokenizer: Any, pairs: Any, settings: Any, seed: int) -> float:
    """Learn preferences from pairs by our steps; seconds of the processor."""
    from feasible.language.ultragen.training import gpo_step, gpo_steps, optimizer_of

    begun = time.process_time()
    optimizer = optimizer_of(model, settings)
    for step in range(gpo_steps(pairs, settings)):
        gpo_step(model, tokenizer, optimizer, pairs, settings, seed, step)
    model.eval()
    return time.process_time() - begun


def said(ids: Any, mask: Any, end: int) -> str:
    """A row of tokens as numbers, without its padding and its end, which TRL adds."""
    kept = [int(i) for i, there in zip(ids, mask, strict=True) if there]
    return " ".join(f"t{i}" for i in kept if i != end)


def phases() -> list[Figure]:
    """Time, what is met of held-out lists, and the loss."""
    share: dict[str, list[float]] = {"AR": [], "GPO": []}
    ahead: dict[str, list[float]] = {"AR": [], "GPO": []}
    apart: list[float] = []
    for seed in SEEDS:
        of_time, of_met, of_loss = one_seed(seed)
        for phase in share:
            share[phase].append(of_time[phase])
            ahead[phase].append(of_met[phase])
        apart.append(of_loss)
    note = f"{len(SEEDS)} seeds"
    names = {"AR": "SFTTrainer", "GPO": "DPOTrainer"}
    return [
        *(
            Figure(
                f"processor time of {phase}, ours over {name}'s",
                statistics.median(share[phase]),
                1.0,
                note=note,
            )
            for phase, name in names.items()
        ),
        *(
            Figure(
                f"macro satisfaction of held-out lists after {phase}, ours less {name}'s",
                statistics.median(ahead[phase]),
                -0.02,
                "at least",
                note,
            )
            for phase, name in names.items()
        ),
        Figure("loss of pairs, share by which it is apart from DPOTrainer's", max(apart), 1e-5),
    ]


def one_seed(seed: int) -> tuple[dict[str, float], dict[str, float], float]:
    """Ours over TRL's time, ours less its satisfaction, and by how much the losses are apart."""
    from feasible.language.policy import logp
    from feasible.language.preference import dpo_loss
    from feasible.language.ultragen import UltraGen, csr, story_judge
    from feasible.language.ultragen.claim import SETS, SETTINGS, TRIPLETS as DRAWN, tuned
    from feasible.language.ultragen.instances import stories_problem
    from feasible.language.ultragen.run import UltraGenRun
    from feasible.language.ultragen.small import prompt_of
    from feasible.language.ultragen.training import gpo_steps, in_order, make_pairs

    settings = tuned("AR + GPO", SETTINGS["desk"])
    problem = stories_problem(4000, 100, seed=seed)
    tokenizer, held_out, corpus = (
        problem.tokenizer,
        problem.sets(held_out=True),
        problem.corpus(),
    )
    given = (settings, story_judge, problem.max_tokens, seed)

    def met(model: Any) -> float:
        texts = UltraGen(model, tokenizer, *given).write(held_out)
        return csr(texts, held_out, story_judge).macro

    ours = UltraGen(problem.model(), tokenizer, *given)
    begun = time.process_time()
    ours.fit_ar(corpus)
    took = {"AR": time.process_time() - begun}
    rng, rows = np.random.default_rng(seed), []
    drawn = rng.permutation(np.tile(np.arange(len(corpus)), 20))
    for i in drawn[: settings.ar_steps * settings.ar_batch]:
        text, attributes = corpus[i]
        prompt = prompt_of(in_order(attributes, "shuffled", rng))
        rows.append({"prompt": spelt(tokenizer, prompt), "completion": spelt(tokenizer, text, " ")})
    each = (tokenizer, rows, settings.ar_batch, settings.ar_steps, settings.ar_rate)
    theirs, _ = trained("SFT", problem.model(), *each, seed=seed)
    grouped = {"train_sampling_strategy": "group_by_length"}  # quicker, and learns less
    _, its = trained("SFT", problem.model(), *each, seed=seed, **grouped)
    ahead, share = {"AR": met(ours.model) - met(theirs)}, {"AR": took["AR"] / its}

    run = UltraGenRun(sets=SETS["desk"], triplets=DRAWN["desk"])
    pairs = make_pairs(ours.model, tokenizer, run.unseen(problem, seed), *given)
    mine, end = copy.deepcopy(ours.model), tokenizer.eos_token_id
    took["GPO"] = preferred(mine, tokenizer, pairs, settings, seed)
    rows = [
        {
            "prompt": said(pairs.chosen.prompt_ids[i], pairs.chosen.prompt_mask[i], end),
            "chosen": " " + said(pairs.chosen.ids[i], pairs.chosen.mask[i], end),
            "rejected": " " + said(pairs.rejected.ids[i], pairs.rejected.mask[i], end),
        }
        for i in range(len(pairs))
    ]
    theirs, its = trained("DPO", copy.deepcopy(ours.model), tokenizer, rows, settings.gpo_batch,
                          gpo_steps(pairs, settings), settings.gpo_rate, beta=settings.beta,
                          seed=seed)  # fmt: skip
    ahead["GPO"], share["GPO"] = met(mine) - met(theirs), took["GPO"] / its

    sides = (pairs.chosen, pairs.rejected)
    ended = sides[0].ended(tokenizer) & sides[1].ended(tokenizer)
    some = np.flatnonzero(ended.numpy())[:24].tolist()
    of = [logp(mine, side[some]).logp.sum(1).detach() for side in sides]
    before = (pairs.by_chosen[some], pairs.by_rejected[some])
    here = float(dpo_loss(*of, *before, settings.beta))
    there = dpo_of_trl(mine, ours.model, tokenizer, [rows[i] for i in some], settings.beta)
    return share, ahead, abs(here - there) / abs(there)


def encoders() -> list[Figure]:
    """Of held-out triplets the share whose positive is nearer than its negative."""
    from sklearn.neural_network import MLPClassifier

    from feasible.language.ultragen import (
        STORY_EXTRACTION,
        AttributePool,
        CorrelationEncoder,
        EncoderSettings,
        ExtractionSettings,
        TextEmbedding,
        story_attributes,
        write_stories,
    )
    from feasible.language.ultragen.claim import documentation, topic
    from feasible.language.ultragen.embedding import draw_triplets

    stories = [s.text for s in write_stories(500, seed=100)]
    papers = ExtractionSettings(max_keywords=30, longest=2)
    pools = {
        "stories": AttributePool.from_corpus(stories, story_attributes, STORY_EXTRACTION, 100),
        "documentation": AttributePool.from_corpus(documentation(120), topic, papers, 100),
    }
    figures = []
    for name, pool in pools.items():
        triplets = draw_triplets(pool, TRIPLETS, np.random.default_rng(100))
        triplets = np.random.default_rng(101).permutation(triplets)
        held, kept = np.split(triplets, [len(triplets) // 5])
        plain = TextEmbedding().fit(pool).encode(pool.attributes)
        encoder = CorrelationEncoder(EncoderSettings(seed=100)).fit(pool)
        learnt = encoder.encode(pool.attributes)

        def nearer(vectors: np.ndarray, of: np.ndarray) -> float:
            a, p, n = (vectors[of[:, k]] for k in range(3))
            return float(((a * p).sum(1) > (a * n).sum(1)).mean())

        def pair(a: np.ndarray, b: np.ndarray, vectors: np.ndarray) -> np.ndarray:
            return np.hstack([vectors[a] * vectors[b], np.abs(vectors[a] - vectors[b])])

        yes, no = (pair(kept[:, 0], kept[:, k], plain) for k in (1, 2))
        network = MLPClassifier((128,), early_stopping=True, random_state=100)
        network.fit(np.vstack([yes, no]), np.repeat([1, 0], len(kept)))
        sides = [network.predict_proba(pair(held[:, 0], held[:, k], plain))[:, 1] for k in (1, 2)]
        rivals = {
            "a scikit-learn MLP on pairs of TF-IDF and SVD": float((sides[0] > sides[1]).mean()),
            "TF-IDF and SVD": nearer(plain, held),
        }
        mine = nearer(learnt, held)
        figures.append(
            Figure(f"right triplets of {name}, correlation encoder", mine, None, "share")
        )
        figures += [
            Figure(f"right triplets of {name}, encoder less {rival}", mine - of, 0.0, "at least")
            for rival, of in rivals.items()
        ]
    return figures


def run() -> list[Figure]:
    """Phases and encoders."""
    import datasets
    import transformers

    warnings.simplefilter("ignore")
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    figures = [*encoders(), *phases()]
    write("phases", figures)
    return figures
