"""How optimisers of text ask a language model."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError

OBJECTIVE = (
    "You need to change the values of the variables in #Variables to improve the output in "
    "accordance to #Feedback."
)


@dataclass(frozen=True)
class PromptSettings(Checked):
    """What goes into a prompt, and what is done with the reply.

    Attributes:
        memory_size: Past (variables, feedback) pairs in the prompt, the most recent; None for all.
        include_example: Whether a worked example is in the prompt.
        objective: What is asked for, in words.
        max_tokens: Of a reply.
        temperature: 0 for the likeliest reply.
        ignore_extraction_error: Where a value cannot be read as its variable's type, keep the old
            one with a warning; False: raise.
        max_prompt_tokens: Largest prompt, as the backend counts: the oldest memory is left out
            first, then long values are cut, with a mark.
        max_value: Characters of a value.
    """

    memory_size: int | None = 0
    include_example: bool = False
    objective: str = OBJECTIVE
    max_tokens: int = 4096
    temperature: float = 0.0
    ignore_extraction_error: bool = True
    max_prompt_tokens: int = 32_000
    max_value: int = 2000

    def __post_init__(self) -> None:
        if self.memory_size is not None:
            whole("memory_size", self.memory_size, least=0)
        whole("max_tokens", self.max_tokens, least=1)
        real("temperature", self.temperature, least=0, most=10)
        whole("max_prompt_tokens", self.max_prompt_tokens, least=4000)
        whole("max_value", self.max_value, least=40)


def no_example(settings: PromptSettings) -> None:
    """Refuse `include_example`: the worked example is of a trace, which only OptoPrime shows."""
    if settings.include_example:
        raise ArgumentError("include_example=True: only OptoPrime shows a worked example")
