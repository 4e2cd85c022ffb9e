"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "lv-hba",
        "feasible.bilevel.lv_hba.run:LVHBA",
        "bilevel",
        "lv-hba",
        "Bilevel",
        summary="the proximal Lagrangian value function: lower constraints, first derivatives only",
        example="llc-toy",
    ),
)
PROBLEMS = tuple(
    Entry(
        name,
        "feasible.bilevel.lv_hba.instances:svm_weights",
        "bilevel",
        "lv-hba",
        "Bilevel",
        settings={"form": form},
    )
    for name, form in (("svm-weights", "constrained"), ("svm-weights-eliminated", "eliminated"))
)
CLAIM = "feasible.bilevel.lv_hba.claim:claim"
