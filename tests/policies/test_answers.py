"""Policies as plain data: the same in a file, in another process, and drawn as they say."""

import subprocess
import sys

import numpy as np
import pytest

import feasible
from feasible.policies import NetworkPolicy, PolicyFront, Spaces, TablePolicy, read_policy
from feasible.policies.answers import network_policy, write_policy

errors = feasible.errors
BOX = Spaces((3,), low=(-2.0, 0.0), high=(2.0, 1.0), action_shape=(2,))
CHOICE = Spaces((3,), actions=4)


def made(kind, spaces, seed=0, **more):
    """A network of random weights."""
    rng = np.random.default_rng(seed)
    out = {"categorical": 4, "gaussian": 2, "squashed": 4}[kind]
    layers = [(rng.normal(size=(5, 3)), rng.normal(size=5)), (rng.normal(size=(out, 5)), [0] * out)]
    log_std = np.zeros(2) if kind == "gaussian" else ()
    return network_policy(spaces, kind, layers, "tanh", log_std, **more)


KINDS = [("categorical", CHOICE), ("gaussian", BOX), ("squashed", BOX)]


@pytest.mark.parametrize(("kind", "spaces"), KINDS)
def test_actions_are_within_their_bounds_and_the_same_for_the_same_stream(kind, spaces):
    policy = made(kind, spaces)
    obs = 5 * np.random.default_rng(1).normal(size=(50, 3))
    for rng in (None, 3):
        rows = policy.acts(obs, None if rng is None else np.random.default_rng(rng))
        again = policy.acts(obs, None if rng is None else np.random.default_rng(rng))
        assert np.array_equal(rows, again)
        if spaces.low:
            assert (rows >= spaces.bounds[0]).all()
            assert (rows <= spaces.bounds[1]).all()


def test_a_categorical_is_drawn_by_its_softmax():
    policy = made("categorical", CHOICE)
    obs = np.ones((40_000, 3))
    logits = policy.outputs(obs[:1])[0].astype(float)
    p = np.exp(logits - logits.max())
    p /= p.sum()
    drawn = np.bincount(policy.acts(obs, np.random.default_rng(0))[:, 0], minlength=4) / len(obs)
    assert np.abs(drawn - p).max() < 0.01
    assert policy.act(np.ones(3)) == p.argmax()


def test_the_normaliser_is_part_of_the_policy():
    plain, shifted = made("gaussian", BOX), made("gaussian", BOX, mean=[1] * 3, scale=[2] * 3)
    obs = np.array([0.3, -0.2, 0.9])
    assert np.allclose(shifted.act(1 + 2 * obs), plain.act(obs), atol=1e-6)


@pytest.mark.parametrize(("kind", "spaces"), KINDS)
def test_a_policy_in_a_file_acts_the_same_in_another_process(kind, spaces, tmp_path):
    policy = made(kind, spaces, mean=[0.1] * 3, scale=[2] * 3)
    path = str(tmp_path / "policy.safetensors")
    policy.save(path)
    code = (
        "import sys, numpy as np; from feasible.policies import NetworkPolicy\n"
        "p = NetworkPolicy.load(sys.argv[1]); print(np.asarray(p.act(np.ones(3))).tolist())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(np.asarray(policy.act(np.ones(3))).tolist())


def test_a_front_answers_weights_with_its_best_policy(tmp_path):
    one, two = made("gaussian", BOX), made("gaussian", BOX, seed=2)
    front = PolicyFront.of([one, two], [[1.0, 0.0], [0.0, 1.0]])
    path = str(tmp_path / "front.safetensors")
    write_policy(front, path)
    again = read_policy(path)
    obs = np.ones(3)
    assert np.array_equal(again.policy_for([0.1, 0.9]).act(obs), two.act(obs))
    assert np.array_equal(again.policy_for([0.9, 0.1]).act(obs), one.act(obs))
    with pytest.raises(errors.ShapeError, match="weights"):
        front.policy_for([1.0])
    with pytest.raises(errors.ShapeError, match="returns"):
        PolicyFront.of([one], [[1.0], [2.0]])


def test_a_table_is_drawn_by_its_rows():
    table = TablePolicy(np.array([[0.2, 0.8], [1.0, 0.0]]))
    rng = np.random.default_rng(0)
    drawn = [table.act(0, rng) for _ in range(5000)]
    assert abs(np.mean(drawn) - 0.8) < 0.03
    assert table.act(0) == 1
    assert {table.act(1, rng) for _ in range(100)} == {0}


def test_a_file_that_is_no_policy_is_refused(tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    with pytest.raises(errors.ArgumentError, match="no policy"):
        read_policy(str(path))
    with pytest.raises(errors.ArgumentError, match="no policy"):
        NetworkPolicy.load(str(tmp_path / "none"))
    write_policy(TablePolicy(np.ones((2, 2)) / 2), str(path))
    with pytest.raises(errors.ArgumentError, match="TablePolicy"):
        NetworkPolicy.load(str(path))


@pytest.mark.parametrize("kind", ["beta", None])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(errors.ArgumentError, match="kind"):
        network_policy(BOX, kind, [(np.zeros((2, 3)), np.zeros(2))], "tanh")
