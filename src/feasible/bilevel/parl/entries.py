"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_HERE = "feasible.bilevel.parl"


def _entry(
    name: str,
    target: str,
    summary: str,
    solves: str = "RewardDesign",
    paper: str | None = None,
    peer: bool = False,
    **settings: object,
) -> Entry:
    """A method of this folder."""
    example = "incentives" if solves == "RewardDesign" else "preferences"
    return Entry(
        name,
        f"{_HERE}.{target}",
        "bilevel",
        paper,
        solves,
        peer=peer,
        settings=settings,
        summary=summary,
        example=example,
    )


METHODS = (
    _entry(
        "parl",
        "run:APARLMethod",
        "A-PARL: the exact gradient through the agent's best answer",
        paper="parl",
    ),
    _entry(
        "parl-sampled",
        "run:APARLMethod",
        "A-PARL from episodes, whose utilities are labels",
        paper="parl",
        implicit="fisher",
    ),
    _entry(
        "parl-preferences",
        "run:PreferenceMethod",
        "A-PARL from comparisons, both terms",
        "RewardFromPreferences",
        "parl",
    ),
    _entry(
        "preferences-on-policy",
        "run:PreferenceMethod",
        "the likelihood of comparisons of the agent's own episodes, without the first term",
        "RewardFromPreferences",
        distribution_term=False,
    ),
    _entry(
        "preferences-uniform",
        "run:PreferenceMethod",
        "the likelihood of comparisons of random episodes",
        "RewardFromPreferences",
        distribution_term=False,
        behaviour="uniform",
    ),
    _entry("reward-fit", "baselines:RewardFit", "the reward nearest to the utility, scaled"),
    _entry(
        "reward-fit-occupancy",
        "baselines:OccupancyFit",
        "the reward nearest to the utility where its own agent comes by, scaled",
    ),
    _entry("reward-differences", "baselines:Differences", "ascent along central differences"),
    _entry("reward-cma", "peers:RewardCMA", "CMA-ES on the parameters of a reward", peer=True),
)
CLAIM = "feasible.bilevel.parl.claim:claim"
PROBLEMS = tuple(
    Entry(name, f"{_HERE}.instances:{factory}", "bilevel", "parl", solves)
    for name, factory, solves in (
        ("incentives", "incentives", "RewardDesign"),
        ("grid-incentives", "grid_incentives", "RewardDesign"),
        ("preferences", "preferences", "RewardFromPreferences"),
        ("preferences-outside", "preferences_outside", "RewardFromPreferences"),
    )
)
