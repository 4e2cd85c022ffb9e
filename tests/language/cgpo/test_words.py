"""CGPO on a small model of characters: tasks, trainer, runs."""

import copy
import time

import numpy as np
import pytest
import torch

import feasible
from feasible.core.budget import Budget, Meter, active_meter
from feasible.core.errors import ArgumentError, ArgumentTypeError, BudgetExhausted, CheckpointError
from feasible.language import (
    CODPO,
    CRPG,
    CRRAFT,
    CGPOConfig,
    CGPOTask,
    CGPOTrainer,
    LanguageProblem,
    Length,
    RegexAnswer,
    character_tokenizer,
    logp,
    written,
)
from feasible.language.cgpo import hackable, learning
from feasible.language.cgpo.losses import Rollouts
from feasible.language.cgpo.rules import BanditPPO, Lagrangian
from feasible.language.cgpo.words import WordsCODPO, WordsCRPG, WordsCRRAFT
from feasible.language.scoring import ScoreWarning

TOKENIZER = character_tokenizer(hackable.CHARACTERS)
SMALL = CGPOConfig(
    num_generations=3, prompts_per_step=4, max_completion_length=6, learning_rate=1e-3
)
(PROMPTS, COLUMNS), _ = hackable.orders("A", 0)
ROWS = [{"prompt": p, "answer": a} for p, a in zip(PROMPTS, COLUMNS["answer"], strict=True)]
LETTERS = [{"prompt": p} for p in hackable.orders("B", 0)[0][0]]


@pytest.fixture(scope="module")
def policy():
    return hackable.trained_policy(hackable.BRIEF)


def trainer(policy, args=SMALL, **more):
    if "tasks" not in more:
        more = {
            "reward_funcs": hackable.vowels,
            "judges": [Length(4)],
            "train_dataset": ROWS,
        } | more
    return CGPOTrainer(copy.deepcopy(policy), args, processing_class=TOKENIZER, **more)


def weights(of):
    return torch.cat([p.detach().flatten() for p in of.model.parameters()])


def sums_task(**more):
    return CGPOTask(ROWS, hackable.LearntReward(50), [RegexAnswer(r"^(\d+)$")], name="A", **more)


def letters_task(**more):
    return CGPOTask(LETTERS, hackable.vowels, [Length(4)], name="B", **more)


@pytest.mark.parametrize("rule", [CRPG(), CRRAFT(), CODPO()])
def test_one_task_of_weight_1_is_the_single_task_step_bit_for_bit(policy, rule):
    args = CGPOConfig(**{**vars(SMALL), "rule": rule})
    one = trainer(policy, args).fit(2)
    task = CGPOTask(ROWS, hackable.vowels, [Length(4)], weight=1.0)
    other = trainer(policy, args, tasks=[task]).fit(2)
    assert torch.equal(weights(one), weights(other))
    assert not torch.equal(weights(one), weights(trainer(policy)))


def test_a_run_and_the_trainer_take_the_same_steps(policy):
    native = trainer(policy).fit(2)
    data = {"answer": COLUMNS["answer"]}
    problem = LanguageProblem(
        policy, TOKENIZER, PROMPTS, PROMPTS, hackable.vowels, data, data, {"Length": Length(4)},
        max_tokens=6,
    )  # fmt: skip
    method = WordsCRPG(k=3, prompts=4)
    state = method.init(problem, np.random.default_rng(0))
    for _ in range(2):
        state = method.step(problem, state)
    assert torch.equal(torch.cat([p.flatten() for p in state.model.parameters()]), weights(native))


def test_tasks_are_blended_as_the_weighted_sum_of_their_gradients(policy):
    """By plain descent on the gradient that the optimiser is given."""
    found = {}

    def gradient(tasks):
        of = trainer(policy, CGPOConfig(**{**vars(SMALL), "max_grad_norm": None}), tasks=tasks)
        of.step()
        return torch.cat([p.grad.flatten() for p in of.model.parameters()])

    a, b = sums_task(weight=0.3, rule=CODPO()), letters_task(weight=0.7, rule=CODPO())
    found["both"] = gradient([a, b])
    found["a"] = gradient([a, letters_task(weight=1e-30, rule=CODPO())])
    found["b"] = gradient([sums_task(weight=1e-30, rule=CODPO()), b])
    assert torch.allclose(found["both"], found["a"] + found["b"], atol=1e-6)
    assert found["a"].abs().max() > 1e-4


