"""Attributes read off a text hold for it, are read back as they were written, and count as said."""

import subprocess
import sys

import pytest
from hypothesis import given, strategies as st
from written import HARD, MATCH, PHRASES

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.language.ultragen import (
    Case,
    ExtractionSettings,
    Frequency,
    Keyword,
    Paragraphs,
    Reading,
    Sentences,
    Soft,
    Start,
    Words,
    corpus_attributes,
    extract_hard,
    keyword_weights,
    paragraphs,
    parse,
    satisfied,
    sentences,
    story_attributes,
    story_judge,
    write_stories,
)
from feasible.language.ultragen.stories import STORY_EXTRACTION, VOCABULARY

TEXTS = st.lists(
    st.sampled_from(["Cat", "cat", "concatenate", "don't", "'tis", "I", "the", "dog.", "no!", "x1",
                     '"Stop!"', "\n\n", "\n", "CAT", "é", "well-known", "sailors'", "3.", "..."]),
    max_size=30,
).map(" ".join)  # fmt: skip


@given(HARD)
def test_what_is_rendered_is_parsed_back(attribute):
    assert parse(attribute.render()) == attribute


@given(
    TEXTS,
    st.builds(
        ExtractionSettings,
        st.integers(1, 20), st.integers(1, 5), st.integers(0, 9), st.integers(1, 3), MATCH,
    ),
)  # fmt: skip
def test_every_extracted_attribute_holds_for_its_own_text(text, settings):
    found = extract_hard(text, settings)
    assert all(a.check(text) for a in found)
    assert sum(a.kind in ("keyword", "frequency") for a in found) <= settings.max_keywords
    assert extract_hard(text, settings) == found


def test_every_story_has_its_attributes_the_soft_ones_by_their_rules_too():
    stories = write_stories(200, seed=3)
    texts = [s.text for s in stories]
    for story, found in zip(
        stories, corpus_attributes(texts, story_attributes, STORY_EXTRACTION), strict=True
    ):
        assert all(satisfied(story.text, found, story_judge))
        kinds = {a.kind for a in found}
        assert kinds >= {"length", "structure", "start", "soft"}
        assert kinds & {"keyword", "frequency"}
        assert set(Reading(story.text).tokens) <= set(VOCABULARY)
    assert write_stories(50, seed=3) == stories[:50]
    assert {"upper", "lower"} <= {
        a.case for t in texts for a in extract_hard(t) if isinstance(a, Case)
    }


def test_ranges_are_half_open():
    hundred = " ".join(["word"] * 100)
    assert Words(100, 200).check(hundred)
    assert not Words(0, 100).check(hundred)
    assert Words(0, 100).check(" ".join(["word"] * 99))
    ten = "Yes. " * 10
    assert Sentences(10, 20).check(ten)
    assert not Sentences(0, 10).check(ten)
    assert Words(100, 200) in extract_hard(hundred)


def test_substrings_and_words_are_counted_apart():
    text = "concatenate cat"
    assert Frequency("cat", 2, "substring").check(text)
    assert Frequency("cat", 1, "word").check(text)
    settings = ExtractionSettings(longest=1, match="substring")
    assert Frequency("cat", 2, "substring") in extract_hard(text, settings)


@given(TEXTS, PHRASES)
def test_a_count_of_words_is_that_of_the_rule(text, phrase):
    import re

    rule = re.compile(rf"(?<![a-z']){re.escape(phrase)}(?![a-z'])")
    assert Reading(text).count(phrase, "word") == len(rule.findall(text.lower()))


@pytest.mark.parametrize("word", ["'tis", "sailors'", "don't"])
def test_words_with_apostrophes_at_their_ends_are_found(word):
    assert Keyword(word).check(f"So {word} said.")
    assert not Keyword(word).check(f"So x{word}y said.")


def test_one_splitter_decides_about_sentences_and_paragraphs():
    text = '\n\nOne. "Two?" Three\n\n\nfour\n \nfive. \n\n'
    assert sentences(text) == ["One.", '"Two?', "Three", "four", "five."]
    assert paragraphs(text) == ['One. "Two?" Three', "four", "five."]
    assert sentences("") == paragraphs("  \n\n ") == []
    assert Paragraphs(0).check("")


def test_case_and_first_word():
    assert Case("upper").check("A 3 B!")
    assert not Case("upper").check("3!")
    assert Case("lower").applied("A b") == "a b"
    assert Start("once").check('"Once, upon')
    assert not Start("once").check("")
    assert not any(isinstance(a, Start) for a in extract_hard("3rd of us left the house"))


def test_an_attribute_is_a_reward_of_trl_and_a_judge():
    lamp = Keyword("lamp")
    chat = [{"role": "user", "content": "lamp"}, {"role": "assistant", "content": "a key"}]
    assert lamp(["a lamp", "a key"], prompts=["", ""]) == [1.0, 0.0]
    assert lamp.judge([chat, ""]) == [False, False]
    assert lamp.__name__ == "include: lamp"


def test_rare_keywords_are_kept_where_there_are_too_many():
    texts = ["red lamp", "red key", "red drum"]
    settings = ExtractionSettings(max_keywords=1, longest=1)
    weights = keyword_weights(texts, settings)
    assert weights["red"] == 1 < weights["lamp"]
    assert Keyword("lamp") in extract_hard(texts[0], settings, weights)
    assert Keyword("red") not in extract_hard(texts[0], settings, weights)


def test_what_is_no_attribute_is_refused_by_name():
    for line in ("words: 9", "be nice", "5 times lamp"):
        with pytest.raises(ArgumentError, match="text="):
            parse(line)
    assert parse("be  nice", soft=True) == Soft("be nice")
    for wrong in ("", "Lamp", "a  b", "l4mp", "'"):
        with pytest.raises(ArgumentError, match="word"):
            Keyword(wrong)
    for call in (lambda: Words(5, 5), lambda: Words(-1, 5), lambda: Frequency("a", 0)):
        with pytest.raises(ArgumentError):
            call()
    with pytest.raises(ArgumentError, match="needs a judge"):
        Soft("be nice").check("text")
    with pytest.raises(ArgumentError, match="no rule decides it"):
        story_judge("text", Soft("be nice"))
    with pytest.raises(ArgumentTypeError, match="text"):
        Keyword("a").check(None)


def test_words_of_every_mood_make_none():
    assert story_judge("glad glad lonely", Soft("mood: happy"))
    assert not story_judge("glad lonely", Soft("mood: happy"))
    assert not story_judge("glad lonely", Soft("mood: sad"))
    assert story_judge("It was day.\n\nWe went our way!", Soft("rhyme: yes"))
    assert not story_judge("It was day. It was day.", Soft("rhyme: yes"))


def test_the_half_without_a_model_loads_no_torch():
    code = (
        "import sys; from feasible.language.ultragen import extract_hard, csr, resolve_conflicts, "
        "AttributeSampler; extract_hard('a lamp'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
