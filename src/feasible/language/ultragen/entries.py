"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        "feasible.language.ultragen.run:UltraGenRun",
        "language",
        "ultragen",
        "AttributeControl",
        settings=settings,
        summary=summary,
        example="small-stories",
    )
    for name, settings, summary in (
        ("ultragen", {}, "texts from their attributes, then preferences on sets that no text has"),
        ("ultragen-ar", {"strategy": "none"}, "the first phase alone"),
        (
            "ultragen-ar-fixed",
            {"strategy": "none", "order": "fixed"},
            "the first phase with attributes in one order",
        ),
        (
            "ultragen-random",
            {"strategy": "random", "resolve": False},
            "both phases on random sets, contradictions left in",
        ),
    )
)
CLAIM = "feasible.language.ultragen.claim:claim"
PROBLEMS = (
    Entry(
        "stories",
        "feasible.language.ultragen.instances:stories_problem",
        "language",
        "ultragen",
        "AttributeControl",
    ),
    Entry(
        "small-stories",
        "feasible.language.ultragen.instances:stories_problem",
        "language",
        "ultragen",
        "AttributeControl",
        settings={
            "n_texts": 100,
            "n_held_out": 4,
            "max_tokens": 24,
            "triplets": 400,
            "name": "small-stories",
        },
    ),
)
