"""Language models behind one call: a client of the shape of `openai.OpenAI`, and a model's name.

Every try is charged before it is made: one call, and as many tokens and US dollars as it can cost
at most; what was not used is given back. The client must not retry by itself (`max_retries=0`):
each retry here is a charged call. `Recorded` keeps every reply in a file before anybody sees it, so
that an interrupted run pays for none of them again. `scripted` is the real client on a transport
that a function answers: for tests, and for rules that read the prompt.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.annotations import Checked
from ..core.budget import Resource, active_meter, give_back, reserve
from ..core.checks import flag, one_of, real, shown, whole
from ..core.errors import ArgumentError, ArgumentTypeError, BudgetError, FeasibleError
from ..core.extras import named
from ..core.secrets import hide_passwords

Resource("usd", "US dollars paid for a language model", counted=False)
OVERHEAD = 16
"""Tokens that a message may take beside its text."""
MILLION = 1_000_000

Message = Mapping[str, str]
"""{"role": "system" or "user" or "assistant", "content": text}"""


class BackendFailed(FeasibleError):
    """No try brought a reply.

    Attributes:
        tries: What became of each.
    """

    def __init__(self, tries: Sequence[str]):
        self.tries = tuple(tries)
        super().__init__(f"no reply after {len(tries)} tries: {'; '.join(tries)}")


class BackendRefused(ArgumentError):
    """The service refused the request as such: a wrong key, model, address or argument."""


class BackendWarning(UserWarning):
    """A try that was charged brought no reply."""


@dataclass(frozen=True)
class Completion:
    """A reply.

    Attributes:
        text: What was said.
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens of the reply.
        model: Who said it.
        seconds: How long it took, with all tries.
        complete: False where it was cut at `max_tokens`.
        tries: Calls that it took.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    model: str
    seconds: float
    complete: bool = True
    tries: int = 1


