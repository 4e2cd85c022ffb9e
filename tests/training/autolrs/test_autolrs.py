import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.training.autolrs.autolrs import AllDiverged, AutoLRS
from feasible.training.autolrs.search import LRSearch

# -- ask and tell ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [1000.0, 2.0])
def test_the_best_of_ten_rates_is_near_the_least_of_a_noisy_bowl(kappa):
    hits = 0
    for seed in range(10):
        rng, search = np.random.default_rng(seed), LRSearch(1e-4, 1.0, k=10, kappa=kappa, seed=seed)
        while not search.done:
            rate = search.ask()
            search.tell(rate, (math.log10(rate) + 2) ** 2 + 0.01 * rng.standard_normal())
        hits += abs(math.log10(search.best[0]) + 2) <= 0.35
    assert hits >= 9


def told(search, values):
    for value in values:
        search.tell(search.ask(), value)
    return search


def test_a_large_kappa_spreads_the_rates_and_a_small_one_gathers_them():
    def rates(kappa):
        search = LRSearch(1e-4, 1.0, k=10, kappa=kappa, seed=3)
        while not search.done:
            search.tell(rate := search.ask(), (math.log10(rate) + 2) ** 2)
        return np.sort(np.log10(search.rates))

    assert np.diff(rates(1000.0)).max() < 1.0
    assert (np.abs(rates(2.0) + 2) < 0.5).sum() > (np.abs(rates(1000.0) + 2) < 0.5).sum()


def test_asking_twice_gives_the_same_rate_and_a_tried_one_is_not_asked_for_again():
    search = told(LRSearch(1e-4, 1.0, k=10, kappa=0.0, seed=1), [1.0, 0.5, 0.2, 0.1])
    assert search.ask() == search.ask()
    assert search.ask() not in search.rates
    assert len(set(search.rates)) == 4
    again = LRSearch(1e-4, 1.0, k=10, kappa=0.0, seed=1)
    again.load_state_dict(search.state_dict())
    assert again.ask() == search.ask()


def test_rates_that_diverged_count_as_the_worst_and_are_never_the_best():
    search = LRSearch(1e-4, 1.0, k=4, seed=2)
    for rate, value in ((1.0, math.nan), (0.5, math.inf), (0.01, 3.0)):
        search.tell(rate, value)
    assert search.best == (0.01, 3.0)
    assert 1e-4 <= search.ask() <= 1.0
    search.tell(1e-3, 2.0)
    assert search.done
    all_bad = told(LRSearch(1e-4, 1.0, k=3), [math.nan] * 3)
    assert all_bad.best[1] == math.inf


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"lr_min": 1.0, "lr_max": 0.1}, ArgumentError, "lr_min < lr_max"),
        ({"lr_min": 0.0}, ArgumentError, "lr_min"),
        ({"k": 1}, ArgumentError, "k=1"),
        ({"kappa": -1.0}, ArgumentError, "kappa"),
        ({"proposals": "tpe"}, ArgumentError, "'gp' or 'random'"),
        ({"lr_max": "1"}, ArgumentTypeError, "lr_max"),
    ],
)
def test_searches_without_sense_are_refused(change, error, says):
    with pytest.raises(error, match=says):
        LRSearch(**({"lr_min": 1e-4, "lr_max": 1.0} | change))


def test_telling_a_rate_outside_the_interval_is_refused():
    with pytest.raises(ArgumentError, match=r"expected a number in \[0.0001, 1\]"):
        LRSearch(1e-4, 1.0).tell(2.0, 1.0)
    with pytest.raises(ArgumentError, match="no rate has been told"):
        _ = LRSearch(1e-4, 1.0).best


# -- the driver ------------------------------------------------------------------------------------


