"""What the room's shared files offer by name. Plain data: nothing heavy is imported."""

from ..core.registry import Entry

FAMILIES = {
    "abz": tuple(f"abz{i}" for i in range(5, 10)),
    "ft": ("ft06", "ft10", "ft20"),
    "la": tuple(f"la{i:02d}" for i in range(1, 41)),
    "orb": tuple(f"orb{i:02d}" for i in range(1, 11)),
    "swv": tuple(f"swv{i:02d}" for i in range(1, 21)),
    "yn": tuple(f"yn{i}" for i in range(1, 5)),
    "ta": tuple(f"ta{i:02d}" for i in range(1, 81)),
    "dmu": tuple(f"dmu{i:02d}" for i in range(1, 81)),
}
"""Family -> the names of its shops."""
NAMES = tuple(name for family in FAMILIES.values() for name in family)


def _method(
    name: str, target: str, summary: str, peer: bool = False, **settings: str | float | bool
) -> Entry:
    """A method for job shops."""
    return Entry(
        name,
        f"feasible.operations.{target}",
        "operations",
        None,
        "JobShop",
        peer=peer,
        settings=settings,
        summary=summary,
        example="ft06" if peer else "la16",
    )


METHODS = (
    _method("fifo", "dispatching:DispatchRule", "the job that has been ready longest", rule="FIFO"),
    _method("spt", "dispatching:DispatchRule", "the shortest operation first", rule="SPT"),
    _method("mtwr", "dispatching:DispatchRule", "the job with the most work left", rule="MTWR"),
    _method("mopnr", "dispatching:DispatchRule", "the most operations left", rule="MOPNR"),
    _method("edd", "dispatching:DispatchRule", "the earliest due date first", rule="EDD"),
    _method(
        "mtwr-softmax",
        "dispatching:Multistart",
        "every rule, then schedules drawn by the work left; the best kept",
    ),
    _method(
        "random-nondelay",
        "dispatching:Multistart",
        "schedules drawn uniformly in which no machine waits for no reason; the best kept",
        coldest=float("inf"),
        hottest=float("inf"),
        rules=False,
    ),
    _method(
        "cp-sat",
        "peers.cp_sat:CPSAT",
        "OR-Tools' CP-SAT, hinted with the multistart's schedule; proven bounds",
        peer=True,
    ),
    _method(
        "pyjobshop",
        "peers.py_job_shop:PyJobShop",
        "PyJobShop, begun from the multistart's schedule",
        peer=True,
    ),
)
PROBLEMS = tuple(
    Entry(
        name,
        "feasible.operations.instances.literature:benchmark",
        "operations",
        None,
        "JobShop",
        settings={"name": name},
    )
    for name in NAMES
)
