"""Responses and their log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feasible.core import errors
from feasible.language import (
    CharacterSettings,
    PromptTooLong,
    character_model,
    character_tokenizer,
    generate,
    logp,
    train_characters,
    written,
)
from feasible.language.small import addition_pairs

TINY = CharacterSettings(context=12, layers=1, width=16, heads=2)
PROMPTS = ["1+2=", "012+34=", "9="]


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer(TINY.characters)


@pytest.fixture(scope="module")
def model():
    return character_model(TINY).double()


def table(model, r, temperature):
    """Log-probabilities of all tokens, from the model's logits."""
    ids = torch.cat((r.prompt_ids, r.ids), 1)
    mask = torch.cat((r.prompt_mask, r.mask), 1).long()
    places = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=places).logits
    return (logits[:, r.prompt_ids.shape[1] - 1 : -1] / temperature).log_softmax(-1)


def test_text_comes_back_from_its_tokens(tokenizer):
    assert tokenizer.decode(tokenizer("012+345=")["input_ids"]) == "012+345="
    assert tokenizer("a1 ")["input_ids"] == [1]


@pytest.mark.parametrize("at_once", [15, 1 << 20])
def test_values_and_gradients_are_those_of_the_whole_table(model, tokenizer, at_once):
    r = generate(model, tokenizer, PROMPTS, 4, seed=1)
    w = torch.randn(r.ids.shape, dtype=torch.float64, generator=torch.manual_seed(0))
    found = logp(model, r, 0.7, entropy_gradient=True, at_once=at_once)
    mine = torch.autograd.grad(
        (w * found.logp + w.flip(0) * found.entropy).sum(), list(model.parameters())
    )
    every = table(model, r, 0.7)
    picked = every.gather(-1, r.ids[..., None])[..., 0] * r.mask
    entropy = -(every.exp() * every).sum(-1) * r.mask
    theirs = torch.autograd.grad((w * picked + w.flip(0) * entropy).sum(), list(model.parameters()))
    torch.testing.assert_close(found.logp, picked, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.entropy, entropy, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_a_model_that_cannot_be_taken_apart_gives_the_same(model, tokenizer, monkeypatch):
    r = generate(model, tokenizer, PROMPTS, 4, seed=1)
    apart = logp(model, r)
    monkeypatch.setattr(model.config, "logit_scale", 0.5, raising=False)
    whole = logp(model, r)
    torch.testing.assert_close(whole.logp, apart.logp, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.entropy, apart.entropy, rtol=1e-12, atol=1e-12)


def test_padding_changes_nothing(model, tokenizer):
    together = generate(model, tokenizer, PROMPTS, 4, temperature=0)
    for i, prompt in enumerate(PROMPTS):
        alone = generate(model, tokenizer, [prompt], 4, temperature=0)
        assert alone.texts[0] == together.texts[i]
        n = int(alone.mask.sum())
        torch.testing.assert_close(logp(model, alone).logp[0], logp(model, together).logp[i, :n])
        torch.testing.assert_close(
            logp(model, together[[i]]).logp[0], logp(model, together).logp[i, :n]
        )


def test_draws_have_the_model_s_own_frequencies(model, tokenizer):
    r = generate(model, tokenizer, ["1="] * 3000, 1, temperature=2.0, seed=3)
    share = torch.bincount(r.ids[:, 0], minlength=14) / 3000
    torch.testing.assert_close(
        share.double(), table(model, r[[0]], 2.0)[0, 0].exp(), atol=0.03, rtol=0
    )


def test_a_seed_gives_its_responses_and_leaves_global_streams_alone(model, tokenizer):
    before = torch.get_rng_state()
    one, two, other = (generate(model, tokenizer, PROMPTS, 4, seed=s) for s in (1, 1, 2))
    assert one.texts == two.texts != other.texts
    assert torch.equal(before, torch.get_rng_state())


def test_a_tokenizer_without_padding_pads_with_the_end(model, tokenizer):
    bare = character_tokenizer(TINY.characters)
    bare.pad_token = None
    assert (
        generate(model, bare, PROMPTS, 4, temperature=0).texts
        == generate(model, tokenizer, PROMPTS, 4, temperature=0).texts
    )
    bare.eos_token = None
    with pytest.raises(errors.ArgumentError, match="neither a padding token"):
        generate(model, bare, PROMPTS, 4)


def test_a_prompt_that_does_not_fit_is_named(model, tokenizer):
    with pytest.raises(PromptTooLong, match=r"prompts\[1\]='0123456789': 10 tokens and 4"):
        generate(model, tokenizer, ["1=", "0123456789"], 4)
    with pytest.raises(errors.ArgumentError, match=r"prompts\[0\]='x': it has no token"):
        generate(model, tokenizer, ["x"], 4)


def test_empty_responses_and_rows_of_padding_have_no_log_probability_or_their_end_s(
    model, tokenizer
):
    r = written(tokenizer, ["1=", "2="], ["", "3"])
    assert r.mask.tolist() == [[True, False], [True, True]]
    assert r.ended(tokenizer).all()
    assert logp(model, r).logp[0, 1] == 0
    r.mask[0] = False
    found = logp(model, r)
    assert found.logp[0].tolist() == [0, 0]
    assert torch.isfinite(found.logp).all()
    assert not r.ended(tokenizer)[0]
    assert len(generate(model, tokenizer, [], 4)) == 0


def test_an_interrupted_training_ends_where_the_whole_one_does(tmp_path, monkeypatch):
    settings = CharacterSettings(context=8, layers=1, width=8, heads=1, steps=6, batch=4)
    whole = train_characters(settings, addition_pairs((1,), 1))
    monkeypatch.setattr("feasible.language.small.EVERY", 2)
    calls = []

    def pairs(rng, n):
        calls.append(n)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return addition_pairs((1,), 1)(rng, n)

    with pytest.raises(KeyboardInterrupt):
        train_characters(settings, pairs, folder=tmp_path)
    found = train_characters(settings, pairs, folder=tmp_path)
    assert len(calls) == 4 + 4  # two steps were on disk
    train_characters(settings, pairs, folder=tmp_path)
    assert len(calls) == 8
    for one, other in zip(whole.parameters(), found.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(errors.ArgumentError, match=r"folder=.*checkpoint"):
        train_characters(TINY, pairs, folder=tmp_path)


def test_training_stops_at_the_share_of_right_answers():
    settings = CharacterSettings(
        context=8, layers=1, width=16, heads=1, steps=60, batch=32, rate=0.03, stop=0.5
    )
    seen = []

    def pairs(rng, n):
        seen.append(n)
        return ["1="] * n, ["2"] * n

    train_characters(settings, pairs)
    assert len(seen) < 60
    assert np.sum(np.array(seen) == 256) == len(seen) // 11