class Job:
    """A small classifier with dropout and batch normalisation, its data drawn from a generator of
    its own.
    """

    def __init__(self, optimizer="sgd", seed=100):
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
        )
        made = {
            "sgd": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9),
            "adam": lambda p: torch.optim.Adam(p, lr=1.0),
        }
        self.optimizer = made[optimizer](self.model.parameters())
        self.generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(128, 4, generator=torch.Generator().manual_seed(1))
        self.y = (self.x[:, 0] > 0).long() + (self.x[:, 1] > 0.5).long()
        torch.manual_seed(seed + 1)

    def step(self):
        rows = torch.randint(128, (16,), generator=self.generator)
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(self.x[rows]), self.y[rows])
        loss.backward()
        self.optimizer.step()
        return loss

    def held_out(self):
        self.model.eval()
        with torch.no_grad():
            loss = nn.functional.cross_entropy(self.model(self.x), self.y)
        self.model.train()
        return float(loss)

    def tuner(self, **more):
        settings = {
            "lr_min": 1e-3,
            "lr_max": 1.0,
            "tau": 40,
            "tau_ratio": 0.25,
            "k": 3,
            "tau_max": 80,
            "stateful": [self.generator],
        }
        return AutoLRS(self.model, self.optimizer, **(settings | more))

    def run(self, tuner, steps):
        while not tuner.done(steps):
            tuner.after_step(self.step())
        return tuner


