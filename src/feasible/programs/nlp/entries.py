"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "nlp",
        "feasible.programs.nlp.nlp:NLP",
        "programs",
        None,
        "Program",
        summary="solvers one after the other, until one's answer is a KKT point by our own check",
        example="hs71",
    ),
)
