"""Settings are said once: native forms and methods have the defaults of their settings' class, and
where two modes of a paper differ the difference is a named preset.
"""

import dataclasses
import inspect

import pytest

from feasible.training import (
    HESSO,
    HESSOCRIC,
    AutoLRS,
    AutoLRSRecipe,
    DoG,
    DoWG,
    GroupPruning,
    LDoG,
    LionK,
    LRSearch,
    OBSPruner,
    TargetSurrogate,
    WeightPruning,
    lion_k_minimize,
    mechanize,
    target_surrogate_minimize,
)
from feasible.training.autolrs.search import LRSearchSettings
from feasible.training.autolrs.settings import AutoLRSSettings
from feasible.training.hesso.hesso import HESSOSettings
from feasible.training.hyperparameter_free.dog import DoGSettings
from feasible.training.hyperparameter_free.mechanic import MechanicSettings
from feasible.training.hyperparameter_free.named import mechanic_adamw, mechanic_sgd
from feasible.training.lion_k.lion_k import LionKSettings
from feasible.training.mfac.obs_pruner import OBSSettings
from feasible.training.target_surrogates.run import SSO
from feasible.training.target_surrogates.sso import SurrogateSettings


def defaults(form):
    """Name -> default of a function's or a class's arguments that have one."""
    return {
        p.name: p.default
        for p in inspect.signature(form).parameters.values()
        if p.default is not inspect.Parameter.empty
    }


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        (LRSearch, LRSearchSettings(1e-4, 1.0)),
        (AutoLRS, AutoLRSSettings(1e-4, 1.0)),
        (AutoLRSRecipe, AutoLRSSettings.short(1e-4, 1.0)),
        (DoG, DoGSettings()),
        (LDoG, DoGSettings()),
        (mechanize, MechanicSettings()),
        (mechanic_adamw, MechanicSettings.short()),
        (mechanic_sgd, MechanicSettings.short()),
        (TargetSurrogate, SurrogateSettings()),
        (SSO, SurrogateSettings.expensive()),
        (target_surrogate_minimize, SurrogateSettings.expensive()),
        (HESSO, HESSOSettings()),
        (HESSOCRIC, HESSOSettings()),
        (GroupPruning, HESSOSettings.short()),
        (OBSPruner, OBSSettings()),
        (WeightPruning, OBSSettings.gradual()),
        (LionK, LionKSettings()),
        (lion_k_minimize, LionKSettings.minimise()),
    ],
)
def test_the_defaults_are_those_of_the_settings(form, settings):
    said = dataclasses.asdict(settings)
    found = defaults(form)
    shared = found.keys() & said.keys()
    assert shared
    assert {n: found[n] for n in shared} == {n: said[n] for n in shared}


def test_dowg_begins_at_the_distance_that_its_settings_say():
    settings, found = DoGSettings.dowg(), defaults(DoWG)
    assert found["d2"] == pytest.approx(settings.reps_rel**2)
    assert (found["lr"], found["weight_decay"], found["eps"]) == (
        settings.lr,
        settings.weight_decay,
        settings.eps,
    )


def differing(first, second):
    """Name -> both values, where two settings differ."""
    a, b = dataclasses.asdict(first), dataclasses.asdict(second)
    return {n: (a[n], b[n]) for n in a if a[n] != b[n]}


def test_presets_differ_from_the_defaults_where_they_say():
    native = AutoLRSSettings(1e-4, 1.0)
    assert differing(AutoLRSSettings.paper(1e-4, 1.0), native) == {"forecast": ("spline", "grid")}
    assert differing(AutoLRSSettings.short(1e-4, 1.0), native) == {
        "k": (8, 10),
        "kappa": (2.0, 1000.0),
        "tau": (100, 1000),
        "tau_ratio": (0.2, 0.1),
        "tau_max": (400, None),
        "val_from": (1, None),
        "replay": (True, False),
    }
    assert differing(SurrogateSettings.expensive(), SurrogateSettings()) == {"m": (10, 5)}
    assert differing(HESSOSettings.short(), HESSOSettings()) == {
        "variant": ("adam", "adamw"),
        "lr": (3e-3, 1e-3),
    }
    assert differing(OBSSettings.gradual(), OBSSettings()) == {"recomputations": (4, 16)}
    assert differing(LionKSettings.minimise(), LionKSettings()) == {
        "lr": (1e-2, 1e-4),
        "weight_decay": (1.0, 0.0),
    }
    assert differing(MechanicSettings.short(), MechanicSettings()) == {"s_init": (1e-6, 1e-8)}
    assert differing(DoGSettings.dowg(), DoGSettings()) == {
        "reps_rel": (1e-2, 1e-6),
        "eps": (1e-4, 1e-8),
    }