@dataclass(frozen=True)
class Backend(Checked):
    """A model behind a client.

    Attributes:
        client: Has `chat.completions.create`, as `openai.OpenAI(base_url=..., max_retries=0)`.
        model: Its name there.
        prices: Model -> (US dollars for a million tokens of prompts, of replies); (0, 0) of one
            that is free. Without the model's price no dollars are charged, and a budget that
            limits them is refused.
        retries: Tries after the first, where the service is busy, slow or says nothing.
        wait: Seconds before the first retry, doubled before each further one.
        timeout: Seconds that a try may take.
        count: Text -> at least as many tokens as it has; None: its bytes, which no tokenizer of
            bytes exceeds.

    Raises:
        ArgumentTypeError: The client has no such function.
        ArgumentError: A setting out of range.
    """

    client: Any
    model: str
    prices: Mapping[str, tuple[float, float]] | None = None
    retries: int = 3
    wait: float = 1.0
    timeout: float = 60.0
    count: Callable[[str], int] | None = None

    def __post_init__(self) -> None:
        create = getattr(getattr(getattr(self.client, "chat", None), "completions", None),
                         "create", None)  # fmt: skip
        if not callable(create):
            raise ArgumentTypeError(
                f"client={shown(self.client)}: expected a client with chat.completions.create, "
                "such as openai.OpenAI(base_url=..., max_retries=0)"
            )
        own = getattr(self.client, "max_retries", 0)
        if isinstance(own, int) and own:
            raise ArgumentError(
                f"client: max_retries={own}, expected 0: its own retries would not be charged; "
                "`retries` are"
            )
        whole("retries", self.retries, least=0)
        real("wait", self.wait, least=0)
        real("timeout", self.timeout, above=0)
        if self.prices is not None:
            for model, price in self.prices.items():
                try:
                    one, other = price
                except (TypeError, ValueError):
                    raise ArgumentError(
                        f"prices: {model!r:.40} has {shown(price)}, expected two numbers: US "
                        "dollars for a million tokens of prompts and of replies"
                    ) from None
                real(f"prices[{model!r:.40}]", one, least=0)
                real(f"prices[{model!r:.40}]", other, least=0)

    def usd(self, prompt: int, reply: int) -> float:
        """What so many tokens cost, 0 where the price is not known."""
        one, other = (self.prices or {}).get(self.model, (0.0, 0.0))
        return (prompt * one + reply * other) / MILLION

    def check_priced(self) -> None:
        """Raise BudgetError where the budget limits dollars and the model's price is not known."""
        meter = active_meter.get()
        if meter is not None and "usd" in meter.limits and self.model not in (self.prices or {}):
            raise BudgetError(
                f"usd={meter.limits['usd']:g}: no price of the model '{self.model}' is known, so "
                f"nothing could be held to this limit; expected prices={{'{self.model}': (US "
                "dollars for a million tokens of prompts, of replies)}, (0, 0) where it is free"
            )

    def size(self, messages: Sequence[Message]) -> int:
        """At least as many tokens as a prompt has."""
        count = self.count or (lambda text: len(text.encode()))
        return sum(count(m["content"]) + OVERHEAD for m in messages)

    def projected(self, messages: Sequence[Message], max_tokens: int) -> dict[str, float]:
        """What a try costs at most, by resource."""
        prompt = self.size(messages)
        found: dict[str, float] = {"calls": 1, "tokens": prompt + max_tokens}
        if (cost := self.usd(prompt, max_tokens)) > 0:
            found["usd"] = cost
        return found

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 4096,
        temperature: float = 0.0,
        seed: int | None = None,
        json_only: bool = False,
    ) -> Completion:
        """Ask for a reply.

        Args:
            messages: The prompt.
            max_tokens: Of the reply.
            temperature: 0 for the likeliest one.
            seed: For services that take one.
            json_only: Ask for a JSON object; a service that refuses such a request is asked again
                without, which is a second call.

        Raises:
            BudgetExhausted: Before a try that could pass the budget.
            BudgetError: Dollars are limited, and the model's price is not known.
            BackendFailed: No try brought a reply.
            BackendRefused: The service refuses the request as such.
        """
        if not isinstance(messages, Sequence) or not all(
            isinstance(m, Mapping) and isinstance(m.get("content"), str) for m in messages
        ):
            raise ArgumentTypeError(
                f"messages={shown(messages)}: expected a list of {{'role': ..., 'content': text}}"
            )
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(m) for m in messages],
            "max_tokens": whole("max_tokens", max_tokens, least=1),
            "temperature": real("temperature", temperature, least=0),
        }
        if seed is not None:
            request["seed"] = whole("seed", seed, least=0)
        if flag("json_only", json_only):
            request["response_format"] = {"type": "json_object"}
        begun, tries = time.perf_counter(), list[str]()
        while len(tries) <= self.retries + ("response_format" not in request and bool(json_only)):
            if tries and "response_format" not in tries[-1]:
                time.sleep(self.wait * 2 ** (len(tries) - 1))
            found = self._tried(request, tries)
            if found is not None:
                text, prompt, reply, whole_text = found
                seconds = time.perf_counter() - begun
                calls = len(tries) + 1
                return Completion(text, prompt, reply, self.model, seconds, whole_text, calls)
            if "response_format" not in tries[-1]:
                warnings.warn(f"model {self.model}: {tries[-1]}", BackendWarning, stacklevel=2)
        raise BackendFailed(tries)

    def _tried(
        self, request: dict[str, Any], tries: list[str]
    ) -> tuple[str, int, int, bool] | None:
        """Make one charged try; note what became of it where it brings no reply."""
        import openai

        self.check_priced()
        held = self.projected(request["messages"], request["max_tokens"])
        reserve(held)
        try:
            reply = self.client.chat.completions.create(**request, timeout=self.timeout)
        except openai.BadRequestError as error:
            give_back(held, {"calls": 1})
            if "response_format" in request:
                del request["response_format"]
                tries.append(f"response_format refused: {_said(error)}")
                return None
            raise BackendRefused(f"model {self.model}: {_said(error)}") from error
        except (openai.RateLimitError, openai.ConflictError) as error:
            give_back(held, {"calls": 1})  # it was not worked on
            tries.append(f"{type(error).__name__}: {_said(error)}")
            return None
        except (openai.APIConnectionError, openai.InternalServerError) as error:
            tries.append(f"{type(error).__name__}: {_said(error)}")  # it may have been worked on
            return None
        except openai.APIStatusError as error:
            if error.status_code == 408:  # the service took too long
                tries.append(_said(error))
                return None
            give_back(held, {"calls": 1})
            raise BackendRefused(f"model {self.model}: {_said(error)}") from error
        except (openai.OpenAIError, json.JSONDecodeError) as error:
            tries.append(f"{type(error).__name__}: {_said(error)}")
            return None
        choices: Any = getattr(reply, "choices", None)
        text = choices[0].message.content if choices else None
        prompt, said = _usage(reply)
        if prompt is not None and said is not None:
            used = {"calls": 1, "tokens": prompt + said, "usd": self.usd(prompt, said)}
            give_back(held, used)
        if text is None:
            tries.append("a reply without text")
            return None
        cut = choices[0].finish_reason == "length"
        return text, prompt or 0, said or 0, not cut


def _usage(reply: Any) -> tuple[int | None, int | None]:
    """Tokens of prompt and reply, where the service says so."""
    usage = getattr(reply, "usage", None)
    one, other = (getattr(usage, f"{k}_tokens", None) for k in ("prompt", "completion"))
    known = isinstance(one, int) and isinstance(other, int) and one >= 0 and other >= 0
    return (one, other) if known else (None, None)


