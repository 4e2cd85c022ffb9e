"""What is read from a folder that somebody sent runs nothing of it; what cannot be read is said."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from feasible.core.errors import ArgumentError
from feasible.language.moe_inference import compress_folder, load_moe
from feasible.language.small import CharacterSettings, addition_pairs, train_folder
from feasible.language.weights import read_policy, read_tokenizer

SETTINGS = CharacterSettings(context=8, layers=1, width=8, heads=2, steps=1, batch=2)
CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass Own: pass\n"


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return Path.touch, (Path(self.file),)


@pytest.fixture
def folder(tmp_path):
    return train_folder(tmp_path / "model", SETTINGS, addition_pairs((1,), 1))


def test_a_folder_is_read_as_it_was_written_and_no_bar_is_drawn(folder, capfd):
    one, other = read_policy(folder), read_policy(str(folder))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert (
        read_tokenizer(folder)("1+2=")["input_ids"] == read_tokenizer(folder)("1+2=")["input_ids"]
    )
    assert capfd.readouterr() == ("", "")


def test_pickled_weights_are_refused_and_not_opened(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"w": Bomb(folder / "ran")}))
    with pytest.raises(ArgumentError, match=r"policy=.*safetensors"):
        read_policy(folder)
    assert not (folder / "ran").exists()


def own_code(folder):
    """A folder whose configuration names code that lies in it."""
    (folder / "own.py").write_text(CODE)
    file = folder / "config.json"
    named = {"model_type": "own", "architectures": ["Own"]}
    named["auto_map"] = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}
    file.write_text(json.dumps(named))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
        )
    )
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    "read",
    [
        read_policy,
        read_tokenizer,
        load_moe,
        lambda f: compress_folder(f, "1MiB", f.with_name("out")),
    ],
    ids=["policy", "tokenizer", "load_moe", "compress_folder"],
)
def test_code_that_lies_in_a_folder_never_runs(folder, read, monkeypatch):
    own_code(folder)
    (folder / "experts.safetensors").touch()
    monkeypatch.setattr("builtins.input", lambda *said: "y")  # whoever asks is told yes
    with pytest.raises(ArgumentError):
        read(folder)
    assert not list(folder.rglob("ran"))
    assert not [m for m in sys.modules if m.endswith(".own")]


def test_weights_that_are_missing_are_no_random_numbers(folder):
    file = folder / "model.safetensors"
    kept = load_file(file)
    name = next(n for n in sorted(kept) if ".h.0." in n)
    save_file({n: v for n, v in kept.items() if n != name}, file, {"format": "pt"})
    with pytest.raises(ArgumentError, match=r"its weights lack 1 tensors .* the first is") as said:
        read_policy(folder)
    assert name in str(said.value)


def test_a_broken_file_of_weights_is_said(folder):
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ArgumentError, match="policy="):
        read_policy(folder)
