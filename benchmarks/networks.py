"""Which networks `find_zero_invariant_groups` takes: every architecture of transformers in a small
configuration, and torch.nn's own models. Each runs in a process of its own, under a limit of CPU
time.

`python -m benchmarks.networks [NAME...]` tries what `results/networks.json` does not have yet, or
the named ones again, and writes the table `docs/training/hesso-networks.md`.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import multiprocessing
import os
import re
import resource
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

RESULTS = Path(__file__).parent / "results" / "networks.json"
PAGE = Path(__file__).parent.parent / "docs" / "training" / "hesso-networks.md"
SECONDS = 60
"""CPU time of a case; above it, the case is slow."""
LARGEST = 20_000_000
"""Parameters of a configuration that counts as small."""
SMALL: tuple[tuple[str, int], ...] = (
    (r"(^|_)vocab(_size)?$|^n_tokens$|codebook_size$", 128),
    (r"^n_group$|^topk_group$|_n_groups?$|^n_groups$", 1),
    (r"(num|n)_.*(kv|key_value)_heads|^num_kv_heads$", 2),
    (r"_d_head$|mamba_head_dim$", 16),
    (r"heads?$|_attention_heads$|^n_head", 4),
    (r"^head_dim$|_head_dim$|^d_kv$", 8),
    (r"experts_per_tok|top_k|topk$", 2),
    (r"experts$", 4),
    (r"hidden_layers$|^num_layers$|_layers$|^n_layers?$|^depth$|blocks$", 2),
    (r"intermediate|ffn|^d_ff$|^n_inner$|feedforward|mlp_dim", 48),
    (r"^(hidden_size|d_model|n_embd|embed_dim|dim|emb_dim|hidden_dim|embedding_size)$", 32),
    (r"^(encoder|decoder|vision|text|projection|cross|bottleneck).*(hidden_size|dim)$", 32),
    (r"_lora_rank$", 8),
    (r"^(image|input|img)_size$", 32),
    (r"^patch_size$", 8),
)
"""Attributes of configurations by name, and what they become where they are larger."""
COARSE = ("vocab", "_layers$", "experts$")
"""Of these, those that may be made small where widths may not."""


def smaller(config: Any, widths: bool) -> Any:
    """Shrink a configuration and those inside it, in place: layers and words, or widths too."""
    rules = [rule for rule in SMALL if widths or any(part in rule[0] for part in COARSE)]
    for name, value in list(vars(config).items()):
        if hasattr(value, "to_dict"):
            smaller(value, widths)
        if type(value) is int:
            for pattern, size in rules:
                if re.search(pattern, name) and value > size:
                    setattr(config, name, size)
                    break
        elif widths and name in ("hidden_sizes", "embed_dims") and isinstance(value, list):
            if all(type(v) is int and v % 8 == 0 for v in value):
                setattr(config, name, [v // 8 for v in value])
        elif name == "depths" and isinstance(value, (list, tuple)):
            setattr(config, name, [1] * len(value))
        elif widths and name in ("width_coefficient", "depth_coefficient"):
            setattr(config, name, 0.1)
        elif name == "prediction_length" and value is None:
            setattr(config, name, 4)
    layers = getattr(config, "num_hidden_layers", None)
    for name in ("layer_types", "mlp_layer_types", "layers_block_type"):
        listed = getattr(config, name, None)
        if isinstance(listed, list) and isinstance(layers, int) and len(listed) > layers:
            setattr(config, name, listed[:layers])
    if all(type(getattr(config, n, None)) is int for n in ("expand", "num_heads", "head_dim")):
        config.num_heads = config.expand * config.hidden_size // config.head_dim
    vocabulary = getattr(config, "vocab_size", None)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
        token = getattr(config, name, None)
        if type(token) is int and type(vocabulary) is int and token >= vocabulary:
            setattr(config, name, 1)
    if getattr(config, "use_cache", False) is True:
        config.use_cache = False
    return config


def built(config: Any) -> Any:
    """The model of a configuration: the one that AutoModel knows, else the first in the module
    beside the configuration's that takes it.
    """
    import transformers

    if type(config) in transformers.MODEL_MAPPING:
        return transformers.AutoModel.from_config(config)
    module = importlib.import_module(
        type(config).__module__.replace(".configuration_", ".modeling_")
    )
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, transformers.PreTrainedModel)
        and kind.__dict__.get("config_class", getattr(kind, "config_class", None)) is type(config)
        and not kind.__name__.endswith("PreTrainedModel")
    ]
    if not kinds:
        raise LookupError("no model takes this configuration")
    return min(kinds, key=lambda kind: (not kind.__name__.endswith("Model"), len(kind.__name__)))(
        config
    )


def transformer(kind: str) -> tuple[nn.Module, Any, str]:
    """A small model of an architecture, an input that it takes, and how the configuration was made
    small. Raises LookupError where none was found.
    """
    import torch
    import transformers

    why = []
    for how, widths in (("narrow", True), ("two layers", False)):
        try:
            config = smaller(transformers.CONFIG_MAPPING[kind](), widths)
            with torch.device("meta"):
                size = sum(p.numel() for p in built(config).parameters())
            if size > LARGEST:
                why.append(f"{how}: {size:,} parameters")
                continue
            model = built(config).eval()
        except Exception as error:
            why.append(f"{how}: {first_line(error)}")
            continue
        refused = []
        for given in inputs(config, model):
            taken = by_position(model, given)
            try:
                with torch.no_grad():
                    taken(*given.values())
            except Exception as error:
                refused.append(first_line(error))
                continue
            return taken, tuple(given.values()), how
        why.append(f"{how}: {refused[0] if refused else 'no input is known'}")
    raise LookupError("; ".join(dict.fromkeys(why)))


def inputs(config: Any, model: Any) -> Iterator[dict[str, Any]]:
    """Inputs by name that a model may take, the likeliest first: the main one, what else its
    forward asks for, and words for a decoder or masks where these make it run.
    """
    import torch

    draw = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Any:
        return torch.randn(*shape, generator=draw)

    def number(default: int, *names: str) -> int:
        return next((n for k in names if type(n := getattr(config, k, None)) is int), default)

    words = torch.randint(4, 60, (1, 8), generator=draw)
    vision = getattr(config, "vision_config", None)
    size = getattr(config, "image_size", None) or getattr(vision, "image_size", None) or 32
    size = size if isinstance(size, int) else max(size)
    channels = number(3, "num_channels", "in_channels", "in_chans")
    bins = number(80, "num_mel_bins", "input_feat_per_channel", "feature_size", "input_dim")
    past = number(32, "context_length", "seq_length")
    past += max(getattr(config, "lags_sequence", None) or [0])
    width = number(32, "hidden_size", "d_model")
    series = number(1, "num_input_channels", "input_size")
    known = {
        "input_ids": [words],
        "pixel_values": [noise(1, channels, n, n) for n in dict.fromkeys((size, 64, 224))],
        "input_values": [
            noise(1, 4000),
            noise(1, 1, 4000),
            noise(1, number(1024, "max_length"), bins),
        ],
        "input_features": [noise(1, 64, bins), noise(1, bins, 64), noise(1, bins, 3000)],
        "pixel_values_videos": [noise(1, 8, 3, size, size)],
        "past_values": [noise(1, past, series), noise(1, past)],
        "query_embeds": [noise(1, 4, width)],
        "hidden_states": [noise(1, 8, width)],
        "inputs_embeds": [noise(1, 8, width)],
        "encoder_hidden_states": [noise(1, 8, width)],
        "inputs": [noise(1, 8, width)],
        "audio_codes": [torch.randint(4, 60, (1, 8, number(4, "num_codebooks", "n_codes_total")))],
        "bbox": [torch.zeros(1, 8, 4, dtype=torch.long)],
        "decoder_input_ids": [words],
        "past_time_features": [noise(1, past, number(0, "num_time_features"))],
        "future_time_features": [
            noise(1, number(4, "prediction_length"), number(0, "num_time_features"))
        ],
        "past_values_padding": [torch.zeros(1, past)],
        "freq": [torch.zeros(1, 1, dtype=torch.long)],
        "past_observed_mask": [torch.ones(1, past)],
        "future_values": [noise(1, number(4, "prediction_length"))],
        "token_type_ids": [torch.zeros(1, 8, dtype=torch.long)],
        "position_ids": [torch.arange(8)[None]],
    }
    takes = inspect.signature(model.forward).parameters
    asked = [n for n, p in takes.items() if p.default is p.empty and n in known]
    main = getattr(model, "main_input_name", "input_ids")
    mains = [main] if isinstance(main, str) else list(main)
    firsts = [n for n in dict.fromkeys((*mains, *asked, *known)) if n in takes]
    for name in firsts[:4]:
        for value in known.get(name, ()):
            given = {name: value, **{n: known[n][0] for n in asked if n != name}}
            yield given
            if "decoder_input_ids" in takes:
                yield {**given, "decoder_input_ids": words}
            if "pixel_values" in takes and "input_ids" in given:
                yield {**given, "pixel_values": known["pixel_values"][0]}
            for mask in ("attention_mask", "input_features_mask", "padding_mask"):
                if mask in takes:
                    length = value.shape[-1] if name == "input_features" else value.shape[1]
                    for n in dict.fromkeys((length, value.shape[1])):
                        yield {**given, mask: torch.ones(1, n, dtype=torch.long)}


def by_position(model: Any, given: dict[str, Any]) -> Any:
    """The model, with these arguments by position."""
    from torch import nn

    class ByPosition(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model, self.names = model, tuple(given)

        def forward(self, *values: Any) -> Any:
            return self.model(**dict(zip(self.names, values, strict=True)))

    return ByPosition()


def torch_models() -> dict[str, tuple[Callable[[], nn.Module], Any]]:
    """torch.nn's own models with parameters: what makes each, and what it takes."""
    import torch
    from torch import nn

    def rows(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(0))

    words, image = rows(2, 5, 8), rows(2, 3, 8, 8)
    attend: dict[str, Any] = {"batch_first": True}
    made: dict[str, tuple[Callable[[], nn.Module], Any]] = {
        "Linear": (lambda: nn.Linear(8, 6), words),
        "LazyLinear": (lambda: nn.LazyLinear(6), words),
        "Bilinear": (lambda: nn.Bilinear(4, 5, 6), (rows(2, 4), rows(2, 5))),
        "MultiheadAttention": (lambda: nn.MultiheadAttention(8, 2, **attend), (words,) * 3),
        "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, **attend), words),
        "TransformerDecoderLayer": (
            lambda: nn.TransformerDecoderLayer(8, 2, 16, **attend),
            (words,) * 2,
        ),
        "TransformerEncoder": (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, **attend), 2),
            words,
        ),
        "TransformerDecoder": (
            lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, **attend), 2),
            (words,) * 2,
        ),
        "Transformer": (lambda: nn.Transformer(8, 2, 1, 1, 16, **attend), (words,) * 2),
        "Sequential of Linear": (
            lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)),
            words,
        ),
        "Sequential of Conv2d": (
            lambda: nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)
            ),
            image,
        ),
    }
    for kind in ("RNN", "LSTM", "GRU"):
        made[kind] = (partial(getattr(nn, kind), 8, 6), words)
        made[f"{kind}Cell"] = (partial(getattr(nn, f"{kind}Cell"), 8, 6), words[0])
    for n in (1, 2, 3):
        given = rows(2, 3, *(5,) * n)
        for kind in (f"Conv{n}d", f"ConvTranspose{n}d", f"LazyConv{n}d", f"LazyConvTranspose{n}d"):
            ends = (4, 3) if "Lazy" in kind else (3, 4, 3)
            made[kind] = (partial(getattr(nn, kind), *ends), given)
        for kind in (f"BatchNorm{n}d", f"InstanceNorm{n}d"):
            made[kind] = (partial(getattr(nn, kind), 3, affine=True), given)
    made["LayerNorm"], made["RMSNorm"] = (
        (lambda: nn.LayerNorm(8), words),
        (lambda: nn.RMSNorm(8), words),
    )
    made["GroupNorm"] = (lambda: nn.GroupNorm(1, 3), image)
    made["PReLU"] = (lambda: nn.PReLU(3), image)
    made["Embedding"] = (lambda: nn.Embedding(9, 4), torch.arange(6))
    made["EmbeddingBag"] = (lambda: nn.EmbeddingBag(9, 4), torch.arange(6)[None])
    return made


