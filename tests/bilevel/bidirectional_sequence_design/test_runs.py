"""Sequence design in runs: every name, the judge, landscapes, a user's table."""

from __future__ import annotations

import lzma

import cases
import numpy as np
import pytest

import feasible
from feasible.bilevel.bidirectional_sequence_design import (
    Designs,
    Ehrlich,
    SequenceDesign,
    SequenceRules,
    instances,
    tfbind8,
)
from feasible.bilevel.bidirectional_sequence_design.instances import (
    binding,
    bound,
    corpus,
    ehrlich_dna,
    generated_landscape,
    numbers,
    other_strand,
    pretrained,
    small_landscape,
)
from feasible.bilevel.bidirectional_sequence_design.letters import decode, encode, every
from feasible.core.errors import ArgumentError, ArgumentTypeError, ShapeError, TableError
from feasible.core.registry import (
    default_method,
    load_claim,
    load_method,
    load_problem,
    methods,
    problems,
)
from feasible.lab.claim import run_claim

READY = [n for n, e in problems().items() if e.solves == "SequenceDesign"]
NAMES = sorted(n for n, e in methods().items() if e.solves == "SequenceDesign")
SMALL = {
    "bib-adaptive": "bib-adaptive[aux=cnn]",
    "coms": "coms[train_steps=20]",
    "sequence-cma": "sequence-cma[generations=5]",
}


@pytest.fixture(scope="module")
def problem():
    return small_landscape()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_proposes_new_sequences(name, problem):
    found = feasible.solve(problem, SMALL.get(name, name), {"steps": 12}, seed=100)
    texts = found.answer.sequences
    assert 0 < len(set(texts)) == len(texts) <= 16
    assert not set(texts) & set(problem.sequences)
    assert found.verdict.metrics["max"] > 0.3
    assert found.spent["steps"] <= 12


def test_what_letters_predict_of_an_additive_score_is_the_score():
    codes = every(5, 4)
    values = 7 + np.random.default_rng(0).standard_normal((5, 4))[np.arange(5), codes].sum(axis=1)
    rows = np.argsort(values)[:400]
    problem = SequenceDesign(decode(codes[rows], "ACGT"), values[rows], n_designs=8)
    found = feasible.solve(problem, "one-hot-ranking", {"steps": 1}, seed=0).answer
    best = np.sort(values)[::-1][:8]
    np.testing.assert_allclose(found.predicted, best, rtol=0.01)


def test_a_run_finds_what_the_designer_finds(problem):
    from feasible.bilevel.bidirectional_sequence_design import BIBDesigner

    alone = BIBDesigner(n_designs=16, steps=20, seed=3, aux="heads").fit(
        problem.sequences, problem.scores
    )
    method = load_method("bib[steps=20,aux=heads]")
    state = method.init(problem, np.random.default_rng(3))
    while method.done(problem, state) is None:
        state = method.step(problem, state)
    assert method.answer(problem, state).sequences == alone.propose().sequences


def test_what_is_known_missing_or_repeated_counts_as_the_worst():
    truth = {"AAAA": 0.0, "AAAC": 1.0, "CCCC": 4.0, "GGGG": 3.0, "TTTT": 2.0}
    problem = SequenceDesign(
        ["AAAA", "AAAC", "AACC", "ACCC"],
        [0.0, 1.0, 0.5, 0.2],
        truth=lambda texts: [truth[t] for t in texts],
        scale=(0.0, 4.0),
        n_designs=3,
    )
    full = problem.judge(Designs(["CCCC", "GGGG", "TTTT"], np.zeros(3)))
    assert full.objective == -0.75
    assert full.metrics["offline best"] == 0.25
    assert problem.judge(Designs(["CCCC", "CCCC", "GGGG"], np.zeros(3))).objective == -0.75
    assert problem.judge(Designs(["CCCC", "AAAC"], np.zeros(2))).objective == 0.0
    assert problem.judge(Designs(["CCCC", "AAAC"], np.zeros(2))).metrics["median of those"] == 1.0
    assert problem.judge(Designs([], np.zeros(0))).objective == 0.0
    assert problem.judge(None).missing
    with pytest.raises(ArgumentError, match="5 letters"):
        problem.judge(Designs(["CCCCC"], np.zeros(1)))


