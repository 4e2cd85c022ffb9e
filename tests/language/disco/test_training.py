"""Steps of learning, the trainer, and runs."""

from __future__ import annotations

import copy
import math
import re

import numpy as np
import pytest
import torch

import feasible
from feasible.core import errors
from feasible.language import (
    CharacterSettings,
    DisCO,
    LanguageProblem,
    RLVRSettings,
    RLVRTrainer,
    character_model,
    character_tokenizer,
)
from feasible.language.disco import training
from feasible.language.disco.peers import whole_groups

TINY = CharacterSettings(context=8, layers=1, width=16, heads=2)
TOKENIZER, MODEL = character_tokenizer(TINY.characters), character_model(TINY)
PROMPTS = [f"{a}=" for a in range(8)]
SMALL = RLVRSettings(group=4, questions=4, minibatches=2, rate=3e-3)


def starts_low(completions, **_):
    """1 where a response begins with a digit below 5."""
    return [float(c[:1] in set("01234")) for c in completions]


def problem(reward=starts_low, **more):
    return LanguageProblem(MODEL, TOKENIZER, PROMPTS, PROMPTS, reward, max_tokens=2, **more)


def trainer(settings=SMALL, reward=starts_low, **more):
    return RLVRTrainer(copy.deepcopy(MODEL), TOKENIZER, reward, settings, max_tokens=2, **more)


@pytest.mark.parametrize(
    "loss", ["disco", "disco-b", "grpo", "grpo-er", "dr-grpo", "dapo", "trpa", "rloo"]
)
def test_every_loss_learns_a_reward_that_is_easy(loss):
    loose = {"delta": 0.1} if loss in ("disco", "disco-b") else {}
    learner = trainer(
        RLVRSettings(loss=loss, group=8, questions=4, minibatches=2, rate=1e-2, **loose)
    )
    rows = learner.fit(PROMPTS, 8)
    assert rows[0]["reward"] < 0.6
    assert max(row["reward"] for row in rows[-3:]) > rows[0]["reward"] + 0.1
    assert learner.evaluate(PROMPTS)["kl"] > 0


def test_every_question_comes_once_before_any_comes_again():
    state = training.begin(SMALL, copy.deepcopy(MODEL), np.random.default_rng(0))
    seen = [q for _ in range(6) for q in training.next_questions(state, 4, 8)]
    for i in range(0, 24, 8):
        assert sorted(seen[i : i + 8]) == list(range(8))


def test_groups_stay_whole_and_each_has_one_question(monkeypatch):
    seen = []
    loss = training._loss
    p = problem()

    def noting(settings, oracles, now, old, responses, reward, group, reference):
        for g in group.unique():
            rows = (group == g).nonzero()[:, 0]
            seen.append({tuple(responses.prompt_ids[i].tolist()) for i in rows})
            assert len(rows) == 4
        return loss(settings, oracles, now, old, responses, reward, group, reference)

    monkeypatch.setattr(training, "_loss", noting)
    state = training.begin(SMALL, p.model(), np.random.default_rng(0))
    training.iterate(SMALL, p, state)
    assert len(seen) == 4
    assert all(len(prompts) == 1 for prompts in seen)
    assert state.updates == 2


def test_the_first_update_of_a_sampling_is_on_policy_and_the_constraint_can_act_later(
    monkeypatch,
):
    seen = []
    loss = training._loss
    monkeypatch.setattr(training, "_loss", lambda *a: seen.append(loss(*a)) or seen[-1])
    settings = RLVRSettings(group=4, questions=8, minibatches=4, rate=3e-2)
    p = problem()
    state = training.begin(settings, p.model(), np.random.default_rng(0))
    for _ in range(3):
        training.iterate(settings, p, state)
    kl = [float(out.kl) for out in seen]
    assert [kl[i] for i in (0, 4, 8)] == [0.0, 0.0, 0.0]
    assert all(kl[i] != 0 for i in (1, 2, 3))
    assert state.above == sum(k > settings.delta for k in kl) > 0


