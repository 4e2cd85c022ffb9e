"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_HERE = "feasible.policies.randomized_pbrl"
METHODS = tuple(
    Entry(
        name,
        f"{_HERE}.run:{target}",
        "policies",
        "randomized-pbrl",
        "PreferenceMDP",
        settings=settings,
        summary=summary,
        example="random-preferences",
    )
    for name, target, settings, summary in (
        (
            "pr-lsvi",
            "PRLSVIMethod",
            {},
            "noise on reward and values explores; asks where two draws of the reward disagree",
        ),
        ("pr-lsvi-always", "PRLSVIMethod", {"query": 0.0}, "asks about every pair that differs"),
        ("pr-lsvi-random", "PRLSVIMethod", {"rule": "random"}, "asks about pairs at random"),
        (
            "pr-lsvi-greedy",
            "PRLSVIMethod",
            {"sigma": 0.0},
            "the same without noise: the likeliest reward's policy",
        ),
        (
            "pbts",
            "PbTSMethod",
            {},
            "Thompson sampling: the best policy of transitions and a reward drawn from posteriors",
        ),
    )
)
CLAIM = f"{_HERE}.claim:claim"
PROBLEMS = tuple(
    Entry(
        name,
        f"{_HERE}.instances:{target}",
        "policies",
        "randomized-pbrl",
        "PreferenceMDP",
    )
    for name, target in (("random-preferences", "random_preferences"), ("river", "river"))
)