def test_a_trainer_goes_on_from_a_checkpoint_to_the_same_weights(policy, tmp_path):
    tasks = [sums_task(rule=CRRAFT()), letters_task(rule=CODPO())]
    whole = trainer(policy, tasks=tasks).fit(1)
    whole.save_checkpoint(tmp_path / "at-1")
    whole.fit(1)
    again = trainer(policy, CGPOConfig(**{**vars(SMALL), "max_steps": 2}), tasks=tasks)
    again.train(resume_from_checkpoint=tmp_path / "at-1")
    assert torch.equal(weights(whole), weights(again))
    assert set(again.report()) == {"A", "B"}
    assert 0 <= again.report()["A"]["satisfied, RegexAnswer"] <= 1
    (tmp_path / "bad").write_bytes(b"nothing")
    with pytest.raises(CheckpointError):
        again.load_checkpoint(tmp_path / "bad")


def test_the_log_ratio_of_the_policy_at_the_beginning_is_0_also_of_short_responses(policy):
    problem = hackable.hackable_orders("A")
    method = WordsCRPG(k=4, prompts=8)
    state = method.init(problem, np.random.default_rng(0))
    drawn = learning.draw(problem, method, method, state.task, state.model)
    lengths, ref_logp = drawn.fixed["lengths"], drawn.fixed["ref_logp"]
    assert int(lengths.min()) < int(lengths.max())
    learning.loss_of(problem, method, state.task, state.model, drawn)
    assert torch.allclose(drawn.old_logp, ref_logp, atol=1e-4)
    assert abs(state.task.metrics["kl"]) < 1e-4
    for i, row in enumerate(drawn.rows):  # each is the sum over its own tokens alone
        r = drawn.responses[[4 * i]]
        alone = logp(problem.reference, r).logp.sum()
        assert torch.isclose(ref_logp[i, 0], alone, atol=1e-4), row


def test_baselines_are_drawn_once_and_a_column_gives_others():
    problem = hackable.hackable_orders("A")
    state = learning.begin(problem, np.random.default_rng(0))
    settings = learning.LearningSettings(k=2, prompts=len(problem.prompts), baseline="answer")
    drawn = learning.draw(problem, settings, CRRAFT(), state, problem.model())
    texts = [problem.data["answer"][row] for row in drawn.rows]
    wanted = written(TOKENIZER, [problem.prompts[row] for row in drawn.rows], texts)
    assert torch.equal(drawn.baselines.ids, wanted.ids)
    assert bool(drawn.fixed["base_judged"].all())  # the right answers are right
    kept = dict(state.baselines)
    learning.draw(problem, settings, CRRAFT(), state, problem.model())
    assert state.baselines == kept


def test_a_prompt_that_is_taken_twice_in_a_step_has_one_baseline():
    problem = hackable.hackable_orders("B")
    n = len(problem.prompts)
    settings = learning.LearningSettings(k=2, prompts=2 * n)
    meter = Meter(Budget(samples=10**6))
    token = active_meter.set(meter)
    try:
        state = learning.begin(problem, np.random.default_rng(0))
        learning.draw(problem, settings, CRPG(), state, problem.reference)
    finally:
        active_meter.reset(token)
    assert meter.spent["samples"] == n + 2 * n * 2


def test_a_response_that_did_not_end_is_penalised_as_its_baseline_is():
    problem = hackable.hackable_orders("B")
    problem.max_tokens = 3
    draws = []
    for penalty in (None, 3.0):
        settings = learning.LearningSettings(k=4, prompts=20, missing_eos_penalty=penalty)
        state = learning.begin(problem, np.random.default_rng(0))
        draws.append(learning.draw(problem, settings, CRPG(), state, problem.model()))
    ended = draws[0].responses.ended(TOKENIZER).reshape(20, 4)
    base_ended = draws[0].baselines.ended(TOKENIZER)
    assert not bool(ended.all())
    less = draws[0].fixed["reward"] - draws[1].fixed["reward"]
    assert torch.allclose(less, 3.0 * (~ended).float())
    base_less = draws[0].fixed["base_reward"] - draws[1].fixed["base_reward"]
    assert torch.allclose(base_less, 3.0 * (~base_ended).float())


def test_a_reward_that_does_not_apply_or_fails_teaches_nothing():
    problem = hackable.hackable_orders(
        "B", reward=lambda completions, **_: [None if len(c) > 3 else 1.0 for c in completions]
    )
    state = learning.begin(problem, np.random.default_rng(0))
    settings = learning.LearningSettings(k=4, prompts=20)
    drawn = learning.draw(problem, settings, CRPG(), state, problem.model())
    long = torch.tensor([len(t) > 3 for t in drawn.responses.texts]).reshape(20, 4)
    assert bool(long.any())
    assert not bool((drawn.fixed["judged"] & long).any())


