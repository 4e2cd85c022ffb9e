"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "private-gsd",
        "feasible.blackbox.private_gsd.gsd:GSD",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        summary="private synthetic data: noisy answers, and a genetic algorithm that fits a table "
        "to them",
    ),
    Entry(
        "rap",
        "feasible.blackbox.private_gsd.rap:RAP",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        summary="private synthetic data by relaxed projection, RAP and RAP++ (a baseline of the "
        "paper, own code)",
    ),
    Entry(
        "pgm",
        "feasible.blackbox.private_gsd.peers:PGM",
        "blackbox",
        None,
        "PrivateTable",
        peer=True,
        summary="mbi: a graphical model estimated from noisy marginals",
        example="acs-like-categorical",
    ),
)
PROBLEMS = (
    Entry(
        "acs-like",
        "feasible.blackbox.private_gsd.instances:get",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        settings={"name": "acs-like"},
    ),
    Entry(
        "acs-like-small",
        "feasible.blackbox.private_gsd.instances:get",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        settings={"name": "acs-like-small"},
    ),
    Entry(
        "acs-like-categorical",
        "feasible.blackbox.private_gsd.instances:get",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        settings={"name": "acs-like-categorical"},
    ),
    Entry(
        "acs-like-mixed",
        "feasible.blackbox.private_gsd.instances:get",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        settings={"name": "acs-like-mixed"},
    ),
    Entry(
        "adult",
        "feasible.blackbox.private_gsd.instances:get",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        settings={"name": "adult"},
    ),
)
CLAIM = "feasible.blackbox.private_gsd.claim:claim"
