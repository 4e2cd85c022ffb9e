"""What the blackbox room offers by name: the entries of its folders, one after the other."""

from ..core.registry import Catalogue
from .default import choose
from .moved import MOVED

CATALOGUE = Catalogue.of_room(__package__, choose, MOVED, f"{__package__}.declared:study_file")
