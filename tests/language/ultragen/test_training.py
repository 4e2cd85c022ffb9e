"""The small model, both phases, and the problem of a run."""

import copy
import math
import os
import time

import numpy as np
import pytest
import torch

import feasible
from feasible.core.budget import Meter, active_meter
from feasible.core.errors import ArgumentError, ArgumentTypeError, BudgetExhausted
from feasible.language.default import choose
from feasible.language.policy import PromptTooLong, generate, logp, written
from feasible.language.scoring import ScoreWarning
from feasible.language.ultragen import (
    Keyword,
    Soft,
    Start,
    StoryModelSettings,
    StoryTokenizer,
    Trigrams,
    UltraGen,
    UltraGenRun,
    UltraGenSettings,
    Words,
    attribute_control,
    best_and_worst,
    corpus_attributes,
    distinct,
    keyword_list,
    macro,
    prompt_of,
    satisfied,
    stories_problem,
    story_attributes,
    story_judge,
    story_model,
    write_stories,
)
from feasible.language.ultragen.stories import STORY_EXTRACTION
from feasible.language.ultragen.training import gpo_steps, in_order, make_pairs

TINY = StoryModelSettings(layers=1, width=16, heads=2)
BRIEF = UltraGenSettings(ar_steps=60, ar_batch=8, ar_rate=1e-2, gpo_steps=12, gpo_rate=3e-3)


@pytest.fixture(scope="module")
def corpus():
    texts = [s.text for s in write_stories(60, seed=4)]
    return list(
        zip(texts, corpus_attributes(texts, story_attributes, STORY_EXTRACTION), strict=True)
    )


@pytest.fixture(scope="module")
def trained(corpus):
    """A tiny model after auto-reconstruction."""
    return UltraGen(story_model(TINY), StoryTokenizer(), BRIEF, story_judge, 30).fit_ar(corpus)


@pytest.fixture(scope="module")
def problem():
    return stories_problem(n_texts=40, n_held_out=3, model=TINY, max_tokens=12)


# -- words and the model ---------------------------------------------------------------------------


def test_stories_and_their_prompts_are_written_back_from_their_tokens(corpus):
    tokenizer = StoryTokenizer()
    for text, attributes in corpus:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.unknown not in tokenizer.encode(prompt_of(attributes))


def test_attention_begins_by_copying():
    tokenizer, model = StoryTokenizer(), story_model(StoryModelSettings())
    lamp, rest = tokenizer.numbers["lamp"], tokenizer.numbers["basket"]
    asked = torch.tensor([tokenizer.encode(prompt_of([Keyword("lamp")]))])
    with torch.no_grad():
        logits = model(asked).logits[0, -1]
    assert logits[lamp] > logits[rest]
    assert logits[lamp] > logits.median()


# -- the phases ------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_response_alone(corpus):
    tokenizer, model = StoryTokenizer(), story_model(TINY)
    text, attributes = corpus[0]
    found = written(tokenizer, [prompt_of(attributes)], [text])
    prompt = tokenizer.encode(prompt_of(attributes))
    reply = [*tokenizer.encode(text), tokenizer.eos_token_id]
    with torch.no_grad():
        table = model(torch.tensor([prompt + reply])).logits[0].log_softmax(-1)
        expected = sum(table[len(prompt) + i - 1, t] for i, t in enumerate(reply))
        got = logp(model, found).logp.sum()
    assert int(found.mask.sum()) == len(reply)
    assert torch.isclose(got, expected, rtol=1e-5)


def test_auto_reconstruction_learns_and_comes_again_with_its_seed(corpus, trained):
    assert np.mean(trained.losses[-5:]) < trained.losses[0] - 1.5
    again = UltraGen(story_model(TINY), StoryTokenizer(), BRIEF, story_judge, 30)
    again.settings = UltraGenSettings(ar_steps=2, ar_batch=8, ar_rate=1e-2)
    other = copy.deepcopy(again)
    assert again.fit_ar(corpus).losses == other.fit_ar(corpus).losses


def test_preferences_raise_what_is_chosen_and_lower_what_is_not(corpus, trained):
    model = UltraGen(
        copy.deepcopy(trained.model), trained.tokenizer, BRIEF, story_judge, 30
    ).fit_gpo([a for _, a in corpus[:20]])
    assert math.isclose(model.losses[0], math.log(2), rel_tol=1e-4)  # pi = pi_ref
    assert model.losses[-1] < model.losses[0]
    pairs = model.pairs
    with torch.no_grad():
        up = logp(model.model, pairs.chosen).logp.sum(1) - pairs.by_chosen
        down = logp(model.model, pairs.rejected).logp.sum(1) - pairs.by_rejected
    assert (up - down).mean() > 0
    assert len(model.losses) == gpo_steps(pairs, BRIEF)


