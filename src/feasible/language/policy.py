"""What a model of words writes, and how likely it says that is.

`generate` draws responses from a stream of their own; `logp` gives the log-probability of each of
their tokens, with its gradient, without the table of (tokens, vocabulary) that a model's logits
are: it takes some tokens at a time, forwards and backwards.

Any causal model of transformers goes, and any tokenizer, also one without padding.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..core.annotations import checked
from ..core.checks import real, shown, whole
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

AT_ONCE = 1 << 20
"""Entries of (tokens, vocabulary) that exist at one time."""
SHAPED = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of models that change what their last layer gives."""


class PromptTooLong(ArgumentError):
    """A prompt that, with its response, is longer than the model's context."""


@dataclass
class Responses:
    """Prompts and what was written after each, as tokens: prompts end and responses begin in one
    column.

    Attributes:
        prompt_ids: (B, P) padded on the left.
        prompt_mask: (B, P) True where there is a token.
        ids: (B, T) padded on the right.
        mask: (B, T) True for tokens of the response, the one that ends it included.
        texts: The responses as text.
    """

    prompt_ids: Int[Tensor, "B P"]
    prompt_mask: Bool[Tensor, "B P"]
    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Responses:
        """Some rows, in that order, without the columns that only others need."""
        rows = torch.as_tensor(rows, dtype=torch.long)
        mask, prompts = self.mask[rows], self.prompt_mask[rows]
        last = int(mask.sum(1).max()) if len(rows) else 0
        first = self.prompt_mask.shape[1] - (int(prompts.sum(1).max()) if len(rows) else 0)
        return Responses(
            self.prompt_ids[rows][:, first:],
            prompts[:, first:],
            self.ids[rows][:, :last],
            mask[:, :last],
            [self.texts[i] for i in rows.tolist()],
        )

    def to(self, device: Any) -> Responses:
        """The same on another device."""
        prompts = self.prompt_ids.to(device), self.prompt_mask.to(device)
        return Responses(*prompts, self.ids.to(device), self.mask.to(device), self.texts)

    @property
    def lengths(self) -> Int[Tensor, " B"]:
        """Tokens of each response."""
        return self.mask.sum(1)

    @property
    def tokens(self) -> int:
        """Tokens of all prompts and responses."""
        return int(self.mask.sum()) + int(self.prompt_mask.sum())

    def ended(self, tokenizer: Any) -> Bool[Tensor, " B"]:
        """Whether each response ends, rather than being cut."""
        if not self.mask.shape[1]:
            return torch.zeros(len(self), dtype=torch.bool)
        last = self.ids.gather(1, (self.lengths - 1).clamp(min=0)[:, None])[:, 0]
        return (last == tokenizer.eos_token_id) & (self.lengths > 0)


@dataclass
class TokenLogps:
    """What a model says of responses.

    Attributes:
        logp: (B, T) log-probability of each token of a response, 0 where there is none.
        entropy: (B, T) of the distribution that each token was drawn from, in nats, without a
            gradient unless it was asked for; 0 where there is none.
    """

    logp: Float[Tensor, "B T"]
    entropy: Float[Tensor, "B T"]


def padding(tokenizer: Any) -> int:
    """The number of the token that fills rows up: its own, or the one that ends a text.

    Raises:
        ArgumentError: It has neither.
    """
    for name in ("pad_token_id", "eos_token_id"):
        found = getattr(tokenizer, name, None)
        if found is not None:
            return int(found)
    raise ArgumentError("tokenizer: it has neither a padding token nor one that ends a text")


def context_of(model: Any) -> int | None:
    """Tokens that a model takes at most; None where its configuration does not say."""
    config = getattr(model, "config", None)
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"):
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            return found
    return None