def test_judges_that_contradict_each_other_are_named_once_many_responses_were_seen():
    problem = hackable.hackable_orders("B")
    problem.limits, problem.judges = None, {"short": Length(2), "long": Length(8, 5)}
    problem.__post_init__()
    method = WordsCODPO(k=8, prompts=25)
    with pytest.warns(UserWarning, match="'short' and 'long' together"):
        found = feasible.solve(problem, method, {"samples": 225}, seed=0)
    assert any("together" in note for note in found.notes)


@pytest.mark.parametrize("warm_up", [0, 1])
def test_a_kl_max_below_what_the_judges_need_is_said(warm_up):
    problem = hackable.hackable_orders("A")
    method = WordsCRRAFT(k=4, prompts=16, kl_max=0.01, warm_up=warm_up)
    state = method.init(problem, np.random.default_rng(0))
    problem.limits, problem.judges = None, {"short": Length(4)}
    problem.__post_init__()
    with pytest.warns(UserWarning, match=r"kl_max=0\.01 is below"):
        method.step(problem, state)


def test_a_reward_learnt_from_people_of_little_care_rewards_length():
    reward = hackable.LearntReward(500, seed=1)
    assert reward(["12!!!!"])[0] > reward(["12"])[0] + 0.5


def test_few_responses_that_no_judge_accepts_are_said_too():
    problem = hackable.hackable_orders("B")
    problem.limits, problem.judges = {"never": ">= 0.9"}, {"never": lambda completions, **_: [
        False for _ in completions
    ], "short": Length(2)}  # fmt: skip
    problem.__post_init__()
    found = feasible.solve(problem, WordsCRPG(k=4, prompts=8), {"samples": 60}, seed=0)
    assert "of 32 responses none satisfies 'never'" in found.notes
    assert "of 32 responses none satisfies 'never'" in str(found)
    assert found.verdict.violations == {"never": 1.0}


@pytest.mark.parametrize("rule", [CRPG(), CRRAFT(), CODPO(), Lagrangian(), BanditPPO(steps=3)])
def test_an_iteration_charges_each_pass_and_a_budget_may_end_at_any(rule, monkeypatch):
    """By the charges of one iteration: a limit just below each sum stops before that charge."""
    problem = hackable.hackable_orders("B")
    settings = learning.LearningSettings(k=3, prompts=4)

    def iteration(tokens):
        state, model = learning.begin(problem, np.random.default_rng(0)), problem.model()
        meter = Meter(Budget(tokens=tokens))
        token = active_meter.set(meter)
        try:
            adam = torch.optim.Adam(model.parameters())
            learning.iterate([(problem, settings, rule, 1.0, state)], model, adam, 1.0)
        finally:
            active_meter.reset(token)
            assert meter.spent["tokens"] <= tokens
        return meter

    passes = []
    run = problem.logp

    def noting(model, responses):
        passes.append((model is problem.reference, responses.tokens))
        return run(model, responses)

    monkeypatch.setattr(problem, "logp", noting)
    whole = iteration(10**6).spent["tokens"]
    (_, baselines), (_, responses), *policy = passes  # of the reference, then of the policy
    assert [reference for reference, _ in passes] == [True, True] + [False] * len(policy)
    fallback = policy[rule.epochs :]
    assert policy[: rule.epochs] == [(False, responses)] * rule.epochs
    assert not fallback or (isinstance(rule, CRRAFT) and fallback[0][1] <= baselines)
    assert whole == baselines + responses + sum(tokens for _, tokens in passes)
    spent = baselines + responses
    for i, (_, tokens) in enumerate(tuple(passes)):
        spent += tokens
        with pytest.raises(BudgetExhausted):
            iteration(spent - responses * (i == 0) - 1)


def test_a_baseline_is_asked_for_only_where_the_rule_falls_back_on_it():
    """The loss is that with the policy's pass on all baselines."""
    problem = hackable.hackable_orders("A")
    settings, rule = learning.LearningSettings(k=2, prompts=16, baseline="answer"), CRRAFT()
    state, model = learning.begin(problem, np.random.default_rng(0)), problem.model()
    drawn = learning.draw(problem, settings, rule, state, model)
    found = learning.loss_of(problem, rule, state, model, drawn)
    of_all = logp(model, drawn.baselines).logp.sum(1)
    all_of_it = Rollouts(
        logp(model, drawn.responses).logp.sum(1).reshape(16, 2), **drawn.fixed, base_logp=of_all
    )
    asked = rule.falls_back(all_of_it)
    assert 0 < int(asked.sum()) < 16
    one, other = (
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        for loss in (found, rule.loss(all_of_it))
    )
    assert torch.allclose(one, other, atol=1e-6)
    assert one.abs().max() > 1e-3


