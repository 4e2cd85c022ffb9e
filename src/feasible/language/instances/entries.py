"""Language problems by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

PROBLEMS = (
    Entry(
        "addition",
        "feasible.language.instances.addition:addition",
        "language",
        None,
        "LanguageProblem",
    ),
)
