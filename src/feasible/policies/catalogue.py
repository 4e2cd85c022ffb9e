"""What the policies room offers by name: the entries of its folders, one after the other."""

from ..core.registry import Catalogue
from .default import choose

CATALOGUE = Catalogue.of_room(
    __package__, choose, {}, stored="feasible.policies.preferences:declared"
)