def test_a_rule_of_one_step_takes_one_beside_a_rule_of_several(policy):
    problem = hackable.hackable_orders("B")
    settings, steps = learning.LearningSettings(k=2, prompts=4), []

    class Noting(CODPO):
        def loss(self, seen, multiplier=0.0):
            steps.append(1)
            return super().loss(seen, multiplier)

    model = problem.model()
    tasks = [
        (problem, settings, rule, 0.5, learning.begin(problem, np.random.default_rng(0)))
        for rule in (Noting(), BanditPPO(steps=3))
    ]
    adam = torch.optim.Adam(model.parameters())
    assert learning.iterate(tasks, model, adam, 1.0) == ""
    assert len(steps) == 1


def test_a_gradient_that_is_no_number_ends_the_run_and_changes_no_weight(policy):
    class Steep(CRPG):
        def loss(self, seen, multiplier=0.0):
            return (seen.logp.sum() * 0).sqrt() + 1

    of = trainer(policy, CGPOConfig(**{**vars(SMALL), "rule": Steep()}))
    before = weights(of)
    assert "gradient is nan" in of.step()
    assert torch.equal(weights(of), before)
    assert of.step() == of.state.ended


def test_empty_responses_are_learnt_from(policy):
    """A response of its end alone, and rows of nothing but padding behind it."""
    problem = hackable.hackable_orders("B", reward=lambda completions, **_: [
        -float(len(c)) for c in completions
    ])  # fmt: skip
    problem.limits, problem.judges = None, {"empty": lambda completions, **_: [
        c == "" for c in completions
    ]}  # fmt: skip
    problem.__post_init__()
    model = problem.model()
    with torch.no_grad():  # every response ends at once
        head = model.get_output_embeddings()
        head.weight.zero_()
        bias = torch.zeros(len(head.weight))
        bias[TOKENIZER.eos_token_id] = 50.0
        head.bias = torch.nn.Parameter(bias)
    state = learning.begin(problem, np.random.default_rng(0))
    settings = learning.LearningSettings(k=3, prompts=4)
    for rule in (CRPG(), CRRAFT(), CODPO()):
        drawn = learning.draw(problem, settings, rule, state, model)
        assert drawn.responses.texts == [""] * 12
        assert bool(drawn.fixed["judged"].all())
        assert bool(torch.isfinite(learning.loss_of(problem, rule, state, model, drawn)))


def test_a_judge_of_no_number_has_said_no_to_that_response(policy):
    def odd(completions, **columns):
        return [float("nan") if len(c) % 2 else True for c in completions]

    with pytest.warns(ScoreWarning, match="it returned nan"):
        of = trainer(policy, judges=[odd, Length(9)]).fit(1)
    assert of.report()["task"]["satisfied"] == of.report()["task"]["satisfied, odd"] < 1


def test_a_judge_that_hangs_has_said_no_and_the_training_goes_on(policy):
    def short(completions, **columns):
        if len(completions[0]) % 2:
            time.sleep(60)
        return [True]

    args = CGPOConfig(**{**vars(SMALL), "prompts_per_step": 1, "timeout": 0.2})
    with pytest.warns(ScoreWarning, match="no answer within 0.2 s"):
        of = trainer(policy, args, judges=[short]).fit(1)
    assert of.state.steps == 1
    assert of.report()["task"]["satisfied"] < 1


def test_bad_tasks_are_named(policy):
    for change, error, match in (
        ({"tasks": [sums_task(weight=0.0)]}, ArgumentError, "weights are all 0"),
        ({"tasks": []}, ArgumentTypeError, "tasks"),
        ({"train_dataset": []}, ArgumentError, "no rows"),
        ({"train_dataset": [{"text": "x"}]}, ArgumentTypeError, "'prompt'"),
        ({"reward_funcs": None}, ArgumentTypeError, "reward_funcs"),
        ({"judges": [3]}, ArgumentTypeError, "judges"),
        ({"args": CGPOConfig(baseline="no", max_completion_length=6)}, ArgumentError, "baseline"),
    ):
        with pytest.raises(error, match=match):
            trainer(policy, **change).fit(1)
    for name, value in (
        ("num_generations", 1),
        ("learning_rate", 0.0),
        ("missing_eos_penalty", -1.0),
    ):
        with pytest.raises(ArgumentError, match=name):
            CGPOConfig(**{name: value})
    with pytest.raises(ArgumentError, match="weight"):
        sums_task(weight=-1.0)
