from .hock_schittkowski import CASES as CASES, hock_schittkowski as hock_schittkowski
from .s2mpj import s2mpj as s2mpj
