"""What the instances offer by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

NAMES = (
    *("hs6", "hs27", "hs28", "hs39", "hs40", "hs42", "hs43", "hs48", "hs51", "hs52", "hs71"),
    *("hs76", "hs78", "hs79", "bt3", "bt12"),
)
PROBLEMS = tuple(
    Entry(
        name,
        "feasible.programs.instances.hock_schittkowski:hock_schittkowski",
        "programs",
        None,
        "Program",
        settings={"name": name},
    )
    for name in NAMES
)
