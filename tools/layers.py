"""Who may import whom, as one contract of import-linter for the whole house.

    claim, commands > catalogue > a folder of a paper > peers, instances > shared files > core

Folders of peers and instances do not import one another; a folder of a paper, and a room, see
another only by its public names. Only claims and commands touch the lab. Other libraries' solvers
are imported in `peers` only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from importlinter import Contract, ContractCheck, fields, output

OUTSIDE_ROOMS = ("core", "lab", "cli", "api")
CLAIM, CATALOGUE, PAPER, FAMILY, SHARED = 5, 4, 3, 2, 1
"""The layers of a room, from the top down."""


def place(parts: list[str], folders: frozenset[str]) -> tuple[int, str]:
    """The layer of a module of a room, and the folder within which imports are free.

    Args:
        parts: the module's path below the room, such as ["cbo", "claim"].
        folders: the folders of that room.
    """
    if not parts:
        return CATALOGUE, ""
    if parts[-1] == "claim" or parts == ["commands"]:
        return CLAIM, parts[0]
    if parts[0] in ("catalogue", "default"):
        return CATALOGUE, ""
    if parts[0] in ("peers", "instances"):
        return FAMILY, parts[0]
    return (PAPER, parts[0]) if parts[0] in folders else (SHARED, "")


def wrong(importer: str, imported: str, papers: dict[str, frozenset[str]]) -> str | None:
    """Why this import is forbidden, or None. papers: room -> its folders."""
    here, there = importer.split(".")[1:], imported.split(".")[1:]
    room = here[0] if here and here[0] in papers else None
    other = there[0] if there and there[0] in papers else None
    if room is None:
        if here[:1] == ["core"] and there[:1] != ["core"]:
            return "core imports nothing but core"
        return f"{here[0]} imports no room" if here and other is not None else None
    level, folder = place(here[1:], papers[room])
    if other is None:
        outside = bool(there) and there[0] != "core"
        return "only claims and commands may use this" if outside and level != CLAIM else None
    if other != room:
        return None if len(there) == 1 else f"{other} is used by its public names only"
    its, its_folder = place(there[1:], papers[room])
    if its > level:
        return "it is of a layer above"
    if its == level and its_folder != folder:
        if level == PAPER and len(there) == 2:
            return None
        return "folders of one layer see another by its public names only"
    return None


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another in a circle (Tarjan's strongly connected
    components), imports inside functions included.
    """
    found: list[list[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        path.append(module)
        for other in sorted(arrows.get(module, ())):
            if other not in number:
                visit(other)
            if other in path:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            group = path[path.index(module) :]
            del path[path.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(arrows):
        if module not in number:
            visit(module)
    return found


class HouseContract(Contract):
    """The layers of every room, no circles, and the libraries that only `peers` may import.

    peers: names of those libraries.
    """

    peers = fields.ListField(subfield=fields.StringField())

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Look at every direct import of the package."""
        modules = [m for m in graph.modules if m.split(".")[0] == "feasible"]
        rooms = {m.split(".")[1] for m in modules if m.count(".") == 2 and m.endswith(".catalogue")}
        folders = {
            room: frozenset(
                p.name for p in Path("src/feasible", room).iterdir() if (p / "__init__.py").exists()
            )
            for room in rooms
        }
        arrows = {
            m: {n for n in graph.find_modules_directly_imported_by(m) if n in modules}
            for m in modules
        }
        found = [(" -> ".join(c), c[0], "a circle") for c in circles(arrows)]
        for importer in sorted(modules):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                top = imported.split(".")[0]
                if top == "feasible":
                    why = wrong(importer, imported, folders)
                else:
                    mine = top in self.peers and not any("peers" in p for p in importer.split("."))
                    why = "only peers may import it" if mine else None
                if why is not None:
                    found.append((importer, imported, why))
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each forbidden import and why it is forbidden."""
        for importer, imported, why in check.metadata["found"]:
            output.print_error(f"{importer} -> {imported}: {why}", bold=False)