def prompt_tokens(
    tokenizer: Any, prompts: Sequence[str], room: int | None = None, max_tokens: int = 0
) -> list[list[int]]:
    """Prompts as tokens.

    Args:
        tokenizer: Of the model.
        prompts: As text.
        room: Tokens that the model takes at most; None: any number.
        max_tokens: Of a response that must fit behind.

    Raises:
        ArgumentTypeError: A prompt is no text.
        ArgumentError: A prompt without a token.
        PromptTooLong: One does not fit.
    """
    for i, prompt in enumerate(prompts):
        if not isinstance(prompt, str):
            raise ArgumentTypeError(f"prompts[{i}]={shown(prompt)}: expected text")
    rows: list[list[int]] = tokenizer(list(prompts))["input_ids"] if len(prompts) else []
    for i, row in enumerate(rows):
        if not row:
            raise ArgumentError(f"prompts[{i}]={shown(prompts[i])}: it has no token")
        if room is not None and len(row) + max_tokens > room:
            raise PromptTooLong(
                f"prompts[{i}]={shown(prompts[i])}: {len(row)} tokens and {max_tokens} of a "
                f"response, the model's context has {room}"
            )
    return rows


@checked
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    max_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> Responses:
    """Write one response to each prompt; a prompt that is given n times gets n.

    Args:
        model: A causal model of transformers.
        tokenizer: Its tokenizer.
        prompts: As text.
        max_tokens: Of a response, the one that ends it included.
        temperature: By which logits are divided; 0 writes the most likely token always.
        seed: Of what is drawn. Global random streams are left as they are.

    Raises:
        PromptTooLong: A prompt does not fit into the model's context with its response.
        NotFinite: Logits are NaN.
    """
    whole("max_tokens", max_tokens, least=1, most=1_000_000)
    real("temperature", temperature, least=0, most=1e6)
    if not hasattr(model, "generate"):
        raise ArgumentTypeError(f"model={shown(model)}: expected a causal model of transformers")
    if not callable(tokenizer):
        raise ArgumentTypeError(f"tokenizer={shown(tokenizer)}: expected one of transformers")
    rows = prompt_tokens(tokenizer, prompts, context_of(model), max_tokens)
    device = next(model.parameters()).device
    pad = padding(tokenizer)
    width = max(map(len, rows), default=0)
    ids = torch.full((len(rows), width), pad, device=device)
    mask = torch.zeros((len(rows), width), dtype=torch.bool, device=device)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row, device=device)
        mask[i, width - len(row) :] = True
    if not rows:
        none = torch.zeros((0, 0), dtype=torch.long, device=device)
        return Responses(ids, mask, none, none.bool(), [])
    drawn: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    training = model.training
    model.eval()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(seed) % (1 << 63))
            with torch.no_grad():
                found = model.generate(
                    input_ids=ids,
                    attention_mask=mask.long(),
                    max_new_tokens=max_tokens,
                    eos_token_id=tokenizer.eos_token_id,
                    pad_token_id=pad,
                    **drawn,
                )[:, width:]
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        raise NotFinite("model: its logits are NaN or infinite, nothing can be drawn") from None
    finally:
        model.train(training)
    return _cut(ids, mask, found, tokenizer)


def joined(parts: Sequence[Responses], tokenizer: Any) -> Responses:
    """Several responses as one.

    Args:
        parts: At least one.
        tokenizer: Fills them up to one width.
    """
    pad = padding(tokenizer)
    P = max(p.prompt_ids.shape[1] for p in parts)
    T = max(p.ids.shape[1] for p in parts)

    def wide(values: Any, left: int, right: int, fill: Any) -> Any:
        return torch.nn.functional.pad(values, (left, right), value=fill)

    return Responses(
        torch.cat([wide(p.prompt_ids, P - p.prompt_ids.shape[1], 0, pad) for p in parts]),
        torch.cat([wide(p.prompt_mask, P - p.prompt_mask.shape[1], 0, False) for p in parts]),
        torch.cat([wide(p.ids, 0, T - p.ids.shape[1], pad) for p in parts]),
        torch.cat([wide(p.mask, 0, T - p.mask.shape[1], False) for p in parts]),
        [text for p in parts for text in p.texts],
    )


