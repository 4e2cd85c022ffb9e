"""feasible language and feasible moe: models are trained, compressed, and read back."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from feasible.core.errors import ArgumentError, Infeasible
from feasible.language import LanguageProblem, small
from feasible.language.commands import language, moe
from feasible.language.moe_inference import load_moe
from feasible.language.moe_inference.folder import size_of
from feasible.language.moe_inference.layout import log_perplexity

SIZES = ["--layers", "1", "--hidden", "16", "--inner", "16", "--experts", "3", "--steps", "4",
         "--batch", "4", "--length", "16"]  # fmt: skip


def call(*words, of=moe):
    found = CliRunner().invoke(of, [str(w) for w in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("moe") / "model"
    assert f"written: {path}" in call("train", path, *SIZES).output.replace("\n", "")
    return path


def test_help_says_what_the_commands_do():
    assert "have to fit into memory" in call("--help").output
    assert "Train a small Mixtral" in call("train", "--help").output
    assert "many bits each expert" in call("plan", "--help").output


def test_training_again_changes_nothing(folder):
    before = (folder / "model.safetensors").read_bytes()
    call("train", folder, *SIZES)
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.slow
def test_a_folder_is_compressed_within_the_memory_and_loads(folder, tmp_path):
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    out = tmp_path / "small"
    words = ("plan", folder, "--memory", "15kB", "-o", out, "--tokens", 512, "--length", 16)
    said = call(*words).output
    kept = load_file(out / "experts.safetensors")
    size = sum(t.numel() * t.element_size() for t in kept.values())
    plan = json.loads((out / "plan.json").read_text())
    assert size == plan["bytes"] <= 15_000
    said = " ".join(said.split())
    assert f"fits: {size} bytes of 15000 ({size / 15_000:.1%})" in said
    assert f"{1 / plan['simulated seconds']:.3g} tokens a second" in said
    assert f"perplexity {plan['perplexity']:.4g}, before" in said
    ids = AutoTokenizer.from_pretrained(out)("the 12+30=42\n", return_tensors="pt")["input_ids"]
    model = load_moe(out)
    assert torch.isfinite(torch.tensor(log_perplexity(model, ids)))
    call(*words)
    assert json.loads((out / "plan.json").read_text()) == plan


@pytest.mark.slow
def test_too_little_memory_is_named_with_the_smallest(folder, tmp_path):
    with pytest.raises(Infeasible, match=r"memory=1000: the smallest plan takes \d+ bytes"):
        call("plan", folder, "--memory", "1000", "-o", tmp_path / "x", "--tokens", 512, "--length",
             16)  # fmt: skip


def test_bad_arguments_are_named(folder, tmp_path):
    with pytest.raises(ArgumentError, match="memory='much': expected a size such as"):
        call("plan", folder, "--memory", "much", "-o", tmp_path / "x")
    with pytest.raises(ArgumentError, match=r"there is no config\.json in it"):
        call("plan", tmp_path, "--memory", "1MB", "-o", tmp_path / "x")
    with pytest.raises(ArgumentError, match="bits='a'"):
        call("plan", folder, "--memory", "1MB", "--bits", "a")
    with pytest.raises(ArgumentError, match="it holds something else"):
        call("plan", folder, "--memory", "1MB", "-o", folder)
    with pytest.raises(ArgumentError, match="there is no such file"):
        call("plan", folder, "--memory", "1MB", "-o", tmp_path / "x", "--text", tmp_path / "no.txt")
    with pytest.raises(ArgumentError, match=r"there is no experts\.safetensors"):
        load_moe(tmp_path)


def test_sizes_are_read():
    assert size_of("memory", "6GiB") == 6 * 2**30
    assert size_of("memory", "1e6") == 1e6
    for bad in ("", "-3", "3 parsecs", "0"):
        with pytest.raises(ArgumentError, match="memory="):
            size_of("memory", bad)


# -- small policies --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sums", "orders"])
def test_a_policy_whose_training_was_stopped_ends_with_the_same_weights(
    kind, tmp_path, monkeypatch
):
    sizes = ["--layers", 1, "--width", 16, "--heads", 2, "--steps", 5, "--batch", 8, "--seed", 100]
    monkeypatch.setattr(small, "EVERY", 2)
    said = call("train", kind, tmp_path / "whole", *sizes, of=language).output
    assert f"written: {tmp_path / 'whole'}" in said.replace("\n", "")
    left, logp = [3], small.logp

    def until(*given):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return logp(*given)

    monkeypatch.setattr(small, "logp", until)
    call("train", kind, tmp_path / "cut", *sizes, of=language)
    assert not (tmp_path / "cut" / "config.json").exists()
    left[0] = 3  # steps that are left, from the second on: what was kept is not done again
    call("train", kind, tmp_path / "cut", *sizes, of=language)
    assert left[0] == 0
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    prompts = ["01+02=", "12+30="] if kind == "sums" else ["A1+2=", "B3a:"]
    problem = LanguageProblem(
        tmp_path / "cut", tmp_path / "cut", prompts, prompts,
        lambda completions, **_: [float(len(c)) for c in completions], max_tokens=4,
    )  # fmt: skip
    assert problem.judge(problem.model().state_dict()).metrics["kl"] == 0


def test_what_a_policy_cannot_be_is_named(tmp_path):
    for words, said in (
        (("poems",), "kind='poems'"),
        (("sums", "--digits", "two"), "digits='two'"),
        (("sums", "--digits", "3"), "context of 13, the policy has 12"),
        (("orders", "--width", "7"), "width=7"),
    ):
        with pytest.raises(ArgumentError, match=said):
            call("train", words[0], tmp_path, *words[1:], of=language)
    assert not list(tmp_path.iterdir())
