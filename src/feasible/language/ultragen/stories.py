"""Small stories whose soft attributes are decided by rules: mood, setting, tense, narrator,
dialogue, rhyme, season and ending.

A grammar writes a story of some sentences about one thing, two characters and a place. Each soft
attribute has a rule on the words of the text, so that satisfaction is exact on any text, the
model's too. A value that is decided by words wins only where its words outnumber those of every
other value: a text with all words of all moods has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.annotations import checked
from ...core.checks import seed as seeds, whole
from ...core.errors import ArgumentError
from .attributes import Case, Soft
from .extraction import ExtractionSettings
from .reading import Reading, sentences

STORY_EXTRACTION = ExtractionSettings(word_bin=10, sentence_bin=2, max_keywords=5, longest=1)
"""For texts of 20 to 70 words."""

MOODS = {
    "happy": ("glad", "cheerful", "merry", "bright"),
    "sad": ("lonely", "gloomy", "tearful", "sorry"),
    "scary": ("afraid", "dreadful", "creepy", "grim"),
    "calm": ("quiet", "gentle", "peaceful", "still"),
}
SETTINGS = {
    "sea": ("harbour", "beach", "pier", "boat", "wave", "gull", "sailor"),
    "forest": ("forest", "path", "grove", "oak", "fern", "owl", "hunter"),
    "city": ("city", "street", "bridge", "tower", "tram", "pigeon", "baker"),
    "farm": ("farm", "barn", "field", "cart", "hay", "goat", "farmer"),
}
"""Three places, two things of the place, an animal, a person."""
SEASONS = {
    "spring": ("april", "blossom", "drizzle"),
    "summer": ("july", "heat", "sunshine"),
    "autumn": ("october", "leaves", "mist"),
    "winter": ("january", "snow", "frost"),
}
VERBS = {
    "past": ("walked", "found", "felt", "carried", "said", "waited", "was", "kept"),
    "present": ("walks", "finds", "feels", "carries", "says", "waits", "is", "keeps"),
}
FIRST = {"walks": "walk", "finds": "find", "feels": "feel", "carries": "carry", "keeps": "keep"}
TENSES = {
    "past": frozenset(VERBS["past"]),
    "present": frozenset(VERBS["present"]) | frozenset(FIRST.values()),
}
NARRATORS = {"first": frozenset(("i", "my", "me")), "third": frozenset(("he", "she", "his", "her"))}
NAMES = {"anna": "she", "clara": "she", "mira": "she", "ben": "he", "hugo": "he", "theo": "he"}
THINGS = ("lamp", "key", "letter", "clock", "ring", "map", "drum", "coat", "basket", "mirror")
LOOKS = ("silver", "broken", "tiny", "golden", "old", "red", "heavy", "strange")
RHYMES = (
    ("night", "light", "sight"),
    ("day", "way", "bay"),
    ("rain", "lane", "train"),
    ("stone", "alone", "bone"),
)
OPENINGS = ("once", "today", "later", "soon", "early")
QUESTIONS = ("who knows what comes next?", "what could it mean?", "who left it there?")
SPEECHES = ("come with me", "look at this", "take good care", "do not go", "help me now")
RHYME_OF = {word: k for k, words in enumerate(RHYMES) for word in words}


@dataclass(frozen=True)
class Story:
    """A story, and the soft attributes that it was written to have.

    Attributes:
        text: The story.
        soft: Its soft attributes, in a fixed order.
    """

    text: str
    soft: tuple[Soft, ...]


def _winner(reading: Reading, lexicons: Mapping[str, Sequence[str] | frozenset[str]]) -> str | None:
    """The value whose words outnumber those of each other one."""
    many = sorted((sum(reading.tokens[w] for w in words), v) for v, words in lexicons.items())
    (second, _), (most, value) = many[-2:]
    return value if most > second else None


def _rhymes(reading: Reading) -> bool:
    """Whether the last two sentences end with different words of one rhyme."""
    ends = [re.findall(r"[a-z']+", s.lower())[-1:] for s in sentences(reading.text)[-2:]]
    if len(ends) < 2 or not all(ends):
        return False
    (one,), (other,) = ends
    return one != other and RHYME_OF.get(one, -1) == RHYME_OF.get(other, -2)


_VALUES: Mapping[str, Callable[[Reading], str | None]] = {
    "mood": lambda r: _winner(r, MOODS),
    "setting": lambda r: _winner(r, SETTINGS),
    "season": lambda r: _winner(r, SEASONS),
    "tense": lambda r: _winner(r, TENSES),
    "narrator": lambda r: _winner(r, NARRATORS),
    "dialogue": lambda r: "yes" if re.search(r'"[^"\n]+,"\s+\w+\s+\w+', r.text) else "no",
    "rhyme": lambda r: "yes" if _rhymes(r) else "no",
    "ending": lambda r: "question" if r.text.rstrip().endswith("?") else "statement",
}
"""Topic -> the value that a text has, if it has one."""
VALUES: Mapping[str, tuple[str, ...]] = {
    "mood": tuple(MOODS),
    "setting": tuple(SETTINGS),
    "season": tuple(SEASONS),
    "tense": tuple(TENSES),
    "narrator": tuple(NARRATORS),
    "dialogue": ("yes", "no"),
    "rhyme": ("yes", "no"),
    "ending": ("question", "statement"),
}
"""Topic -> its values."""
UNSTATED = frozenset(("dialogue: no", "rhyme: no", "ending: statement"))
"""Values of a text that lacks something; these are no attributes."""


def story_attributes(text: str) -> tuple[Soft, ...]:
    """The soft attributes that a text has, for `AttributePool.from_corpus`.

    Args:
        text: Any text.
    """
    reading = Reading(text)
    lines = (f"{topic}: {value(reading)}" for topic, value in _VALUES.items())
    return tuple(Soft(line) for line in lines if line not in UNSTATED and not line.endswith("None"))


def story_judge(text: str, attribute: Soft) -> bool:
    """Whether a text has a soft attribute of stories.

    Args:
        text: Any text.
        attribute: Such as `Soft("mood: happy")`.

    Raises:
        ArgumentError: Another topic; names those that are decided here.

    Examples:
        >>> story_judge("He was glad.", Soft("mood: happy"))
        True
    """
    topic, _, value = attribute.text.partition(": ")
    if topic not in _VALUES:
        raise ArgumentError(
            f"attribute '{attribute.text:.40}': no rule decides it; known: {', '.join(_VALUES)}"
        )
    return _VALUES[topic](Reading(text)) == value


@checked
def write_stories(n: int, seed: int = 0) -> list[Story]:
    """Stories by a grammar, each from a random stream of its own: the first ones do not change
    when more are asked for. One in twenty is in upper and one in twenty in lower case.

    Args:
        n: How many.
        seed: Of all of them.
    """
    return [
        _story(np.random.default_rng([*seeds("seed", seed), i]))
        for i in range(whole("n", n, least=0, most=10**7))
    ]


def _story(rng: np.random.Generator) -> Story:
    """One story."""

    def pick(words: Sequence[str]) -> str:
        return words[int(rng.integers(len(words)))]

    setting, mood, season = pick(list(SETTINGS)), pick(list(MOODS)), pick(list(SEASONS))
    tense, first = pick(list(VERBS)), rng.random() < 0.4
    places, person = SETTINGS[setting], SETTINGS[setting][6]
    name = pick(list(NAMES))
    who = "i" if first else name
    pronoun, her = ("i", "my") if first else (NAMES[name], {"she": "her", "he": "his"}[NAMES[name]])
    walk, find, feel, carry, say, wait, be, keep = VERBS[tense]
    if first and tense == "present":
        walk, find, feel, carry, keep = (FIRST[v] for v in (walk, find, feel, carry, keep))
    thing, look, words = pick(THINGS), pick(LOOKS), MOODS[mood]

    opening = f"{pick(OPENINGS)} in {SEASONS[season][0]}, {who} {walk} to the {pick(places[:3])}."
    middle = [
        f"{pronoun} {find} a {look} {thing} near the {pick(places[3:5])}.",
        f"{pronoun} {feel} {pick(words)} and {pick(words)}.",
        f"the {thing} {be} {pick(words)} under the {pick(SEASONS[season][1:])}.",
        f"the {places[5]} {wait} by the {pick(places[:5])}.",
        f"{pronoun} {carry} the {thing} to {her} {pick(('mother', 'brother', 'friend'))}.",
        f"the {person} {be} {pick(words)}.",
    ]
    if rng.random() < 0.4:
        middle.append(f'"{pick(SPEECHES)}," {say} the {person}.')
    order = rng.permutation(len(middle))[: int(rng.integers(2, len(middle) + 1))]
    chosen = [middle[i] for i in order]
    closing = rng.random()
    if closing < 0.3:
        one, other = rng.permutation(RHYMES[int(rng.integers(len(RHYMES)))])[:2]
        chosen += [
            f"{pronoun} {keep} the {thing} in {her} {pick(('hand', 'bag'))} for the {one}.",
            f"the {pick(places[:5])} {be} {pick(words)} like the {other}.",
        ]
    elif closing < 0.6:
        chosen.append(pick(QUESTIONS))
    breaks = set(rng.permutation(len(chosen))[: int(rng.integers(3))].tolist())
    text = opening[:1].upper() + opening[1:]
    for i, sentence in enumerate(chosen):
        text += ("\n\n" if i in breaks else " ") + _capital(sentence)
    text = re.sub(r"\bi\b", "I", text)
    case = rng.random()
    if case < 0.1:
        text = Case("upper" if case < 0.05 else "lower").applied(text)
    return Story(text, story_attributes(text))


def _capital(sentence: str) -> str:
    """A sentence whose first letter is a capital."""
    at = 1 if sentence.startswith('"') else 0
    return sentence[:at] + sentence[at].upper() + sentence[at + 1 :]


FUNCTION_WORDS = (
    "i", "my", "her", "his", "in", "to", "the", "a", "and", "near", "under", "by", "for", "like",
    "mother", "brother", "friend", "hand", "bag",
)  # fmt: skip
LEXICONS = (*MOODS.values(), *SETTINGS.values(), *SEASONS.values(), *VERBS.values())
VOCABULARY: tuple[str, ...] = tuple(
    sorted(
        {w for words in (*LEXICONS, *TENSES.values()) for w in words}
        | {w for line in (*QUESTIONS, *SPEECHES) for w in re.findall(r"[a-z]+", line)}
        | {*NAMES, *NAMES.values(), *THINGS, *LOOKS, *RHYME_OF, *OPENINGS, *FUNCTION_WORDS}
    )
)
"""All words of stories."""
