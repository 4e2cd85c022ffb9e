from .phi import choose_phi as choose_phi
from .uba import UBA as UBA, uba_profile as uba_profile