def test_pairs_are_the_best_and_the_worst_of_a_set_and_ties_are_dropped(corpus, trained):
    assert best_and_worst(np.array([[1.0, 1.0], [0.0, 0.5], [0.5, 0.0]])) == [(1, 1, 0), (2, 0, 1)]
    sets = [a for _, a in corpus[:6]] + [(Words(0, 1000),)]
    settings = UltraGenSettings(order="fixed", n_samples=3)
    pairs = make_pairs(trained.model, trained.tokenizer, sets, settings, story_judge, 20, 5)
    assert pairs.sets == 7
    assert len(pairs) <= 6  # every text has so few words
    asked = {prompt_of(one): one for one in sets}
    total = 0.0
    for better, worse, ids, mask in zip(
        pairs.chosen.texts, pairs.rejected.texts, pairs.chosen.prompt_ids,
        pairs.chosen.prompt_mask, strict=True,
    ):  # fmt: skip
        prompt = ids[mask].tolist()
        one = next(s for p, s in asked.items() if trained.tokenizer.encode(p) == prompt)
        more, less = (macro(satisfied(t, one, story_judge), one) for t in (better, worse))
        assert more > less
        total += more - less
    assert math.isclose(total, pairs.gain)


def test_shuffled_orders_hold_every_attribute_and_fixed_ones_their_place(corpus):
    rng = np.random.default_rng(0)
    attributes = corpus[0][1]
    assert in_order(attributes, "fixed", rng) == list(attributes)
    shuffled = in_order(attributes, "shuffled", rng)
    assert shuffled != list(attributes)
    assert set(shuffled) == set(attributes)


def test_what_cannot_be_learnt_from_is_refused(corpus):
    model = UltraGen(story_model(StoryModelSettings(1, 8, 2, context=40)), StoryTokenizer())
    with pytest.raises(ArgumentError, match="corpus"):
        model.fit_ar([])
    with pytest.raises(ArgumentError, match="corpus"):
        model.fit_ar(["a lamp"])
    with pytest.raises(ArgumentError, match="sets"):
        model.fit_gpo([()])
    with pytest.raises(PromptTooLong, match="context has 40"):
        model.write([corpus[0][1]])
    with pytest.raises(ArgumentTypeError, match="model"):
        UltraGen(None, StoryTokenizer())
    with pytest.raises(ArgumentError, match="width"):
        StoryModelSettings(width=10, heads=4)


# -- fluency ---------------------------------------------------------------------------------------


def test_perplexity_is_that_of_the_mixture():
    model = Trigrams(["a b"])
    words, pairs = 4, 1.0  # a, b, the end, and an unknown one; every pair and triple is certain
    each = 0.6 * pairs + 0.3 * pairs + 0.09 / 3 + 0.01 / words
    assert math.isclose(model.perplexity(["a b"]), 1 / each)
    assert model.perplexity(["b a"]) > 10
    assert math.isnan(model.perplexity([]))
    assert distinct(["a b a b"]) == 2 / 3
    with pytest.raises(ArgumentError, match="texts"):
        Trigrams([])


# -- the problem -----------------------------------------------------------------------------------


def test_the_judge_counts_what_texts_meet(problem):
    model = story_model(TINY)
    found = problem.judge(dict(model.state_dict()))
    sets = problem.sets(held_out=True)
    texts = generate(model, problem.tokenizer, problem.held_out, 12, 0.0).texts
    report = feasible.language.csr(texts, sets, story_judge)
    assert found.objective == -report.macro
    assert found.violation == max(1 - report.hard, 1 - found.metrics["fluency"])
    assert found.violations["keyword"] == 1 - report.by_kind["keyword"]
    assert found.metrics["satisfaction"] == report.mean
    assert found.tolerance == 0.5
    assert {"macro, local", "macro, global", "perplexity", "distinct-2"} <= set(found.metrics)


CHEATS = {
    "keywords": lambda text, one: keyword_list(one),
    "with the right number of words": lambda text, one: keyword_list(one, exact=True),
    "behind a story": lambda text, one: f"{text} {keyword_list(one, exact=True)}",
    "one word for ever": lambda text, one: " ".join(text.split()[:1] * 40),
    "a story backwards": lambda text, one: " ".join(text.split()[::-1]),
    "nothing": lambda text, one: "",
}