def test_dapo_draws_again_until_every_group_teaches_something():
    asked = []

    def mostly_equal(completions, prompts, **_):
        asked.append(len(completions))
        return [float(i % 2) if p in ("1=", "2=") else 1.0
                for i, p in enumerate(prompts)]  # fmt: skip

    settings = RLVRSettings(loss="dapo", group=2, questions=4, minibatches=2)
    p = problem(mostly_equal)
    state = training.begin(settings, p.model(), np.random.default_rng(0))
    drawn = training._draw(settings, p, state)
    assert len(drawn.responses) == 8
    assert np.ptp(drawn.raw.reward.reshape(4, 2), axis=1).tolist() == [1, 1, 1, 1]
    assert drawn.asked == sum(asked) // 2 > 4
    nothing = training._draw(settings, problem(lambda completions, **_: [1.0] * len(completions)),
                             state)  # fmt: skip
    assert nothing.asked == 40


def test_long_responses_lose_reward_in_dapo_alone():
    p = problem(lambda completions, **_: [1.0] * len(completions))
    for loss in ("dapo", "grpo"):
        own = {"overlong": 1, "dynamic": False} if loss == "dapo" else {}
        settings = RLVRSettings(loss=loss, group=2, questions=4, minibatches=2, **own)
        state = training.begin(settings, p.model(), np.random.default_rng(0))
        drawn = training._draw(settings, p, state)
        fell = drawn.reward < 1
        longest = (drawn.responses.lengths == 2).numpy()
        assert (fell == (longest if loss == "dapo" else False)).all()
        assert (drawn.raw.reward == 1).all()


# -- the trainer -----------------------------------------------------------------------------------


def test_a_trainer_that_was_saved_goes_on_to_the_same_end(tmp_path):
    whole = trainer(seed=3)
    whole.fit(PROMPTS, 4)
    first, second = trainer(seed=3), trainer(seed=9)
    first.fit(PROMPTS, 2)
    first.save(tmp_path / "state")
    second.resume(tmp_path / "state")
    second.fit(PROMPTS, 2)
    assert second.history == whole.history
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_is_no_model_or_tokenizer_is_named():
    for model, tokenizer, said in (
        (None, TOKENIZER, "model=None"),
        (MODEL, None, "tokenizer=None"),
        (MODEL, PROMPTS, "tokenizer="),
    ):
        with pytest.raises(errors.ArgumentTypeError, match=said):
            RLVRTrainer(model, tokenizer, starts_low)


def test_a_budget_of_tokens_is_never_passed():
    learner = trainer()
    rows = learner.fit(PROMPTS, 100, budget={"tokens": 700})
    assert 0 < len(rows) < 100
    assert sum(row["tokens"] for row in rows) <= 700


