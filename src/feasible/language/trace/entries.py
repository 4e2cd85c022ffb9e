"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        f"feasible.language.trace.{target}",
        "language",
        "trace",
        "Workflow",
        peer=target.startswith("peers:"),
        settings=settings,
        summary=summary,
        example=example,
    )
    for name, target, settings, summary, example in (
        (
            "numeric-trace",
            "run:NumericTraceRun",
            {},
            "steps by the gradient of the trace; no language model",
            "program-3",
        ),
        ("enumerate", "run:Enumerate", {}, "all combinations of choices", "prompt-pieces"),
        (
            "random-mutation",
            "run:RandomMutation",
            {},
            "(1+1) evolution strategy on values of any type",
            "program-2",
        ),
        (
            "optoprime-rules",
            "run:OptoPrimeRun",
            {"backend": "rules"},
            "OptoPrime's prompts answered by the rule-based backend, no language model",
            "program-2",
        ),
        (
            "opro-rules",
            "run:OPRORun",
            {"backend": "rules"},
            "OPRO's prompts answered by the rule-based backend, no language model",
            "program-2",
        ),
        (
            "textgrad-rules",
            "run:TextGradRun",
            {"backend": "rules"},
            "TextGrad's calls at each node answered by the rule-based backend, no language model",
            "program-2",
        ),
        ("scipy-powell", "peers:Powell", {}, "SciPy's Powell on the score", "program-2"),
        (
            "scipy-nelder-mead",
            "peers:NelderMeadWorkflow",
            {},
            "SciPy's Nelder-Mead on the score",
            "program-2",
        ),
        ("scipy-cobyla", "peers:CobylaWorkflow", {}, "SciPy's COBYLA on the score", "program-2"),
        (
            "signed-history",
            "peers:SignedHistory",
            {},
            "random points until the error changes its sign, then Brent's method; no trace",
            "program-2",
        ),
    )
)
CLAIM = "feasible.language.trace.claim:claim"
PROBLEMS = (
    *(
        Entry(
            f"program-{p}",
            "feasible.language.trace.instances:numeric_program",
            "language",
            "trace",
            "Workflow",
            settings={"parameters": p},
        )
        for p in (1, 2, 3, 10)
    ),
    Entry(
        "prompt-pieces",
        "feasible.language.trace.instances:prompt_pieces",
        "language",
        "trace",
        "Workflow",
    ),
)
