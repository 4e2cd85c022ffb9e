"""What the training room offers by name: the entries of its folders, one after the other."""

from __future__ import annotations

from ..core.registry import Catalogue
from . import entries
from .autolrs import entries as autolrs
from .default import choose
from .hesso import entries as hesso
from .hyperparameter_free import entries as hyperparameter_free
from .instances import entries as instances
from .lion_k import entries as lion_k
from .mfac import entries as mfac
from .moved import MOVED
from .peers import entries as peers
from .refined_schedule import entries as refined_schedule
from .rex import entries as rex
from .target_surrogates import entries as target_surrogates
from .uba import entries as uba

CATALOGUE = Catalogue.chain(
    "training",
    (
        entries,
        autolrs,
        hesso,
        hyperparameter_free,
        instances,
        lion_k,
        mfac,
        peers,
        refined_schedule,
        rex,
        target_surrogates,
        uba,
    ),
    choose,
    MOVED,
)
