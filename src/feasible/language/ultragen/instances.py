"""Stories to be written: a corpus, sets of held-out stories, and sets that no story has."""

from __future__ import annotations

import numpy as np

from ...core.annotations import checked
from ...core.checks import whole
from .conflicts import resolve_conflicts
from .embedding import CorrelationEncoder, EncoderSettings
from .pool import AttributePool, corpus_attributes
from .problem import AttributeControl, attribute_control
from .sampler import AttributeSampler, SamplerSettings
from .small import StoryModelSettings, StoryTokenizer, story_model
from .stories import STORY_EXTRACTION, story_attributes, story_judge, write_stories
from .training import in_order

UNSEEN = SamplerSettings(k=64, size=(8, 15), soft=(2, 6))
"""Sets of stories."""


@checked
def stories_problem(
    n_texts: int = 4000,
    n_held_out: int = 100,
    model: StoryModelSettings | None = None,
    seed: int = 0,
    max_tokens: int = 90,
) -> AttributeControl:
    """Write stories with 8 to 20 attributes; the small model knows nothing at the beginning.

    Args:
        n_texts: Stories to learn from.
        n_held_out: Sets of each part: "local", of stories that nobody sees, in random order, and
            "global", sampled from a pool of such stories.
        model: The small model; None: as StoryModelSettings, of this seed.
        seed: Of stories and sets.
        max_tokens: Of a story.
    """
    whole("n_texts", n_texts, least=1, most=10**6)
    whole("n_held_out", n_held_out, least=1, most=10**5)
    others = 5 * n_held_out
    texts = [s.text for s in write_stories(n_texts + 2 * others, seed)]
    sets = corpus_attributes(texts, story_attributes, STORY_EXTRACTION)
    seen, fluent = slice(0, n_texts), slice(n_texts + others, None)
    held_out = sets[n_texts : n_texts + others]
    pool = AttributePool.of(held_out, seed)
    encoder = CorrelationEncoder(EncoderSettings(triplets=4000, seed=seed)).fit(pool)
    settings = SamplerSettings(
        k=min(UNSEEN.k, len(pool.attributes)), size=UNSEEN.size, soft=UNSEEN.soft, seed=seed
    )
    unseen, _ = resolve_conflicts(AttributeSampler(pool, encoder, settings).sample(n_held_out))
    rng = np.random.default_rng([seed, 5])
    parts = {"local": held_out[:n_held_out], "global": unseen}
    return attribute_control(
        story_model(StoryModelSettings(seed=seed) if model is None else model),
        StoryTokenizer(),
        list(zip(texts[seen], sets[seen], strict=True)),
        {name: [in_order(one, "shuffled", rng) for one in of] for name, of in parts.items()},
        story_judge,
        fluent=texts[fluent],
        max_tokens=max_tokens,
        name=f"stories-{seed}",
    )