def first_line(error: BaseException) -> str:
    """An error in a line."""
    text = re.sub(r" from '/[^']*'?", "", (str(error).splitlines() or [""])[0])  # of this machine
    return f"{type(error).__name__}: {text:.120}"


def case(name: str) -> dict[str, Any]:
    """What comes of one network: state, layers grouped, and reasons for the rest."""
    import torch

    from feasible.core.errors import FeasibleError
    from feasible.training import find_zero_invariant_groups

    torch.manual_seed(0)
    room, _, kind = name.partition(":")
    how = "as it is"
    if room == "transformers":
        try:
            model, given, how = transformer(kind)
        except LookupError as error:
            return {"state": "not run", "why": str(error)}
    else:
        make, given = torch_models()[kind]
        model = make()
    try:
        groups = find_zero_invariant_groups(model, given)
    except FeasibleError as error:
        return {"state": "ungrouped", "how": how, "why": str(error)}
    except Exception as error:
        return {"state": "crashed", "how": how, "why": first_line(error)}
    return {
        "state": "grouped",
        "how": how,
        "layers": len(groups.layers),
        "groups": len(groups),
        "left": len(groups.ungrouped),
        "reasons": Counter(re.sub(r"'[^']*'", "'...'", w) for w in groups.ungrouped.values()),
    }