def same(a, b):
    return all(
        torch.equal(p, q)
        for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_search_leaves_no_trace_but_the_rates(optimizer, replay):
    job = Job(optimizer)
    tuner = job.run(job.tuner(replay=replay, val_fn=job.held_out, val_from=2), 200)
    assert len(tuner.lr_trace) == 200
    state, plain = torch.get_rng_state(), Job(optimizer)
    for rate in tuner.lr_trace:
        plain.optimizer.param_groups[0]["lr"] = float(rate)
        plain.step()
    assert same(job.model, plain.model)
    assert torch.equal(job.generator.get_state(), plain.generator.get_state())
    assert torch.equal(state, torch.get_rng_state())


def test_each_candidate_starts_at_the_stages_point_bit_for_bit():
    job = Job("adam")
    tuner = job.tuner()
    for _ in range(25):  # stage 1 is left after 30 + 40 steps
        tuner.after_step(job.step())
    seen = []
    for _ in range(150):
        if tuner.phase == "search" and tuner.at == 0:
            seen.append(
                (
                    tuner.train_steps,
                    copy.deepcopy(job.model.state_dict()),
                    copy.deepcopy(job.optimizer.state_dict()["state"]),
                )
            )
        tuner.after_step(job.step())
    starts = [s for s in seen if s[0] == 40]
    assert len(starts) == 3
    for _, weights, moments in starts[1:]:
        assert all(torch.equal(weights[n], starts[0][1][n]) for n in weights)
        assert all(
            torch.equal(moments[i][n], starts[0][2][i][n]) for i in moments for n in moments[i]
        )


def test_steps_are_accounted_for_exactly():
    job = Job()
    tuner = job.tuner(tau=40, tau_ratio=0.25, k=3, tau_max=160)
    assert [job.run(tuner, n).train_steps for n in (40, 120, 280, 440)] == [40, 120, 280, 440]
    assert [s["tau"] for s in tuner.history] == [40, 80, 160, 160, 160]
    assert tuner.search_steps == 3 * (10 + 20 + 40 + 40)
    assert all(len(series) == s["tau"] // 4 for s in tuner.history[:4] for series in s["series"])
    assert [s["chosen"] for s in tuner.history[:4]] == [
        s["rates"][int(np.argmin(s["forecasts"]))] for s in tuner.history[:4]
    ]
    paper = AutoLRS(job.model, job.optimizer, 1e-3, 1.0, k=2)
    taus = []
    for _ in range(5):
        taus.append(paper.tau)
        while paper.phase == "search":
            paper.step(1.0 + 0.1 * math.exp(-paper.at / 20))
        for _ in range(paper.tau):
            paper.step(1.0)
    assert taus == [1000, 2000, 4000, 8000, 8000]
    assert (paper.train_steps, paper.search_steps, paper.last_epoch) == (23_000, 4600, 27_600)


def test_held_out_losses_are_used_from_the_stage_after_the_longest_tau():
    job = Job()
    calls = []
    tuner = job.tuner(
        val_fn=lambda: calls.append(1) or job.held_out(), tau=40, tau_max=80, val_points=5
    )
    assert len(calls) == 1  # the loss at the start of the search
    job.run(tuner, 40 + 80 + 80)
    assert [s["validation"] for s in tuner.history] == [False, False, True, True]
    assert [len(s) for s in tuner.history[2]["series"]] == [5, 5, 5]
    assert len(calls) == 1 + 15
    early = job.run(job.tuner(val_fn=job.held_out, val_from=1), 40)
    assert early.history[0]["validation"]


def test_a_series_of_held_out_losses_above_the_start_counts_by_its_last_value():
    job, falling = Job(), iter([1.0, *np.linspace(3, 2, 10), *np.linspace(0.9, 0.5, 10)])
    tuner = job.tuner(val_fn=lambda: next(falling), val_from=1, k=2)
    for _ in range(20):
        tuner.after_step(0.0)
    assert tuner.initial_loss == 1.0
    assert tuner.history[0]["forecasts"][0] == 2.0
    assert tuner.history[0]["forecasts"][1] < 0.5


def test_replayed_candidates_see_the_same_batches():
    for replay in (True, False):
        job = Job()
        tuner = job.tuner(replay=replay)
        rows = []
        while tuner.phase == "search":
            rows.append(job.generator.get_state())
            tuner.after_step(job.step())
        assert torch.equal(rows[0], rows[10]) is replay
        assert torch.equal(rows[5], rows[25]) is replay


def test_gradient_descent_on_a_quadratic_gets_the_rate_that_contracts_most():
    curvature = 20.0
    x = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    model = nn.ParameterList([x])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    tuner = AutoLRS(
        model,
        optimizer,
        1e-4,
        1.0,
        tau=40,
        tau_ratio=0.5,
        k=10,
        kappa=2.0,
        val_from=1,
        val_fn=lambda: float(curvature / 2 * x.detach() ** 2),
    )
    while not tuner.done(40):
        optimizer.zero_grad()
        loss = curvature / 2 * (x**2).sum()
        loss.backward()
        optimizer.step()
        tuner.after_step(loss)
    stage = tuner.history[0]
    contraction = np.abs(1 - curvature * np.array(stage["rates"]))
    assert abs(1 - curvature * stage["chosen"]) <= np.sort(contraction)[2]
    assert abs(1 - curvature * stage["chosen"]) < 0.5
    assert float(x.detach().abs()) < 1e-6


def test_a_diverging_candidate_ends_at_once_and_is_not_chosen():
    job = Job()
    tuner = job.tuner(k=2)
    for _ in range(10):
        tuner.after_step(1.0 if tuner.at < 9 else 0.9)
    tuner.after_step(math.nan)
    assert tuner.phase == "train"
    assert tuner.search_steps == 11
    assert tuner.history[0]["forecasts"][1] == math.inf
    assert tuner.history[0]["chosen"] == tuner.history[0]["rates"][0]


def diverge(job, tuner):
    for _ in range(3):
        job.step()
        tuner.after_step(math.nan)


def test_a_stage_in_which_every_rate_diverges_names_them():
    job = Job()
    tuner = job.tuner()
    before = copy.deepcopy(job.model.state_dict())
    with pytest.raises(
        AllDiverged, match="stage 1: the loss was not finite at any of the 3 rates tried"
    ) as caught:
        diverge(job, tuner)
    assert caught.value.rates == tuple(tuner.history[0]["rates"])
    assert all(f"{r:.3g}" in str(caught.value) for r in caught.value.rates)
    assert all(torch.equal(before[n], v) for n, v in job.model.state_dict().items())
    assert pickle.loads(pickle.dumps(caught.value)).rates == caught.value.rates


def test_a_rate_that_diverges_in_training_is_undone_and_the_next_best_taken():
    job = Job()
    tuner = job.tuner()
    while tuner.phase == "search":
        tuner.after_step(job.step())
    start, first = copy.deepcopy(job.model.state_dict()), tuner.rate
    for _ in range(5):
        tuner.after_step(job.step())
    spent = tuner.search_steps
    job.step()
    tuner.after_step(math.inf)
    assert all(torch.equal(start[n], v) for n, v in job.model.state_dict().items())
    assert (
        tuner.rate
        == tuner.history[0]["rates"][int(np.argsort(tuner.history[0]["forecasts"])[1])]
        != first
    )
    assert (tuner.train_steps, tuner.search_steps) == (0, spent + 6)
    job.run(tuner, 40)
    assert len(tuner.lr_trace) == 40


def test_warm_up_rises_evenly_before_the_first_search():
    job = Job()
    tuner = job.tuner(warmup_steps=4, warmup_lr=0.1)
    job.run(tuner, 44)
    assert tuner.lr_trace[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert tuner.train_steps == 44
    assert len(tuner.history) == 2


def test_groups_keep_the_ratios_of_their_rates_and_tensor_rates_stay_tensors():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.Adam(
        [
            {"params": a.parameters(), "lr": torch.tensor(0.1)},
            {"params": b.parameters(), "lr": torch.tensor(0.01)},
        ],
        capturable=False,
        foreach=False,
    )
    tuner = AutoLRS(nn.ModuleList([a, b]), optimizer, 1e-3, 1.0, tau=40, tau_ratio=0.25, k=2)
    for _ in range(30):
        assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
        assert tuner.get_last_lr() == pytest.approx([tuner.rate, tuner.rate / 10])
        optimizer.step()
        tuner.step(1.0)


@pytest.mark.parametrize("cut", [3, 17, 33, 60, 111])
def test_a_loop_that_is_saved_and_loaded_goes_on_bit_for_bit(cut):
    whole = Job("adam")
    want = whole.run(whole.tuner(val_fn=whole.held_out, val_from=2), 100)
    first = Job("adam")
    tuner = first.tuner(val_fn=first.held_out, val_from=2)
    for _ in range(cut):
        tuner.after_step(first.step())
    file = io.BytesIO()
    torch.save(
        {
            "model": first.model.state_dict(),
            "optimizer": first.optimizer.state_dict(),
            "tuner": tuner.state_dict(),
            "data": first.generator.get_state(),
            "random": torch.get_rng_state(),
        },
        file,
    )
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second = Job("adam", seed=7)
    tuner = second.tuner(val_fn=second.held_out, val_from=2)
    second.model.load_state_dict(saved["model"])
    second.optimizer.load_state_dict(saved["optimizer"])
    tuner.load_state_dict(saved["tuner"])
    second.generator.set_state(saved["data"])
    torch.set_rng_state(saved["random"])
    second.run(tuner, 100)
    assert same(second.model, whole.model)
    assert np.array_equal(tuner.lr_trace, want.lr_trace)
    assert tuner.history[:2] == want.history[:2]
    assert (tuner.train_steps, tuner.search_steps) == (want.train_steps, want.search_steps)


def test_a_state_of_something_else_is_refused():
    job = Job()
    with pytest.raises(ArgumentError, match="no entry 'phase'"):
        job.tuner().load_state_dict({"last_epoch": 3})


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"lr_min": 1.0}, ArgumentError, "lr_min"),
        ({"lr_min": -1.0}, ArgumentError, "lr_min"),
        ({"tau": 10}, ArgumentError, "tau=10"),
        ({"tau_ratio": 0.1}, ArgumentError, "candidates 4 steps"),
        ({"tau_ratio": 0.6}, ArgumentError, "tau_ratio"),
        ({"k": 1}, ArgumentError, "k=1"),
        ({"tau_max": 20}, ArgumentError, "tau_max"),
        ({"val_from": 2}, ArgumentError, "val_fn"),
        ({"forecast": "x"}, ArgumentError, "forecast"),
        ({"warmup_steps": 5}, ArgumentError, "warmup_lr"),
        ({"stateful": [3]}, ArgumentTypeError, "stateful"),
        ({"val_points": 2}, ArgumentError, "val_points"),
        ({"tau_ratio": "a"}, ArgumentTypeError, "tau_ratio"),
    ],
)
def test_settings_without_sense_are_refused(change, error, says):
    job = Job()
    with pytest.raises(error, match=says):
        job.tuner(**change)


def test_a_loss_that_is_no_number_is_refused():
    job = Job()
    with pytest.raises(ArgumentError, match=r"Tensor of shape \(2,\)"):
        job.tuner().after_step(torch.ones(2))
    with pytest.raises(ArgumentError, match="NoneType"):
        job.tuner().after_step(None)
