"""Attributes of a text: each one says how it is written down, read back and checked.

Hard attributes are decided by a rule; a soft one is a sentence in plain words that needs a judge.
All are frozen and hashable. `check` decides one text; `holds` the same on a `Reading`, which counts
words once for all attributes. An attribute is also a reward function of TRL (call it) and a judge
of this room (`judge`).

References:
    Longfei Yun, Letian Peng, Jingbo Shang: UltraGen, arXiv 2502.12375 (2025).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

from ...core.annotations import Checked, checked
from ...core.checks import shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from .reading import Match, Reading, contents, of_text

KINDS = ("keyword", "frequency", "length", "structure", "start", "soft")
"""The kinds over which the macro satisfaction averages."""
PHRASE = re.compile(r"[a-z']+( [a-z']+)*")


@dataclass(frozen=True)
class Attribute(Checked):
    """What one text has and another has not."""

    kind: ClassVar[str]

    @property
    def group(self) -> tuple[str, str]:
        """Of two attributes with the same group a text can have one: kind and token."""
        return type(self).__qualname__, ""

    @abstractmethod
    def holds(self, reading: Reading) -> bool:
        """Whether the text of a reading has it."""

    @abstractmethod
    def render(self) -> str:
        """In words, as a prompt has it; `parse` reads it back."""

    def check(self, text: str) -> bool:
        """Whether a text has it.

        Raises:
            ArgumentTypeError: It is no text.
        """
        return self.holds(Reading(of_text("text", text)))

    def judge(self, completions: Sequence[Any], **columns: Any) -> list[bool]:
        """Whether each completion has it; a judge of this room's problems.

        Args:
            completions: Texts, or conversations whose last message counts.
            columns: Not used.
        """
        return [self.check(contents("completions", c)) for c in completions]

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """1 for each completion that has it, otherwise 0; a reward function of TRL."""
        return [float(found) for found in self.judge(completions, **columns)]

    @property
    def __name__(self) -> str:  # TRL's logs name reward functions by it
        return self.render()


def of_attributes(name: str, attributes: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Attributes as a tuple. Raises ArgumentTypeError that names the argument."""
    if isinstance(attributes, (str, bytes)) or not isinstance(attributes, Sequence):
        raise ArgumentTypeError(f"{name}={shown(attributes)}: expected a sequence of attributes")
    for a in attributes:
        if not isinstance(a, Attribute):
            raise ArgumentTypeError(f"{name} has {shown(a)}: expected an attribute")
    return tuple(attributes)


def _phrase(name: str, value: str) -> None:
    """Check a phrase: words of a-z and apostrophes, one blank between two."""
    if not PHRASE.fullmatch(value) or not re.search("[a-z]", value):
        raise ArgumentError(
            f"{name}={shown(value)}: expected words of the letters a-z and apostrophes in lower "
            "case, one blank between two"
        )


@dataclass(frozen=True)
class Keyword(Attribute):
    """The text has a word or phrase.

    Attributes:
        word: In lower case.
        match: The rule.
    """

    kind: ClassVar[str] = "keyword"
    word: str
    match: Match = "word"

    def __post_init__(self) -> None:
        _phrase("word", self.word)

    @property
    def group(self) -> tuple[str, str]:
        """One for each word and rule."""
        return "Keyword", f"{self.match} {self.word}"

    def holds(self, reading: Reading) -> bool:
        """Whether it is there."""
        return reading.count(self.word, self.match) > 0

    def render(self) -> str:
        """As `include: lamp`."""
        return f"{'include' if self.match == 'word' else 'include letters'}: {self.word}"


@dataclass(frozen=True)
class Frequency(Attribute):
    """A word or phrase appears exactly so many times.

    Attributes:
        word: In lower case.
        times: How often.
        match: The rule.
    """

    kind: ClassVar[str] = "frequency"
    word: str
    times: int
    match: Match = "word"

    def __post_init__(self) -> None:
        _phrase("word", self.word)
        whole("times", self.times, least=1)

    @property
    def group(self) -> tuple[str, str]:
        """One for each word and rule: "lamp 2 times" and "key 3 times" are no conflict."""
        return "Frequency", f"{self.match} {self.word}"

    def holds(self, reading: Reading) -> bool:
        """Whether it is there exactly so often."""
        return reading.count(self.word, self.match) == self.times

    def render(self) -> str:
        """As `2 times: lamp`."""
        return f"{self.times} times{'' if self.match == 'word' else ' letters'}: {self.word}"


@dataclass(frozen=True)
class Between(Attribute):
    """A number of parts is in the half-open range [low, high).

    Attributes:
        low: The least number.
        high: The first number beyond.
    """

    kind: ClassVar[str] = "length"
    unit: ClassVar[str]
    low: int
    high: int

    def __post_init__(self) -> None:
        whole("low", self.low, least=0)
        whole("high", self.high, least=self.low + 1, note=", above low")

    def render(self) -> str:
        """As `words: 30 to 39`."""
        return f"{self.unit}: {self.low} to {self.high - 1}"