@pytest.mark.parametrize("loss", ["disco", "grpo", "dapo"])
def test_steps_cost_no_more_than_was_projected(loss):
    settings = RLVRSettings(
        loss=loss, group=2, questions=4, minibatches=2, **({"rounds": 3} if loss == "dapo" else {})
    )
    learner = trainer(settings)
    cost = learner.projected(PROMPTS, 2)
    assert len(learner.fit(PROMPTS, 2, budget=cost)) == 2
    assert cost["samples"] == 2 * 8 * (3 if loss == "dapo" else 1)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_nan_ends_it_with_the_policy_as_it_was(where, monkeypatch):
    learner, loss = trainer(), training._loss

    def broken(*given):
        out = loss(*given)
        if where == "loss":
            out.loss = out.loss * math.nan
        else:
            out.loss = out.loss + (given[2].logp[0, 0] - given[2].logp[0, 0].detach()).sqrt()
        return out

    monkeypatch.setattr(training, "_loss", broken)
    with pytest.raises(errors.Diverged, match=f"the {where} of update 1 is"):
        learner.fit(PROMPTS, 1)
    for one, other in zip(learner.model.parameters(), MODEL.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_policy_of_nan_is_said_so():
    learner = trainer()
    with torch.no_grad():
        learner.model.transformer.ln_f.bias.fill_(math.nan)
    with pytest.raises(errors.NotFinite, match="model: its logits"):
        learner.fit(PROMPTS, 1)


def test_figures_are_raw():
    learner = trainer(reward=lambda completions, **_: [1.0, 0.0] * (len(completions) // 2))
    (row,) = learner.fit(PROMPTS, 1)
    assert row["reward"] == 0.5
    assert row["frac_reward_zero_std"] == 0
    assert row["valid_fraction"] == 1


def test_rewards_that_do_not_apply_leave_a_group_smaller_and_none_at_all_is_an_error():
    learner = trainer(reward=lambda completions, **_: [1.0, 0.0, None, None] * 4)
    (row,) = learner.fit(PROMPTS, 1)
    assert row["reward"] == 0.5
    with pytest.raises(errors.EvaluationFailed, match="does not apply"):
        trainer(reward=lambda completions, **_: [None] * len(completions)).fit(PROMPTS, 1)
    with pytest.raises(errors.ArgumentError, match=r"reward: 0\.5"):
        trainer(reward=lambda completions, **_: [0.5] * len(completions)).fit(PROMPTS, 1)


# -- runs ------------------------------------------------------------------------------------------


def test_a_run_keeps_the_policy_it_began_with_and_says_what_it_did():
    p = problem()
    before = {k: v.clone() for k, v in p.reference.state_dict().items()}
    found = feasible.solve(p, DisCO(group=4, questions=4, minibatches=2, rate=1e-2, delta=0.1),
                           {"samples": 160}, seed=100)  # fmt: skip
    assert found.spent["samples"] == 160
    assert found.verdict.objective < found.trail[0].verdict.objective or math.isclose(
        found.verdict.metrics["reward, drawn"], 1.0
    )
    for k, v in p.reference.state_dict().items():
        assert torch.equal(v, before[k])
    assert any("updates began" in r for r in DisCO().remarks(p, training.RLVRState(
        None, None, np.random.default_rng(0), np.zeros(0), metrics={"frac_reward_zero_std": 0.0}
    )))  # fmt: skip


@pytest.mark.parametrize("name", ["disco", "grpo", "trpa", "crraft", "codpo"])
def test_a_run_says_first_what_it_can_spend_and_spends_no_more(name, capsys):
    p = problem(judges={"low": starts_low}, paid={"low": 1})
    small = "k=4,prompts=4" if name in ("crraft", "codpo") else "group=4,questions=4,minibatches=2"
    found = feasible.solve(p, f"{name}[{small}]", {"samples": 64}, seed=100)
    said = capsys.readouterr().err.splitlines()[0]
    most = re.fullmatch(r"projected: at most (\d+) samples, (\d+) tokens, (\d+) calls; .*", said)
    assert [int(n) for n in most.groups()][::2] == [64, 64]
    assert found.spent["samples"] > 32
    assert found.spent["tokens"] <= int(most[2]) <= 2.2 * found.spent["tokens"]
    assert found.spent["calls"] <= 64


def test_a_budget_for_less_than_a_step_is_said_before_and_after(capsys):
    for budget in ({"samples": 15}, {"tokens": 63}):
        found = feasible.solve(
            problem(), DisCO(group=4, questions=4, minibatches=2), budget, seed=100
        )
        said = capsys.readouterr().err
        least = {"samples": 16, "tokens": 64}
        (name,) = budget
        assert f"a step needs {least[name]} {name}, the budget has {budget[name]}" in said
        assert "the budget ended before the first step did" in found.notes
    feasible.solve(problem(), DisCO(group=4, questions=4, minibatches=2), {"samples": 16}, seed=100)
    assert "a step needs" not in capsys.readouterr().err


def test_a_problem_with_limits_is_refused():
    limited = problem(judges={"short": starts_low}, limits={"short": ">= 1"})
    with pytest.raises(errors.UnsupportedConstraint, match="limits on short"):
        feasible.solve(limited, DisCO(), {"samples": 10})


@pytest.mark.parametrize("loss", ["disco", "grpo-er", "dapo", "trpa"])
def test_responses_that_are_empty_teach_without_a_nan(loss):
    learner = trainer(
        RLVRSettings(loss=loss, group=2, questions=2, minibatches=2, rate=1e-3),
        lambda completions, **_: [float(i % 2) for i in range(len(completions))],
    )
    head, end = learner.model.get_output_embeddings(), TOKENIZER.eos_token_id
    wanted = learner.model.transformer.ln_f
    with torch.no_grad():  # the same hidden state everywhere, which says that the text ends
        wanted.weight.zero_()
        wanted.bias.copy_(head.weight[end] * 1e4)
    (row,) = learner.fit(PROMPTS, 1)
    assert row["length"] == row["ended"] == 1.0
    assert all(math.isfinite(v) for v in row.values())


def test_wherever_the_budget_ends_the_answer_is_of_the_last_update_within_it():
    p, once = problem(), {"samples": 12, "tokens": 84}
    small = {"group": 2, "questions": 3, "minibatches": 2, "rate": 1e-2}
    answers = []
    for tokens in range(1, once["tokens"], 20):
        found = feasible.solve(p, DisCO(**small), {"tokens": tokens}, seed=100)
        assert found.spent["tokens"] <= tokens
        answers.append(found.answer["transformer.wte.weight"])
        assert found.verdict == p.confirm(found.answer, p.judge(found.answer))
    moved = [not torch.equal(a, MODEL.transformer.wte.weight) for a in answers]
    assert not moved[0]
    assert moved[-1]
    assert moved == sorted(moved)


def test_a_run_that_goes_on_asks_for_nothing_twice_and_draws_the_same(tmp_path):
    def run(asked, store, interrupted):
        def judge(completions, prompts, **_):
            asked.extend(zip(prompts, completions, strict=True))
            return starts_low(completions)

        def stop(point):
            if interrupted and point.spent.get("samples", 0) >= 32:
                raise KeyboardInterrupt

        p = problem(judge, paid={"reward": 1})
        p.judge = lambda answer: feasible.core.verdict.Verdict(0.0)  # which asks for itself too
        p.confirm = lambda answer, verdict: verdict
        return feasible.solve(
            p, DisCO(group=4, questions=4, minibatches=2, rate=1e-2), {"samples": 64},
            seed=100, store=store, name="r", observers=[stop],
        )  # fmt: skip

    whole, parts = [], []
    once = run(whole, f"sqlite:///{tmp_path}/whole.db", False)
    first = run(parts, f"sqlite:///{tmp_path}/parts.db", True)
    assert first.stopped.startswith("interrupted")
    assert 0 < len(parts) < len(whole)
    again = run(parts, f"sqlite:///{tmp_path}/parts.db", False)
    assert parts == whole
    assert len(set(whole)) == len(whole) == once.spent["calls"] == again.spent["calls"]
    for name, value in once.answer.items():
        assert torch.equal(value, again.answer[name])


def test_a_file_that_is_no_state_of_learning_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "state").write_bytes(b"cbuiltins\nopen\n(V" + str(mark).encode() + b"\nVw\ntR.")
    with pytest.raises(errors.CheckpointError, match="not a checkpoint"):
        trainer().resume(tmp_path / "state")
    assert not mark.exists()


# -- TRL -------------------------------------------------------------------------------------------


def test_mini_batches_are_of_whole_groups():
    drawn = {
        "completion_ids": torch.arange(24)[:, None],
        "advantages": torch.arange(24.0),
        "names": [str(i) for i in range(24)],
        "num_items_in_batch": torch.tensor(7),
        "none": None,
    }
    parts = whole_groups(drawn, 3, 4)
    assert len(parts) == 4
    seen = []
    for part in parts:
        rows = part["advantages"].long().reshape(-1, 3)
        assert (rows[:, 0] % 3 == 0).all()
        assert (rows == rows[:, :1] + torch.arange(3)).all()
        assert torch.equal(part["group"], part["advantages"].long() // 3)
        assert part["names"] == [str(i) for i in rows.reshape(-1).tolist()]
        assert part["num_items_in_batch"] == 7
        seen += rows.reshape(-1).tolist()
    assert sorted(seen) == list(range(24))


def grpo_arguments(folder, **more):
    """What a small training of TRL takes."""
    from feasible.language.disco import DisCOConfig

    return DisCOConfig(
        str(folder),
        **{
            "per_device_train_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 2,
            "learning_rate": 1e-2,
            "max_steps": 8,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": [],
            "use_cpu": True,
            "bf16": False,
            "disable_tqdm": True,
            **more,
        },
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_trainer_of_trl_makes_four_updates_of_whole_groups_on_a_sampling(tmp_path):
    from datasets import Dataset

    from feasible.language.disco import DisCOTrainer

    args = grpo_arguments(tmp_path, disco_delta=1e-3)
    assert args.steps_per_generation == 4
    learner = DisCOTrainer(
        model=character_model(TINY),
        args=args,
        reward_funcs=starts_low,
        train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
        processing_class=TOKENIZER,
    )
    seen, loss = [], learner._compute_loss
    learner._compute_loss = lambda model, given: seen.append(given) or loss(model, given)
    before = {k: v.clone() for k, v in learner.model.state_dict().items()}
    learner.train()
    rows = [row for row in learner.state.log_history if "disco/kl" in row]
    assert len(rows) == len(seen) == 8
    assert [rows[i]["disco/kl"] for i in (0, 4)] == [0.0, 0.0]
    assert all(rows[i]["disco/kl"] != 0 for i in (1, 2, 3))
    for given in seen:
        for g in given["group"].unique():
            prompts = given["prompt_ids"][given["group"] == g]
            assert len(prompts) == 4
            assert (prompts == prompts[0]).all()
    assert any((v != before[k]).any() for k, v in learner.model.state_dict().items())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_trainer_of_trl_goes_on_from_a_checkpoint_to_the_same_weights(tmp_path):
    from datasets import Dataset

    from feasible.language.disco import DisCOTrainer

    def made(folder):
        kept = {"save_strategy": "steps", "save_steps": 3, "max_steps": 10, "save_total_limit": 9}
        return DisCOTrainer(
            model=character_model(TINY),
            args=grpo_arguments(tmp_path / folder, **kept),
            reward_funcs=starts_low,
            train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
            processing_class=TOKENIZER,
        )

    def weights(learner):
        return [*learner.model.state_dict().values()]

    whole = made("whole")
    whole.train()
    assert whole.state.epoch > 2  # prompts come in a third order, and samplings are cut at 3 and 6
    for step in (3, 6, 9):
        again = made("again")
        again.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
        assert all(map(torch.equal, weights(again), weights(whole)))

    last = tmp_path / "whole" / "checkpoint-6"
    (drawn,) = last.glob("drawn-*")
    drawn.write_bytes(drawn.read_bytes()[:40])
    with pytest.raises(errors.CheckpointError, match="damaged"):
        made("again").train(resume_from_checkpoint=str(last))
    drawn.unlink()  # as where it was killed before the file was written
    with pytest.warns(UserWarning, match="drawn anew"):
        made("again").train(resume_from_checkpoint=str(last))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"per_device_train_batch_size": 6}, "multiple of num_generations=4"),
        ({"disco_tau": 0.0}, "tau=0"),
        ({"scale_rewards": "group"}, "scale_rewards='group'"),
        ({"num_iterations": 2}, "num_iterations=2"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(more, said, tmp_path):
    with pytest.raises(errors.ArgumentError, match=said):
        grpo_arguments(tmp_path, **more)


def test_a_setting_that_the_loss_does_not_have_is_refused():
    with pytest.raises(errors.ArgumentError, match=r"tau=1\.0: the loss 'grpo' has no"):
        RLVRSettings(loss="grpo", tau=1.0)