def test_lists_that_are_no_texts_are_no_feasible_answer_and_stories_are(monkeypatch):
    problem = stories_problem(n_texts=200, n_held_out=30, model=TINY, triplets=100)
    sets = problem.sets(held_out=True)
    stories = [s.text for s in write_stories(230, seed=0)][200:] * 2
    answer = dict(story_model(TINY).state_dict())

    def verdict(texts):
        def write(model, prompts, temperature):
            return written(problem.tokenizer, prompts, [texts[p] for p in prompts])

        monkeypatch.setattr(problem, "_write", write)
        return problem.confirm(answer, problem.judge(answer))

    real = verdict(dict(zip(problem.held_out, stories, strict=True)))
    assert real.feasible
    assert real.metrics["macro, local"] == 1
    for name, cheat in CHEATS.items():
        made = [cheat(text, one) for text, one in zip(stories, sets, strict=True)]
        found = verdict(dict(zip(problem.held_out, made, strict=True)))
        assert not found.feasible, name
        assert found.violations["fluency"] > 0.5 or name == "nothing"


def test_without_fluent_texts_fluency_is_no_limit(corpus):
    made = (story_model(TINY), StoryTokenizer(), corpus[:2], {"local": [corpus[2][1]]})
    problem = attribute_control(*made, story_judge, max_tokens=4)
    assert "fluency" not in problem.judge(dict(made[0].state_dict())).violations


def test_a_run_spends_what_it_writes_and_reads(problem):
    method = UltraGenRun(
        ar_steps=2, ar_batch=2, sets=2, n_samples=2, gpo_steps=1, gpo_batch=1, triplets=50
    )
    found = feasible.solve(problem, method, {"tokens": 5000}, seed=1)
    assert found.spent["samples"] == 4
    assert 0 < found.spent["tokens"] <= 5000
    assert "preferences are learnt" in found.stopped or "prefer" in found.stopped
    short = feasible.solve(problem, method, {"samples": 3}, seed=1)
    assert short.spent["samples"] == 0
    assert "budget" in short.stopped


def test_texts_that_a_budget_does_not_pay_for_are_charged_in_no_resource(corpus, trained):
    token = active_meter.set(meter := Meter({"tokens": 10_000, "samples": 1}))
    try:
        with pytest.raises(BudgetExhausted, match="samples"):
            trained.write([corpus[0][1], corpus[1][1]])
        assert not any(meter.spent.get(name) for name in ("tokens", "samples"))
        trained.write([corpus[0][1]])
        assert meter.spent["samples"] == 1
        assert 0 < meter.spent["tokens"] < 10_000
    finally:
        active_meter.reset(token)


def test_soft_attributes_without_a_judge_are_refused_before_anything_is_spent(corpus, trained):
    soft, hard = [Soft("mood: happy")], [Start("once")]
    made = (story_model(TINY), StoryTokenizer())
    with pytest.raises(ArgumentError, match=r"soft_judge: .* held_out has 'mood: happy'"):
        attribute_control(*made, [("Once a lamp.", hard)], {"local": [soft]})
    problem = attribute_control(*made, [("Once glad.", soft)], {"local": [hard]}, max_tokens=4)
    token = active_meter.set(meter := Meter({"tokens": 10_000, "samples": 10}))
    try:
        with pytest.raises(ArgumentError, match="soft_judge"):
            UltraGen(trained.model, trained.tokenizer, BRIEF).fit_gpo([soft])
        with pytest.raises(ArgumentError, match=r"soft_judge: .* data has"):
            UltraGenRun().init(problem, np.random.default_rng(0))
        assert not any(meter.spent.values())
    finally:
        active_meter.reset(token)
    assert choose(problem, {})[0] == "ultragen-ar"  # it asks for no judge
    UltraGenRun(strategy="none").init(problem, np.random.default_rng(0))


def test_a_soft_judge_that_hangs_or_dies_has_said_no(corpus):
    def judge(text, attribute):
        if attribute.text == "hangs":
            time.sleep(60)
        if attribute.text == "dies":
            os._exit(3)
        return True

    sets = {"local": [[Soft("hangs"), Soft("fine")], [Soft("dies"), Soft("fine")]]}
    made = (story_model(TINY), StoryTokenizer(), corpus[:2], sets, judge)
    problem = attribute_control(*made, 0.3, max_tokens=4, samples=1)
    with pytest.warns(ScoreWarning) as said:
        found = problem.judge(dict(made[0].state_dict()))
    assert found.objective == -0.5
    told = " ".join(str(w.message) for w in said)
    assert "soft_judge of 'hangs': no answer within 0.3 s; it counts as not met" in told
    assert "soft_judge of 'dies': its process ended, exit code 3" in told
    assert copy.deepcopy(problem.soft_judge)("text", Soft("fine"))
    with pytest.raises(ArgumentError, match="soft_timeout=0"):
        attribute_control(*made, 0.0)


def test_problems_without_sets_are_refused():
    made = (story_model(TINY), StoryTokenizer(), [("Once a lamp.", [Start("once")])])
    for held_out in ({}, {"local": []}, {"local": [[]]}):
        with pytest.raises(ArgumentError, match="held_out"):
            attribute_control(*made, held_out)