def child(name: str, pipe: Any) -> None:
    """One case under its limit, quietly."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    warnings.simplefilter("ignore")
    try:
        found = case(name)
    except MemoryError as error:
        found = {"state": "not run", "why": first_line(error)}
    found["seconds"] = round(sum(os.times()[:2]), 2)
    pipe.send(found)


def tried(name: str) -> dict[str, Any]:
    """One case in a process of its own."""
    fork = multiprocessing.get_context("fork")
    mine, its = fork.Pipe(duplex=False)
    process = fork.Process(target=child, args=(name, its))
    process.start()
    its.close()
    found = None
    with contextlib.suppress(EOFError):
        if mine.poll(SECONDS * 10):
            found = mine.recv()
    if found is None:
        process.kill()
    process.join()
    if found is None:
        slow = process.exitcode in (-24, -9)  # SIGXCPU, or ours
        found = {
            "state": "slow" if slow else "crashed",
            "why": f"over {SECONDS} s of CPU" if slow else f"ended by signal {process.exitcode}",
        }
    return found


def names() -> list[str]:
    """All cases."""
    import transformers

    kinds = list(transformers.CONFIG_MAPPING.keys())
    return [f"torch:{n}" for n in torch_models()] + [f"transformers:{k}" for k in sorted(kinds)]


def page(data: Mapping[str, Any], cases: int) -> str:
    """The results as a page."""
    found: dict[str, dict[str, Any]] = data["cases"]
    counts = Counter(r["state"] for r in found.values())
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    words = ("grouped", "ungrouped", "slow", "crashed", "not run")
    lines = [
        "# Which networks can be cut",
        "",
        "`python -m benchmarks.networks` builds every architecture of transformers in a small "
        "configuration with random weights, and torch.nn's own models, gives each one input and "
        "calls `find_zero_invariant_groups` on it, in a process of its own that may use "
        f"{SECONDS} s. It writes this page ({versions}).",
        "",
        "| state | networks | what it means |",
        "| --- | --- | --- |",
        f"| grouped | {counts['grouped']} | some layers can be cut; the rest has reasons |",
        f"| ungrouped | {counts['ungrouped']} | a typed error says why no layer can be cut |",
        f"| slow | {counts['slow']} | over the limit of time |",
        f"| crashed | {counts['crashed']} | any other error |",
        f"| not run | {counts['not run']} | no small configuration or input was found for it, or "
        "another package is missing; nothing is said of our function |",
    ]
    if len(found) < cases:
        lines.append(f"| not tried yet | {cases - len(found)} | |")
    lines += ["", "## By network", "", "| network | state | layers | groups | left out | why |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name, r in sorted(found.items(), key=lambda item: (words.index(item[1]["state"]), item[0])):
        if r["state"] == "grouped":
            most = sorted(r["reasons"].items(), key=lambda pair: -pair[1])[:2]
            cells = [r["layers"], r["groups"], r["left"], "; ".join(f"{n} x {w}" for w, n in most)]
        else:
            cells = ["", "", "", r["why"]]
        text = str(cells[3]).replace("|", "/").replace("<", "").replace(">", "").replace("*", "x")
        cells[3] = text if len(text) <= 160 else text[:157] + "..."
        kind = name.replace("transformers:", "").replace("torch:", "torch.nn ")
        lines.append(f"| {kind} | {r['state']} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Try what is asked, store and write the page; 1 where something crashed."""
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    case("transformers:bert")  # imports what all need, once, before the processes are forked
    every = names()
    results = json.loads(RESULTS.read_text())["cases"] if RESULTS.exists() else {}
    asked = [n for n in every if n in sys.argv[1:] or n.partition(":")[2] in sys.argv[1:]]
    for name in asked or [n for n in every if n not in results]:
        results[name] = tried(name)
        print(f"{name}: {json.dumps(results[name])[:200]}", flush=True)
        data = {
            "versions": {m.__name__: m.__version__ for m in (torch, transformers)},
            "cases": {n: results[n] for n in every if n in results},
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n")
    PAGE.write_text(page(json.loads(RESULTS.read_text()), len(every)))
    return 1 if any(r["state"] == "crashed" for r in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