def _cut(ids: Tensor, mask: Tensor, found: Tensor, tokenizer: Any) -> Responses:
    """Return responses up to the token that ends each."""
    kept = torch.ones_like(found, dtype=torch.bool)
    if tokenizer.eos_token_id is not None:
        ends = (found == tokenizer.eos_token_id).long().cumsum(1)
        kept = (ends == 0) | ((ends == 1) & (found == tokenizer.eos_token_id))
    texts = [
        tokenizer.decode(row[keep].tolist(), skip_special_tokens=True)
        for row, keep in zip(found, kept, strict=True)
    ]
    return Responses(ids, mask, found.masked_fill(~kept, padding(tokenizer)), kept, texts)


@checked
def written(tokenizer: Any, prompts: Sequence[str], responses: Sequence[str]) -> Responses:
    """Responses that somebody else wrote, as tokens, each ended.

    Args:
        tokenizer: Of the model.
        prompts: As text.
        responses: One to each.

    Raises:
        ShapeError: Not one response to each prompt.
    """
    if not callable(tokenizer):
        raise ArgumentTypeError(f"tokenizer={shown(tokenizer)}: expected one of transformers")
    if len(prompts) != len(responses):
        raise ShapeError(f"responses: {len(responses)} of them, expected {len(prompts)}")
    for i, response in enumerate(responses):
        if not isinstance(response, str):
            raise ArgumentTypeError(f"responses[{i}]={shown(response)}: expected text")
    rows = prompt_tokens(tokenizer, prompts)
    ends = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    replies = [
        tokenizer(r, add_special_tokens=False)["input_ids"] + ends if r else list(ends)
        for r in responses
    ]
    pad = padding(tokenizer)
    P, T = max(map(len, rows), default=0), max(map(len, replies), default=0)
    left = torch.tensor([[pad] * (P - len(r)) + r for r in rows]).reshape(-1, P)
    right = torch.tensor([r + [pad] * (T - len(r)) for r in replies])
    first = torch.tensor([P - len(r) for r in rows])[:, None]
    last = torch.tensor([len(r) for r in replies])[:, None]
    return Responses(
        left,
        torch.arange(P) >= first,
        right.reshape(-1, T),
        torch.arange(T) < last,
        list(responses),
    )


