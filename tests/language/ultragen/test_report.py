"""Satisfaction by attribute, kind and position; sets that no text can have."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from written import HARD

from feasible.core.errors import ArgumentError, ArgumentTypeError, EvaluationFailed, ShapeError
from feasible.language.ultragen import (
    Frequency,
    Keyword,
    Paragraphs,
    Satisfaction,
    Sentences,
    Soft,
    Start,
    Words,
    contradictions,
    corpus_attributes,
    csr,
    keyword_list,
    macro,
    resolve_conflicts,
    story_attributes,
    story_judge,
    write_stories,
)
from feasible.language.ultragen.stories import STORY_EXTRACTION

SMALL = st.one_of(
    st.builds(Keyword, st.sampled_from(["a", "b", "a b", "b a b"])),
    st.builds(
        Frequency, st.sampled_from(["a", "b", "a b"]), st.integers(1, 4),
        st.sampled_from(["word", "substring"]),
    ),
    st.builds(lambda n: Words(n, n + 3), st.integers(0, 9)),
    st.builds(lambda n: Sentences(n, n + 2), st.integers(0, 9)),
    st.builds(Paragraphs, st.integers(0, 5)),
    st.builds(Start, st.sampled_from(["a", "b"])),
    st.builds(Soft, st.sampled_from(["mood: happy", "mood: sad", "be kind"])),
    HARD,
)  # fmt: skip


def test_satisfaction_by_attribute_kind_and_position():
    sets = [[Keyword("lamp"), Keyword("key"), Start("the"), Words(0, 10)], [Keyword("lamp")]]
    found = csr(["The lamp", "a key"], sets)
    assert found.met == [[True, False, True, True], [False]]
    assert found.mean == (0.75 + 0.0) / 2
    assert found.by_kind == {"keyword": 1 / 3, "length": 1.0, "start": 1.0}
    assert np.isclose(found.macro, (1 / 3 + 1 + 1) / 3)
    assert found.per_attribute["include: lamp"] == 0.5
    assert found.per_position == (0.5, 0.0, 1.0, 1.0)
    assert found.soft is None
    assert found.hard == 0.6
    assert macro(found.met[0], sets[0]) == (0.5 + 1 + 1) / 3


def test_soft_attributes_need_a_judge_and_hard_ones_none():
    with pytest.raises(ArgumentError, match="needs a judge"):
        csr(["text"], [[Soft("mood: happy")]])
    found = csr(["glad"], [[Soft("mood: happy"), Keyword("sad")]], story_judge)
    assert (found.soft, found.hard) == (1.0, 0.0)
    with pytest.raises(ArgumentTypeError, match="soft_judge"):
        csr(["glad"], [[Soft("mood: happy")]], lambda text, a: None)


def test_a_judge_that_fails_is_named_with_what_it_was_asked():
    def broken(text, attribute):
        raise OSError("no line")

    with pytest.raises(EvaluationFailed, match="soft_judge of 'mood: happy' raised OSError: no"):
        csr(["glad"], [[Soft("mood: happy")]], broken)
    with pytest.raises(ArgumentTypeError, match="soft_judge of 'mood: happy'"):
        csr(["glad"], [[Soft("mood: happy")]], lambda text, a: float("nan"))


def test_an_empty_text_meets_only_what_asks_for_nothing():
    one = [Keyword("lamp"), Words(0, 5), Words(1, 5), Paragraphs(0), Start("a"), Sentences(0, 1)]
    assert csr([""], [one]).met == [[False, True, False, True, False, True]]
    assert csr([" \n\n "], [one]).met == csr([""], [one]).met


def test_what_is_undefined_is_refused():
    with pytest.raises(ArgumentError, match=r"sets\[0\] is empty"):
        csr(["text"], [[]])
    with pytest.raises(ArgumentError, match="texts"):
        csr([], [])
    with pytest.raises(ShapeError, match="sets"):
        csr(["a"], [])
    with pytest.raises(ArgumentTypeError, match=r"sets\[0\]"):
        csr(["a"], [["include: a"]])


def test_a_list_of_keywords_meets_its_keywords_and_not_the_kinds():
    texts = [s.text for s in write_stories(100, seed=5)]
    sets = corpus_attributes(texts, story_attributes, STORY_EXTRACTION)
    cheat = csr([keyword_list(a) for a in sets], sets, story_judge)
    honest = csr(texts, sets, story_judge)
    assert honest.macro == honest.mean == 1.0
    assert cheat.by_kind["keyword"] == 1.0
    assert cheat.macro < 0.6
    exact = csr([keyword_list(a, exact=True) for a in sets], sets, story_judge)
    assert exact.by_kind["start"] == 1.0
    assert cheat.macro < exact.macro < 0.85


def test_the_reward_of_a_column_is_the_macro_satisfaction():
    column = [["include: lamp", "include: key", "start: a"], ["mood: happy"]]
    texts = ["a lamp", "glad"]
    assert Satisfaction(story_judge)(texts, attributes=column, prompts=texts) == [0.75, 1.0]
    assert Satisfaction(story_judge, plain=True)(texts, attributes=column)[0] == 2 / 3
    assert Satisfaction().__name__ == "satisfaction"


# -- contradictions --------------------------------------------------------------------------------


@given(st.lists(st.lists(SMALL, max_size=8), max_size=3))
def test_resolving_leaves_no_contradiction_and_is_done_after_once(sets):
    resolved, report = resolve_conflicts(sets)
    for before, after in zip(sets, resolved, strict=True):
        assert not contradictions(after)
        assert len({a.group for a in after}) == len(after)
        assert set(after) <= set(before)
        if not contradictions(before):
            assert after == tuple(dict.fromkeys(before))
    assert report.contradictory == sum(bool(contradictions(s)) for s in sets)
    again, second = resolve_conflicts(resolved)
    assert again == resolved
    assert not second.contradictory
    assert not second.duplicates


@given(st.lists(st.sampled_from(["a", "b.", "c!", "\n\n", "a b"]), max_size=12).map(" ".join))
def test_what_holds_for_one_text_is_no_contradiction(text):
    (found,) = corpus_attributes([text], settings=STORY_EXTRACTION)
    assert not contradictions(found)
    assert resolve_conflicts([found])[0] == [tuple(dict.fromkeys(found))]


def test_numbers_of_different_words_are_no_conflict_and_the_last_of_one_word_stays():
    kept = [Frequency("lamp", 2), Frequency("key", 3)]
    resolved, report = resolve_conflicts([[Frequency("key", 2), *kept]])
    assert resolved == [tuple(kept)]
    assert report.removed == {"frequency": 1}
    start_and_case, _ = resolve_conflicts([[Start("once"), *kept, Keyword("lamp")]])
    assert start_and_case[0] == (Start("once"), *kept, Keyword("lamp"))


@pytest.mark.parametrize(
    ("wrong", "kept"),
    [
        ([Words(0, 3), Frequency("lamp", 2), Keyword("red key")], 2),
        ([Words(0, 3), Sentences(3, 5)], 1),
        ([Paragraphs(4), Sentences(1, 3)], 1),
        ([Paragraphs(4), Words(1, 3)], 1),
        ([Frequency("lamp", 1), Frequency("red lamp", 2)], 1),
        ([Frequency("am", 1, "substring"), Frequency("lamp", 2)], 1),
        ([Soft("mood: sad"), Soft("mood: happy")], 1),
    ],
)
def test_what_no_text_can_have_is_seen_across_kinds(wrong, kept):
    assert contradictions(wrong)
    resolved, report = resolve_conflicts([wrong])
    assert len(resolved[0]) == kept
    assert report.contradictory == 1