def _said(error: BaseException) -> str:
    """What an error says, and what brought it about, on one line, without keys."""
    said = " ".join(str(error).split())
    if error.__cause__ is not None and str(error.__cause__) not in said:
        said += f" ({' '.join(str(error.__cause__).split())})"
    return hide_passwords(said)[:200]


class Recorded:
    """A client whose replies are kept in a file, one line of JSON for each, before they are seen.

    A request that is in the file is answered from it, so a run that begins again asks for nothing
    twice. Requests are told apart by all that is in them: two that are alike have one reply.

    Args:
        client: Answers what is not in the file; None: nothing is asked.
        path: The file.
        mode: "auto"; "replay": a request that is not in the file is an error; "record": all are
            asked anew.

    Raises:
        ArgumentError: The file holds something else.
    """

    max_retries = 0

    def __init__(self, client: Any, path: str | os.PathLike[str], mode: str = "auto") -> None:
        self.client, self.mode = client, one_of("mode", mode, ("auto", "replay", "record"))
        try:
            self.path = Path(path)
        except TypeError:
            raise ArgumentTypeError(f"path={shown(path)}: expected a file's path") from None
        if client is None and mode != "replay":
            raise ArgumentError(f"client=None: expected a client, or mode='replay', got {mode!r}")
        self.rows: dict[str, dict[str, Any]] = {}
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        except (OSError, ValueError) as error:
            raise ArgumentError(f"path={shown(path)}: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                if "reply" in row:
                    self.rows[row["key"]] = row["reply"]
            except (ValueError, TypeError, LookupError) as error:
                if number < len(lines):  # the last may be half of one
                    raise ArgumentError(
                        f"path={str(self.path)!r}: line {number} is no record: {error}"
                    ) from None
        if lines and lines[-1]:
            self._append(b"\n")

    @property
    def chat(self) -> Recorded:
        """As the client's."""
        return self

    @property
    def completions(self) -> Recorded:
        """As the client's."""
        return self

    @staticmethod
    def key(request: Mapping[str, Any]) -> str:
        """What tells a request from others."""
        kept = {k: v for k, v in request.items() if k != "timeout"}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()

    def create(self, **request: Any) -> Any:
        """Answer a request from the file, else by the client."""
        with named("a recorded reply", "language"):
            from openai.types.chat import ChatCompletion

        key = self.key(request)
        if self.mode != "record" and key in self.rows:
            return ChatCompletion.model_validate(self.rows[key])
        if self.mode == "replay":
            raise BackendRefused(
                f"path={str(self.path)!r}: no reply to this request in it, and mode='replay'"
            )
        row: dict[str, Any] = {"key": key, "request": request}
        try:
            reply = self.client.chat.completions.create(**request)
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {_said(error)}"
            self._append(json.dumps(row).encode() + b"\n")
            raise
        if hasattr(reply, "model_dump"):
            row["reply"] = reply.model_dump(mode="json")
            self.rows[key] = row["reply"]
        else:
            row["error"] = f"no completion: {shown(reply)}"
        self._append(json.dumps(row).encode() + b"\n")
        return reply

    def _append(self, line: bytes) -> None:
        """Write to the file, and wait until it is on the disk."""
        with self.path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def scripted(rule: Callable[[dict[str, Any]], Any]) -> Any:
    """An `openai.OpenAI` whose requests a function answers in this process: no network, and the
    real client's parsing, usage and errors.

    Args:
        rule: The request as plain data -> the reply's text; a number for an HTTP status; a mapping
            for the whole body of the response; bytes for a body that is no JSON; an exception to
            raise.

    Raises:
        MissingExtra: The package `openai` is not installed.
    """
    if not callable(rule):
        raise ArgumentTypeError(f"rule={shown(rule)}: expected a function")
    with named("scripted", "language"):
        import openai
    base = next(c for c in openai.DefaultHttpxClient.__mro__ if c.__module__.startswith("httpx"))
    http = importlib.import_module(base.__module__.partition(".")[0])

    def handle(sent: Any) -> Any:
        request = json.loads(sent.content)
        said = rule(request)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, int):
            return http.Response(said, json={"error": {"message": f"status {said}"}})
        if isinstance(said, bytes):
            return http.Response(200, content=said)
        body = said if isinstance(said, Mapping) else _body(request, str(said))
        return http.Response(200, json=body)

    client = http.Client(transport=http.MockTransport(handle))
    return openai.OpenAI(
        api_key="none", base_url="http://scripted.invalid/v1", max_retries=0, http_client=client
    )


def _body(request: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A response's body; four characters are a token."""
    prompt = sum(len(m["content"]) for m in request["messages"]) // 4 + 1
    most = 4 * request.get("max_tokens", len(text))
    cut = text[:most]
    reply = len(cut) // 4 + 1
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "length" if len(text) > most else "stop",
                "message": {"role": "assistant", "content": cut},
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": min(reply, request.get("max_tokens", reply)),
            "total_tokens": prompt + reply,
        },
    }
