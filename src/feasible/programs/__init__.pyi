from .forms import from_casadi as from_casadi, from_torch as from_torch
from .instances import hock_schittkowski as hock_schittkowski, s2mpj as s2mpj
from .kkt import Certificate as Certificate, certificate as certificate
from .minimize import minimize as minimize
from .nlp import NLP as NLP
from .peers import (
    COBYQA as COBYQA,
    SLSQP as SLSQP,
    Casadi as Casadi,
    Ipopt as Ipopt,
    TrustConstr as TrustConstr,
    Uno as Uno,
)
from .point import Point as Point
from .problem import Program as Program