@dataclass(frozen=True)
class Words(Between):
    """The number of words, parts between blanks, is in [low, high)."""

    unit: ClassVar[str] = "words"

    def holds(self, reading: Reading) -> bool:
        """Whether it is."""
        return self.low <= reading.words < self.high


@dataclass(frozen=True)
class Sentences(Between):
    """The number of sentences is in [low, high)."""

    unit: ClassVar[str] = "sentences"

    def holds(self, reading: Reading) -> bool:
        """Whether it is."""
        return self.low <= reading.sentences < self.high


@dataclass(frozen=True)
class Paragraphs(Attribute):
    """The text has exactly so many paragraphs.

    Attributes:
        count: How many.
    """

    kind: ClassVar[str] = "structure"
    count: int

    def __post_init__(self) -> None:
        whole("count", self.count, least=0)

    def holds(self, reading: Reading) -> bool:
        """Whether it has."""
        return reading.paragraphs == self.count

    def render(self) -> str:
        """As `paragraphs: 2`."""
        return f"paragraphs: {self.count}"


@dataclass(frozen=True)
class Case(Attribute):
    """All letters are upper case, or all lower case.

    Attributes:
        case: "upper" or "lower".
    """

    kind: ClassVar[str] = "structure"
    case: Literal["upper", "lower"]

    def holds(self, reading: Reading) -> bool:
        """Whether they are, and there is one."""
        return reading.text.isupper() if self.case == "upper" else reading.text.islower()

    def render(self) -> str:
        """As `case: upper`."""
        return f"case: {self.case}"

    def applied(self, text: str) -> str:
        """A text with letters of this case."""
        return text.upper() if self.case == "upper" else text.lower()


@dataclass(frozen=True)
class Start(Attribute):
    """The first word.

    Attributes:
        word: In lower case.
    """

    kind: ClassVar[str] = "start"
    word: str

    def __post_init__(self) -> None:
        _phrase("word", self.word)
        if " " in self.word:
            raise ArgumentError(f"word={shown(self.word)}: expected one word")

    def holds(self, reading: Reading) -> bool:
        """Whether the text starts with it."""
        return reading.start == self.word

    def render(self) -> str:
        """As `start: once`."""
        return f"start: {self.word}"


@dataclass(frozen=True)
class Soft(Attribute):
    """Something in plain words that a judge decides; by itself it is never counted as met.

    Attributes:
        text: The words; of "mood: happy" and "mood: sad" a text can have one.
    """

    kind: ClassVar[str] = "soft"
    text: str

    def __post_init__(self) -> None:
        if not self.text.strip() or "\n" in self.text:
            raise ArgumentError(f"text={shown(self.text)}: expected one line that says something")

    @property
    def group(self) -> tuple[str, str]:
        """What is before the colon; without one, all of it."""
        return "Soft", self.text.partition(":")[0].strip().lower()

    def holds(self, reading: Reading) -> bool:
        """Refuse: rules cannot decide it."""
        raise ArgumentError(f"soft_judge: '{self.text:.60}' needs a judge, a rule cannot decide it")

    def render(self) -> str:
        """The words."""
        return self.text


_READ: tuple[tuple[re.Pattern[str], Callable[..., Attribute]], ...] = tuple(
    (re.compile(pattern), make)
    for pattern, make in (
        (r"include(?P<letters> letters)?: (?P<word>.+)", lambda word, match: Keyword(word, match)),
        (
            r"(?P<times>\d+) times(?P<letters> letters)?: (?P<word>.+)",
            lambda times, word, match: Frequency(word, int(times), match),
        ),
        (r"words: (?P<low>\d+) to (?P<last>\d+)", lambda low, last: _range(Words, low, last)),
        (
            r"sentences: (?P<low>\d+) to (?P<last>\d+)",
            lambda low, last: _range(Sentences, low, last),
        ),
        (r"paragraphs: (?P<count>\d+)", lambda count: Paragraphs(int(count))),
        (r"case: (?P<case>upper|lower)", lambda case: Case(case)),
        (r"start: (?P<word>.+)", lambda word: Start(word)),
    )
)


def _range(kind: type[Between], low: str, last: str) -> Between:
    """A range from its first and last number."""
    return kind(int(low), int(last) + 1)


@checked
def parse(text: str, soft: bool = False) -> Attribute:
    """The attribute that `render` wrote down.

    Args:
        text: One line.
        soft: Take what no rule reads for a soft attribute.

    Raises:
        ArgumentError: No rule reads it, or a rule does and a number or word in it is wrong.

    Examples:
        >>> parse("words: 30 to 39")
        Words(low=30, high=40)
        >>> parse("2 times: lamp").check("A lamp, another lamp.")
        True
    """
    line = " ".join(text.split())
    for pattern, make in _READ:
        if found := pattern.fullmatch(line):
            given = found.groupdict()
            if "letters" in given:
                given["match"] = "substring" if given.pop("letters") else "word"
            return make(**given)
    if soft:
        return Soft(line)
    raise ArgumentError(
        f"text={shown(text)}: no hard attribute reads so; soft=True takes any words"
    )


@cache
def parsed(line: str) -> Attribute:
    """`parse` with soft ones, once a line."""
    return parse(line, soft=True)