def test_the_judge_counts_designs_that_break_rules():
    rules = SequenceRules(forbidden=["GG"], fixed={0: "C"})
    problem = SequenceDesign(
        ["AAAA", "AAAC", "AACC"], [0.0, 1.0, 0.5], rules=rules, n_designs=2,
        truth=lambda texts: [1.0] * len(texts),
    )  # fmt: skip
    metrics = problem.judge(Designs(["CGGA", "CACA"], np.zeros(2))).metrics
    assert metrics["broken: forbidden"] == 1.0
    assert metrics["distinct"] == 1.0
    assert "broken: fixed" not in metrics


def test_without_a_truth_everything_is_named_a_prediction_and_additive_scores_are_predicted():
    codes = every(5, 4)
    values = np.random.default_rng(0).standard_normal((5, 4))[np.arange(5), codes].sum(axis=1)
    rows = np.argsort(values)[:400]
    problem = SequenceDesign(decode(codes[rows], "ACGT"), values[rows], n_designs=8)
    verdict = feasible.solve(problem, "bib[steps=20,aux=heads]", {"steps": 20}, seed=0).verdict
    assert problem.objective_title == "predicted median score"
    assert {"predicted max", "predicted median", "held-out correlation"} <= set(verdict.metrics)
    assert not {"max", "median"} & set(verdict.metrics)
    assert verdict.metrics["held-out correlation"] > 0.9
    assert verdict.metrics["predicted median"] > 1.0


