"""Stories to be written: a corpus, sets of held-out stories, and sets that no story has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.annotations import checked
from ...core.checks import whole
from .attributes import Attribute
from .conflicts import resolve_conflicts
from .pool import corpus_attributes
from .problem import AttributeControl, attribute_control
from .run import sampled_sets
from .small import StoryModelSettings, StoryTokenizer, story_model
from .stories import STORY_EXTRACTION, story_attributes, story_judge, write_stories
from .training import in_order


@checked
def stories_problem(
    n_texts: int = 1500,
    n_held_out: int = 50,
    model: StoryModelSettings | None = None,
    seed: int = 0,
    max_tokens: int = 90,
    triplets: int = 8000,
    name: str = "stories",
) -> AttributeControl:
    """Write stories with 8 to 20 attributes; the small model knows nothing at the beginning.

    Args:
        n_texts: Stories to learn from.
        n_held_out: Sets of each part, in random order: "local", of stories that nobody sees, and
            "global", sampled from the pool of the corpus, correlated and diverse.
        model: The small model; None: as StoryModelSettings, of this seed.
        seed: Of stories and sets.
        max_tokens: Of a story.
        triplets: Of the correlation encoder behind the global sets.
        name: For tables.
    """
    whole("n_texts", n_texts, least=1, most=10**6)
    whole("n_held_out", n_held_out, least=1, most=10**5)
    texts = [s.text for s in write_stories(n_texts + 6 * n_held_out, seed)]
    sets = corpus_attributes(texts, story_attributes, STORY_EXTRACTION)
    local = sets[n_texts : n_texts + n_held_out]
    unseen, _ = resolve_conflicts(
        sampled_sets(sets[:n_texts], n_held_out, triplets=triplets, seed=seed)
    )
    rng = np.random.default_rng([seed, 5])
    parts: dict[str, Sequence[Sequence[Attribute]]] = {"local": local, "global": unseen}
    return attribute_control(
        story_model(StoryModelSettings(seed=seed) if model is None else model),
        StoryTokenizer(),
        list(zip(texts[:n_texts], sets[:n_texts], strict=True)),
        {name: [in_order(one, "shuffled", rng) for one in of] for name, of in parts.items()},
        story_judge,
        fluent=texts[n_texts + n_held_out :],
        max_tokens=max_tokens,
        name=name,
    )
