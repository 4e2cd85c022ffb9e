"""feasible moe: a model is trained, compressed into a folder, and read back."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from feasible.core.errors import ArgumentError, Infeasible
from feasible.language.commands import moe
from feasible.language.moe_inference import load_moe
from feasible.language.moe_inference.folder import size_of
from feasible.language.moe_inference.layout import log_perplexity

SIZES = ["--layers", "1", "--hidden", "16", "--inner", "16", "--experts", "3", "--steps", "4",
         "--batch", "4", "--length", "16"]  # fmt: skip


def call(*words):
    found = CliRunner().invoke(moe, [str(w) for w in words])
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
    assert f"{size} bytes of 15000" in said
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
