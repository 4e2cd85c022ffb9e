"""Couplings with little entropy: heaps against dense tables, the greedy encoder's walk against its
search on the joint table, large laws, games.
"""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np

from .common import Figure, in_turns, ratio, write


def couple_on_a_table(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Greedy minimum entropy coupling on a dense table, the largest masses found anew in each
    step."""
    p, q, joint = p.copy(), q.copy(), np.zeros((len(p), len(q)))
    while p.max() > 1e-12 and q.max() > 1e-12:
        i, j = p.argmax(), q.argmax()
        mass = min(p[i], q[j])
        joint[i, j] += mass
        p[i] -= mass
        q[j] -= mass
    return joint


def encode_on_a_table(p: np.ndarray, rate: float) -> np.ndarray:
    """Algorithm 1 on the joint table: columns are summed, sorted and merged anew in each step."""

    def bits(masses: np.ndarray) -> float:
        masses = masses[masses > 0]
        return float(-(masses * np.log2(masses)).sum())

    def merged(joint: np.ndarray, i: int, j: int) -> np.ndarray:
        out = joint.copy()
        out[:, i] += out[:, j]
        return np.delete(out, j, axis=1)

    joint = np.diag(p)
    while joint.shape[1] > 1 and bits(joint.sum(0)) > rate:
        order = np.argsort(joint.sum(0), kind="stable")
        small = merged(joint, order[1], order[0])
        if bits(small.sum(0)) <= rate:
            return small
        joint = merged(joint, order[-1], order[-2])
    return joint


def peak(p: np.ndarray, q: np.ndarray) -> int:
    """Bytes that a coupling has allocated at most."""
    from feasible.transport import min_entropy_coupling

    tracemalloc.start()
    kept = min_entropy_coupling(p, q)
    _ = kept.joint, kept.entropy
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def run() -> list[Figure]:
    """Zipf laws of exponents 1 and 1.2; the coding game of the paper on its grid."""
    from feasible.transport import (
        Code,
        entropy_bottleneck_encoder,
        grid_world,
        mec_bottleneck,
        min_entropy_coupling,
        play,
        soft_value_iteration,
        zipf_law,
    )

    p, q = zipf_law(1000), zipf_law(1000, 1.2)
    heap, table = in_turns(
        lambda: min_entropy_coupling(p, q), lambda: couple_on_a_table(p, q), rounds=31
    )
    figures = [
        Figure(
            "coupling two Zipf laws of 1,000: time of the dense table over that of the heaps",
            ratio(table, heap),
            20.0,
            "at least",
        )
    ]
    walk, search = in_turns(
        lambda: entropy_bottleneck_encoder(p, 5.0, "greedy"),
        lambda: encode_on_a_table(p, 5.0),
        rounds=3,
    )
    figures.append(
        Figure(
            "greedy encoder of a Zipf law of 1,000, 5 bits: time of the joint table over that of "
            "the walk",
            ratio(search, walk),
            20.0,
            "at least",
        )
    )
    p, q = zipf_law(100_000), zipf_law(100_000, 1.2)
    for what, bar, call in (
        ("min_entropy_coupling", 5.0, lambda: min_entropy_coupling(p, q).entropy),
        (
            "entropy_bottleneck_encoder, 5 bits",
            None,
            lambda: entropy_bottleneck_encoder(p, 5.0).information,
        ),
        ("mec_bottleneck, 5 bits", None, lambda: mec_bottleneck(p, q, 5.0).mutual_information),
    ):
        (times,) = in_turns(call, rounds=5)
        figures.append(Figure(f"{what}, Zipf laws of 100,000", float(np.median(times)), bar, "s"))
    grown = peak(p, q) / peak(zipf_law(10_000), zipf_law(10_000, 1.2))
    figures.append(
        Figure(
            "peak memory of min_entropy_coupling, 100,000 over 10,000 symbols (linear: 10)",
            grown,
            11.0,
        )
    )
    figures.append(
        Figure(
            "peak memory of min_entropy_coupling, 100,000 symbols", peak(p, q) / 2**20, None, "MiB"
        )
    )
    world = grid_world()
    policy = soft_value_iteration(world, math.exp(-5))[1]
    for encoder in ("greedy+interp", "greedy", "quantizer"):
        code = Code(policy, np.full(50, 0.02), 0.4 * math.log2(50), 1, encoder)
        play(world, code, 0, 100)
        begun, steps = time.perf_counter(), 0
        for episode in range(400):
            steps += len(play(world, code, episode % 50, [100, episode]).actions)
        figures.append(
            Figure(
                f"coding game, 50 messages, {encoder}: microseconds a step",
                1e6 * (time.perf_counter() - begun) / steps,
                None,
                "us",
            )
        )
    write("bottleneck", figures)
    return figures