def test_a_table_is_the_way_in(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("sequence,score\n" + "".join(f"{t},{i}\n" for i, t in enumerate(TABLE)))
    problem = SequenceDesign.from_csv(str(file), n_designs=3)
    assert problem.name == "mine"
    assert problem.judge(Designs(["TTTT"], np.zeros(1))).metrics["distinct"] == 1.0
    for text, said in (
        ("sequence,score\nACGT,high\n", "line 2: score='high'"),
        ("seq,score\nACGT,1\n", "no column 'sequence'"),
        ("", "has no rows|no column"),
    ):
        file.write_text(text)
        with pytest.raises(TableError, match=said):
            SequenceDesign.from_csv(str(file))
    with pytest.raises(TableError, match="cannot be read"):
        SequenceDesign.from_csv(str(tmp_path / "none.csv"))


TABLE = ["acgt", "ACGA", "AAAA", "CCCC", "GGGG"]


def test_bad_problems_are_refused_by_name():
    good = {"sequences": ["AC", "CA", "AA"], "scores": [1.0, 2.0, 3.0], "n_designs": 2}
    for given, error, said in (
        ({"truth": 3}, ArgumentTypeError, "truth=3"),
        ({"scale": (1.0, 1.0)}, ArgumentError, "scale="),
        ({"alphabet": "AA"}, ArgumentError, "alphabet="),
        ({"rules": 3}, ArgumentTypeError, "rules=3"),
        ({"scores": [1.0]}, ShapeError, "scores has shape"),
        ({"n_designs": 9}, ArgumentError, "n_designs=9"),
        ({"rules": SequenceRules(fixed={7: "A"})}, ArgumentError, "place 7"),
    ):
        with pytest.raises(error, match=said):
            SequenceDesign(**{**good, **given})


# -- landscapes ------------------------------------------------------------------------------------


def test_measurements_that_were_changed_are_refused(tmp_path, monkeypatch):
    raw = bytearray(lzma.decompress((instances.DATA / "six6_ref_r1.xz").read_bytes()))
    raw[0] ^= 1
    (tmp_path / "six6_ref_r1.xz").write_bytes(lzma.compress(bytes(raw)))
    monkeypatch.setattr(instances, "DATA", tmp_path)
    with pytest.raises(ArgumentError, match="checksum"):
        binding.__wrapped__()


def test_the_measurements_are_what_was_counted_in_them():
    values = binding()
    assert (values.min(), values.max()) == pytest.approx((-0.47907, 0.49105))
    codes = every(8, 4)
    np.testing.assert_array_equal(values, values[numbers(other_strand(codes))])
    best = set(decode(codes[values == values.max()], "ACGT"))
    assert best == {"AGGTATCA", "TGATACCT"}
    scaled = np.sort((values - values.min()) / (values.max() - values.min()))
    quantiles = np.quantile(scaled, [0.25, 0.5, 0.75, 0.9, 0.99])
    np.testing.assert_allclose(quantiles, [0.337, 0.439, 0.566, 0.717, 0.920], atol=6e-4)
    assert scaled[4999] == pytest.approx(0.24236, abs=1e-5)


def test_the_reduced_task_knows_the_worst_and_its_features_tell_sequences_apart():
    problem = tfbind8()
    assert problem.judge(Designs(["AGGTATCA"], np.zeros(1))).metrics["max"] == pytest.approx(1.0)
    offline = problem.judge(Designs([], np.zeros(0))).metrics["offline best"]
    assert offline == pytest.approx(0.24236, abs=1e-5)
    features = pretrained().embed(problem.sequences[:50])
    assert features.shape == (50, 64)
    assert float(features.std(dim=0).min()) > 0


def test_the_corpus_has_planted_8mers():
    texts, planted = corpus(50, seed=1), set(decode(bound(), "ACGT"))
    for text in texts:
        assert len(text) == 32
        assert all(
            any(half[i : i + 8] in planted for i in range(9)) for half in (text[:16], text[16:])
        )
    assert texts == corpus(50, seed=1) != corpus(50, seed=2)


def test_the_generated_landscape_is_its_formula():
    values, length = generated_landscape(0, 6), 6
    rng = np.random.default_rng(0)
    weights, tables = 1.5 * rng.standard_normal((6, 4)), rng.random((6, 256))
    for text in ("ACGTAC", "TTTTTT"):
        x = encode([text], "ACGT")[0]
        total = sum(np.exp(sum(weights[j, s[j]] for j in range(6))) for s in (x, 3 - x[::-1]))
        cells = [sum(x[(p + j) % length] * 4 ** (3 - j) for j in range(4)) for p in range(length)]
        expected = np.log(total) + 0.3 * np.mean([tables[p, c] for p, c in enumerate(cells)])
        assert values[numbers(x[None])[0]] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_an_ehrlich_function_is_solved_by_its_motifs_and_banned_steps_are_infeasible(seed):
    function = Ehrlich.draw(20, 32, 4, 4, 4, seed)
    best = function.solution(32)
    assert function(best[None])[0] == 1.0
    samples = function.sample(300, 32, np.random.default_rng(seed))
    values = function(samples)
    assert function.feasible(samples).all()
    assert ((values >= 0) & (values < 1)).all()
    np.testing.assert_array_equal(values * 4**4, np.round(values * 4**4))
    broken = best.copy()
    after = np.flatnonzero(~function.allowed[best[0]])
    broken[1] = after[0]
    assert function(broken[None])[0] == -np.inf


def test_an_ehrlich_function_counts_the_best_place_of_each_motif_in_levels():
    allowed = np.ones((4, 4), dtype=bool)
    allowed[3, 0] = False
    function = Ehrlich(allowed, np.array([[0, 1, 2, 3]]), np.array([[0, 1, 3, 4]]), 2)
    values = function(encode(["AACTGT", "AACAAA", "ACAAAA", "ACAGTT", "TACAGT", "AAAAAA"], "ACGT"))
    # of the motif A C . G T: 2 of 4 at best is half; A alone rounds down to 0; T A is banned
    np.testing.assert_array_equal(values, [1.0, 0.5, 0.5, 1.0, -np.inf, 0.0])
    with pytest.raises(ArgumentError, match="do not fit"):
        Ehrlich.draw(4, 6, 2, 4, 4)


def test_infeasible_designs_count_as_the_worst():
    problem = ehrlich_dna()
    values = problem.truth(problem.sequences[:200])
    assert np.isfinite(values).all()
    random = decode(np.random.default_rng(0).integers(0, 4, (200, 16)), "ACGT")
    verdict = problem.judge(Designs(random, np.zeros(200)))
    assert verdict.metrics["broken: known pairs"] > 20
    problem.rules = SequenceRules()
    verdict = problem.judge(Designs(random, np.zeros(200)))
    assert verdict.metrics["infeasible"] > 20
    assert verdict.metrics["max"] >= 0.0


@pytest.mark.parametrize("name", READY)
def test_ready_made_problems_have_names_and_a_default(name):
    problem = load_problem(name)
    assert problem.name == name
    chosen = default_method(problem, feasible.Budget(steps=10))
    assert chosen is not None
    assert chosen[0] == load_method("genetic-sequences")


@pytest.mark.kill
@pytest.mark.parametrize("method", ["bib[steps=30,aux=heads]", "genetic-sequences"])
def test_a_killed_run_goes_on_to_the_answer_of_the_uninterrupted_one(method, killed_and_resumed):
    def run(**options):
        return feasible.solve(small_landscape(), method, {"steps": 40}, seed=100, **options)

    whole = run()
    resumed = killed_and_resumed(run, at=len(whole.trail) // 2)
    cases.same(resumed, whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("bidirectional-sequence-design"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert {p["experiment"] for p in found["per_seed"]} == {"binding", "generated", "ehrlich"}
