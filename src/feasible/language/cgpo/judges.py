"""Judges that are rules: checks of a response in code.

A judge is any function f(completions, **columns) that returns True, False or None (it does not
apply) for each completion, as TRL's reward functions are called; so is each class here. `columns`
are lists with an entry for each completion, such as the right answers. Completions are text, or
TRL's lists of messages, of which the last counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.annotations import Checked
from ...core.checks import one_of, real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, BudgetError, ShapeError, StopRun
from ...core.warning import warn
from ..sandbox import Sandbox, SandboxError, SourceError
from ..scoring import ScoreWarning

NUMBER = re.compile(r"-?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
DONE = "feasible_tests_passed"


def text_of(completion: Any) -> str:
    """A completion as text: of a conversation the last message's content."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence) and completion and isinstance(completion[-1], Mapping):
        content = completion[-1].get("content")
        if isinstance(content, str):
            return content
    raise ArgumentTypeError(f"completions: got {shown(completion)}, expected text or messages")


def column_of(columns: Mapping[str, Any], name: str, n: int) -> Sequence[Any]:
    """The column of a name, one entry for each completion.

    Raises:
        ArgumentTypeError: There is no such column.
        ShapeError: It has another length.
    """
    if name not in columns:
        known = ", ".join(sorted(columns)) or "none"
        raise ArgumentTypeError(f"columns: this judge reads {name!r}, there are: {known}")
    found = columns[name]
    if isinstance(found, str) or not hasattr(found, "__len__") or len(found) != n:
        raise ShapeError(f"columns[{name!r}]={shown(found)}: expected {n} entries")
    return list(found)


@dataclass(frozen=True)
class Judge(Checked):
    """A rule; `of` says what it makes of one response."""

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[bool | None]:
        """Judge each completion."""
        texts = [text_of(c) for c in completions]
        entries = self.entries(columns, len(texts))
        return [self.of(text, entry) for text, entry in zip(texts, entries, strict=True)]

    def entries(self, columns: Mapping[str, Any], n: int) -> Sequence[Any]:
        """What it reads of the columns for each of n responses: nothing."""
        return [None] * n

    def of(self, text: str, entry: Any) -> bool | None:
        """Judge one response, with the column's entry."""
        raise TypeError(f"{type(self).__name__} does not define of(text, entry)")


@dataclass(frozen=True)
class Answer(Judge):
    """A rule that reads a column; where an entry of it is None the rule does not apply.

    Attributes:
        column: Its name.
    """

    column: str = field(default="answer", kw_only=True)

    def entries(self, columns: Mapping[str, Any], n: int) -> Sequence[Any]:
        """The column."""
        return column_of(columns, self.column, n)


@dataclass(frozen=True)
class RegexAnswer(Answer):
    """The last match of a pattern is the right answer.

    Attributes:
        pattern: Its first group, or all of it where it has none.
        column: Of right answers.

    Raises:
        ArgumentError: No such pattern.

    Examples:
        >>> RegexAnswer(r"(\\d+)$")(["5 + 7 = 12", "so 13"], answer=["12", "12"])
        [True, False]
    """

    pattern: str = r"(\S+)\s*$"

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ArgumentError(f"pattern={self.pattern!r:.60}: {error}") from None

    def of(self, text: str, entry: Any) -> bool | None:
        """Compare as text."""
        if entry is None:
            return None
        found = None
        for match in re.finditer(self.pattern, text):
            found = match[1] if match.re.groups else match[0]
        return found is not None and found.strip() == str(entry).strip()


@dataclass(frozen=True)
class NumberAnswer(Answer):
    """The last number of a response is the right one.

    Attributes:
        tolerance: Largest difference, relative to the answer where that is larger than 1.
        column: Of right answers.

    Examples:
        >>> NumberAnswer()(["about 1,024.0", "none"], answer=[1024, 3])
        [True, False]
    """

    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        real("tolerance", self.tolerance, least=0)

    def of(self, text: str, entry: Any) -> bool | None:
        """Compare as numbers."""
        if entry is None:
            return None
        wanted = float(entry)
        found = NUMBER.findall(text)
        if not found:
            return False
        return abs(float(found[-1].replace(",", "")) - wanted) <= self.tolerance * max(
            1.0, abs(wanted)
        )


@dataclass(frozen=True)
class Length(Judge):
    """A response has at most so many characters or words, and at least so many.

    Attributes:
        most: Of the unit.
        least: Of the unit.
        unit: "characters" or "words".

    Examples:
        >>> Length(2, unit="words")(["one two", "one two three"])
        [True, False]
    """

    most: int
    least: int = 0
    unit: str = "characters"

    def __post_init__(self) -> None:
        whole("least", self.least, least=0)
        whole("most", self.most, least=self.least)
        one_of("unit", self.unit, ("characters", "words"))

    def of(self, text: str, entry: Any) -> bool:
        """Count."""
        many = len(text) if self.unit == "characters" else len(text.split())
        return self.least <= many <= self.most


@dataclass(frozen=True)
class Ended(Judge):
    """A response ended by itself, rather than being cut.

    Attributes:
        tokenizer: Of the model.
        max_tokens: At which responses are cut; one of fewer tokens ended.
    """

    tokenizer: Any
    max_tokens: int

    def __post_init__(self) -> None:
        whole("max_tokens", self.max_tokens, least=1)
        if not callable(self.tokenizer):
            raise ArgumentTypeError(f"tokenizer={shown(self.tokenizer)}: expected a tokenizer")

    def of(self, text: str, entry: Any) -> bool:
        """Count tokens."""
        if not text:
            return True
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) < self.max_tokens


