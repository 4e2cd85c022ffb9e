"""Attributes of texts, for hypothesis."""

from hypothesis import strategies as st

from feasible.language.ultragen import Case, Frequency, Keyword, Paragraphs, Sentences, Start, Words

WORD = st.text("abcxyz'", min_size=1, max_size=6).filter(lambda w: w.strip("'"))
PHRASES = st.lists(WORD, min_size=1, max_size=2).map(" ".join)
MATCH = st.sampled_from(["word", "substring"])
NUMBER = st.integers(0, 10**6)
HARD = st.one_of(
    st.builds(Keyword, PHRASES, MATCH),
    st.builds(Frequency, PHRASES, NUMBER.map(lambda n: n + 1), MATCH),
    st.builds(lambda low, n: Words(low, low + n + 1), NUMBER, NUMBER),
    st.builds(lambda low, n: Sentences(low, low + n + 1), NUMBER, NUMBER),
    st.builds(Paragraphs, NUMBER),
    st.builds(Case, st.sampled_from(["upper", "lower"])),
    st.builds(Start, WORD),
)
