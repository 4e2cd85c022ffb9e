from .levels import Equal as Equal
from .point import UpperPoint as UpperPoint
from .problem import Bilevel as Bilevel
from .sets import Box as Box, Polyhedron as Polyhedron, Projected as Projected, Simplex as Simplex
