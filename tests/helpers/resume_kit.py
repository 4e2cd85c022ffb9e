"""What the tests of resume have in common."""

from __future__ import annotations

from labkit import bowl, toy

import feasible


class Counting:
    """A function that counts its calls and may be told to misbehave at one of them."""

    def __init__(self, at: int = -1, what=None):
        self.calls, self.plan = 0, (at, what or print)

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.plan[0]:
            self.plan[1]()
        return bowl(x)


def interrupt():
    raise KeyboardInterrupt


def uninterrupted(method: object, budget: object, **more):
    return feasible.solve(toy(), method, budget=budget, **more)
