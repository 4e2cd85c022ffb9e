"""What the blackbox room offers by name: the entries of its folders, one after the other."""

from ..core.registry import Catalogue
from .default import choose, table
from .moved import MOVED

CATALOGUE = Catalogue.of_room(
    __package__,
    choose,
    MOVED,
    study_file=f"{__package__}.declared:study_file",
    stored=f"{__package__}.stored:stored_problem",
    choosing=table,
    wraps="feasible.blackbox.BlackBox(function, bounds=...)",
)