@checked
def logp(
    model: Any,
    responses: Responses,
    temperature: float = 1.0,
    entropy_gradient: bool = False,
    at_once: int = AT_ONCE,
) -> TokenLogps:
    """The log-probability of each token of responses under a model, with its gradient.

    Args:
        model: A causal model of transformers.
        responses: Of `generate` or `written`.
        temperature: By which logits are divided, as when they were drawn.
        entropy_gradient: Entropies have a gradient too.
        at_once: Entries of (tokens, vocabulary) that exist at one time.

    Raises:
        ArgumentError: A setting out of range.
    """
    real("temperature", temperature, above=0, most=1e6)
    whole("at_once", at_once, least=1)
    if not hasattr(model, "get_output_embeddings"):
        raise ArgumentTypeError(f"model={shown(model)}: expected a causal model of transformers")
    r = responses.to(next(model.parameters()).device)
    P, T = r.prompt_ids.shape[1], r.ids.shape[1]
    given: dict[str, Any] = {
        "input_ids": torch.cat((r.prompt_ids, r.ids), dim=1),
        "attention_mask": torch.cat((r.prompt_mask, r.mask), dim=1).long(),
        "use_cache": False,
    }
    if "position_ids" in inspect.signature(model.forward).parameters:
        given["position_ids"] = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
    head, body = _apart(model)
    training = model.training
    model.eval()  # no dropout: ratios of old and new probabilities must be of one function
    try:
        if head is None:
            logits = model(**given).logits[:, P - 1 : P + T - 1]
            wide = logits if logits.dtype == torch.float64 else logits.float()
            picked, entropy = _of_logits(wide, r.ids, temperature)
        else:
            hidden = body(**given).last_hidden_state[:, P - 1 : P + T - 1]
            picked, entropy = _Picked.apply(  # type: ignore[no-untyped-call]
                hidden.reshape(-1, hidden.shape[-1]),
                head.weight,
                getattr(head, "bias", None),
                r.ids.reshape(-1),
                float(temperature),
                max(at_once // head.weight.shape[0], 1),
            )
    finally:
        model.train(training)
    shape = r.ids.shape
    picked, entropy = picked.reshape(shape), entropy.reshape(shape)
    zero = torch.zeros((), dtype=picked.dtype, device=picked.device)
    entropy = entropy if entropy_gradient else entropy.detach()
    return TokenLogps(torch.where(r.mask, picked, zero), torch.where(r.mask, entropy, zero))


def _apart(model: Any) -> tuple[Any, Any]:
    """Return a model's last layer and the rest of it; None and the model where they cannot be
    taken apart without changing what it says.
    """
    head, body = model.get_output_embeddings(), getattr(model, "base_model", None)
    plain = type(head) is torch.nn.Linear and body is not None and body is not model
    shaped = any(getattr(model.config, name, None) not in (None, 1, 1.0) for name in SHAPED)
    adapted = hasattr(model, "peft_config")
    return (head, body) if plain and not shaped and not adapted else (None, model)


def _of_logits(logits: Tensor, ids: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and entropies from the whole table."""
    every = (logits / temperature).log_softmax(-1)
    return every.gather(-1, ids[..., None])[..., 0], -(every.exp() * every).sum(-1)


class _Picked(torch.autograd.Function):
    """Log-probabilities of tokens and entropies, of hidden states and the last layer's weights.

    With z = h W' / temperature and p = softmax z of a token y, log p_y has the gradient
    1(v = y) - p_v by z_v, and the entropy H has -p_v (log p_v + H).
    """

    @staticmethod
    def forward(ctx: Any, h: Any, W: Any, b: Any, y: Any, temperature: Any, rows: Any) -> Any:
        """Some rows at a time; what is kept is one number a row."""
        dtype = torch.float64 if h.dtype == torch.float64 else torch.float32
        logs = torch.empty(len(h), dtype=dtype, device=h.device)
        picked, entropy = torch.empty_like(logs), torch.empty_like(logs)
        for i in range(0, len(h), rows):
            z = torch.nn.functional.linear(h[i : i + rows], W, b).to(dtype).div_(temperature)
            top = torch.logsumexp(z, dim=1)
            logs[i : i + rows] = top
            picked[i : i + rows] = z.gather(1, y[i : i + rows, None])[:, 0] - top
            z.sub_(top[:, None])
            entropy[i : i + rows] = -torch.linalg.vecdot(z.exp(), z)
        ctx.save_for_backward(h, W, b, y, logs, entropy)
        ctx.temperature, ctx.rows = temperature, rows
        return picked, entropy

    @staticmethod
    def backward(ctx: Any, by_picked: Any, by_entropy: Any) -> Any:
        """The tables again, some rows at a time."""
        h, W, b, y, logs, entropy = ctx.saved_tensors
        of_h = torch.empty_like(h) if ctx.needs_input_grad[0] else None
        of_W = torch.zeros_like(W) if ctx.needs_input_grad[1] else None
        of_b = torch.zeros_like(b) if b is not None and ctx.needs_input_grad[2] else None
        uses_entropy = bool(by_entropy.any())
        for i in range(0, len(h), ctx.rows):
            part = slice(i, i + ctx.rows)
            z = torch.nn.functional.linear(h[part], W, b).to(logs.dtype).div_(ctx.temperature)
            z.sub_(logs[part, None])
            g = z.exp()
            if uses_entropy:
                slope = z.add_(entropy[part, None]).mul_(by_entropy[part, None])
                g.mul_(slope.add_(by_picked[part, None])).neg_()
            else:
                g.mul_(by_picked[part, None]).neg_()
            g.scatter_add_(1, y[part, None], by_picked[part, None].to(g.dtype))
            g = g.div_(ctx.temperature).to(h.dtype)
            if of_h is not None:
                of_h[part] = g @ W
            if of_W is not None:
                of_W.addmm_(g.T, h[part])
            if of_b is not None:
                of_b += g.sum(0)
        return of_h, of_W, of_b, None, None, None