@dataclass(frozen=True)
class Keywords(Judge):
    """A response has all of some words, and none of others; case does not matter.

    Attributes:
        include: Words or phrases.
        exclude: Words or phrases.

    Examples:
        >>> Keywords(["sum"], ["sorry"])(["The sum is 4.", "Sorry: the sum.", "summary"])
        [True, False, False]
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.include) + len(self.exclude) == 0:
            raise ArgumentError("include and exclude: expected a word in one of them")

    def of(self, text: str, entry: Any) -> bool:
        """Look for whole words."""

        def has(word: str) -> bool:
            return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None

        return all(map(has, self.include)) and not any(map(has, self.exclude))


@dataclass(frozen=True)
class JSONObject(Judge):
    """A response is a JSON object, and nothing else, that has some keys.

    Attributes:
        keys: That it must have.

    Examples:
        >>> JSONObject(["name"])(['{"name": "Ada"}', "[1]", "{'name': 1}"])
        [True, False, False]
    """

    keys: Sequence[str] = ()

    def of(self, text: str, entry: Any) -> bool:
        """Parse it."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and all(key in found for key in self.keys)


@dataclass(frozen=True)
class UnitTests(Answer):
    """Code passes tests, in a process of its own with limits; never in this one.

    The column holds, for each response, a list of (arguments, result) for a function that the
    response defines: results are compared here, out of the code's reach. Or it holds Python with
    assertions, which is run behind the response: convenient, and code that redefines what an
    assertion compares can pass it.

    Attributes:
        allowed: Say True: running what a model wrote is a choice of yours.
        function: That the response defines, where tests are lists.
        column: Of tests.
        sandbox: Its limits.

    Raises:
        ArgumentError: It was not allowed.
    """

    allowed: bool = False
    function: str = "solution"
    column: str = field(default="tests", kw_only=True)
    sandbox: Sandbox = field(default_factory=Sandbox)

    def __post_init__(self) -> None:
        if not self.allowed:
            raise ArgumentError(
                "allowed=False: this judge runs code that a model wrote, in a process with limits; "
                "say allowed=True"
            )

    def of(self, text: str, entry: Any) -> bool | None:
        """Run it; what raises, hangs or is no Python fails."""
        if entry is None:
            return None
        try:
            if isinstance(entry, str):
                source = f"{text}\n{entry}\ndef {DONE}():\n    return True\n"
                return self.sandbox.call(source, DONE) is True
            for arguments, wanted in entry:
                found = self.sandbox.call(text, self.function, list(arguments))
                if found != json.loads(json.dumps(wanted)):
                    return False
        except (SandboxError, SourceError):
            return False
        return True


@dataclass(frozen=True)
class ModelJudge(Checked):
    """A language model's opinion.

    Each response is a call of the backend, which charges it before it is made. In a
    `LanguageProblem`, or a task of CGPO's, name it in `paid` with 0 calls of its own: it is then
    asked once for a response.

    Attributes:
        backend: A `Backend`; anything with `complete(messages, max_tokens=...)`.
        template: Of the prompt, with {prompt}, {completion} and names of columns.
        parse: The reply's text -> True, False or None. Where it raises the response has failed.
        max_tokens: Of the reply.
        known: What was said before, by prompt of the judge; a dict to ask nothing twice in a
            process, None to ask always.

    Raises:
        ArgumentError: A template without {completion}.
        ArgumentTypeError: A backend without `complete`.
    """

    backend: Any
    template: str
    parse: Callable[[str], bool | None]
    max_tokens: int = 16
    known: dict[str, bool | None] | None = None

    def __post_init__(self) -> None:
        whole("max_tokens", self.max_tokens, least=1)
        if not callable(getattr(self.backend, "complete", None)):
            raise ArgumentTypeError(f"backend={shown(self.backend)}: expected a Backend")
        if "{completion}" not in self.template:
            raise ArgumentError(f"template={shown(self.template)}: expected {{completion}} in it")

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[bool | None]:
        """Ask for each completion; one that fails alone raises, among others it has failed."""
        texts = [text_of(c) for c in completions]
        prompts = columns.pop("prompts", [""] * len(texts))
        found: list[bool | None] = []
        reasons: dict[int, str] = {}
        for i, text in enumerate(texts):
            entries = {k: v[i] for k, v in columns.items() if hasattr(v, "__getitem__")}
            asked = self.template.format(prompt=prompts[i], completion=text, **entries)
            try:
                found.append(self._ask(asked))
            except (StopRun, BudgetError):
                raise
            except Exception as error:  # the user's `parse` may raise anything
                if len(texts) == 1:
                    raise
                found.append(False)  # asking the others again would cost their calls again
                reasons[i] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if reasons:
            first, reason = next(iter(reasons.items()))
            warn(
                f"the model's opinion on {len(reasons)} of {len(texts)} responses could not be had "
                f"or read, which counts as a check that failed; response {first}: {reason}",
                ScoreWarning,
            )
        return found

    def _ask(self, asked: str) -> bool | None:
        """Ask once."""
        if self.known is not None and asked in self.known:
            return self.known[asked]
        message = [{"role": "user", "content": asked}]
        reply = self.backend.complete(message, max_tokens=self.max_tokens)
        said = self.parse(reply.text)
        if self.known is not None:
            self.known[asked] = said
        return said


def yes_or_no(text: str) -> bool:
    """Read a reply that begins with yes or no.

    Raises:
        ArgumentError: It begins with neither.

    Examples:
        >>> yes_or_no(" Yes, it does."), yes_or_no("No.")
        (True, False)
    """
    found = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
    if found is None:
        raise ArgumentError(f"text={shown(text)}: expected yes or no first")
    return found[1].lower() == "yes"
