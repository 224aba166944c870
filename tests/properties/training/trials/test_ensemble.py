"""An ensemble trains what its models train alone, bit by bit; failures are named and stay alone."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from dynprop.errors import ArgumentError
from dynprop.gradients import CELLS
from dynprop.training import TASKS
from dynprop.training.tasks.task import sequence_losses
from dynprop.training.trials import ensemble as ensemble_module
from dynprop.training.trials.ensemble import ROUNDING, Ensemble, bytes_per_model, output_gradient
from dynprop.training.trials.initial import CELL_NAMES, initial_weights, parse_init
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.threads import threads_that_pay
from dynprop.training.trials.training import _Run, group_size, train
from dynprop.training.trials.trial import EXPLODED, VANISHED, Trial, cause_of

FAST: dict[str, Any] = {"updates": 40, "every": 10}
VARIED = (
    Setting("latch", 7, **FAST),
    Setting("latch", 7, hidden=50, optimiser="adam", rate=0.01, **FAST),
    Setting("adding-tcn", 9, cell="gru", hidden=7, optimiser="adam", rate=0.01, **FAST),
    Setting(
        "temporal-order-6a", 21, cell="lstm", init="default+chrono", hidden=5, optimiser="momentum", **FAST
    ),
    Setting("adding-urnn", 9, cell="lru", init="ring", hidden=7, **FAST),
    Setting("copy", 3, cell="relu", init="identity", hidden=7, clip=None, rate=1.0, **FAST),
    Setting("latch-unit", 9, cell="unit", init="w=0.5", hidden=1, dtype="float64", clip=None, **FAST),
    Setting("two-sequence", 12, hidden=13, init="orthogonal", **FAST),
    Setting("adding-urnn", 8, hidden=9, batch=5, **FAST),
    Setting("parity", 5, cell="gru", hidden=3, batch=1, optimiser="momentum", **FAST),
)


def named(setting: Setting) -> str:
    return f"{setting.task}-{setting.cell}-{setting.optimiser}-{setting.batch}"


def same_within_rounding(one: Trial, other: Trial) -> bool:
    if one.loss is None or other.loss is None:
        return one == other
    return abs(one.loss - other.loss) <= ROUNDING * max(one.loss, other.loss)


@pytest.mark.parametrize("setting", VARIED, ids=named)
def test_a_trial_is_the_same_alone_and_in_any_ensemble(setting: Setting) -> None:
    whole = train(setting, range(6))
    parts = [*train(setting, [4]), *train(setting, [2, 0, 5])]
    for trial in parts:
        assert same_within_rounding(trial, whole[trial.seed])
    # The same bits wherever products round alike, as here; a machine that differs shows it in this line.
    assert parts == [whole[4], whole[2], whole[0], whole[5]]
    assert whole == train(setting, range(6))


@pytest.mark.parametrize("threads", [1, 2, 3, 9])
def test_a_trial_is_the_same_by_any_number_of_threads(threads: int) -> None:
    setting = Setting("latch", 12, hidden=37, batch=21, optimiser="adam", rate=0.01, updates=4, every=2)
    right = train(setting, range(7), threads=1)
    assert train(setting, range(7), threads=threads) == right
    assert train(setting, [5], threads=threads) == [right[5]]


@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_a_trial_is_the_same_by_any_number_of_threads_of_the_libraries(cell: str) -> None:
    # Large enough for OpenBLAS to split a product among threads: then sums in float32 round otherwise (seen:
    # losses that differ by 3e-10). Training gives the libraries one thread, and gives back what they had.
    setting = Setting("latch", 6, cell=cell, hidden=256, batch=32, updates=2, every=1)
    right = train(setting, range(2))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with threadpool_limits(3):
            assert train(setting, range(2)) == right
            assert train(setting, [1], threads=1) == [right[1]]
            libraries = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
            assert libraries
            assert set(libraries) == {3}
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_threads_are_used_where_models_are_large_enough() -> None:
    large, small = Setting("latch", 5, hidden=50), Setting("latch", 5)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert (threads_that_pay(large, 64), threads_that_pay(large, 1)) == (2, 1)
        assert threads_that_pay(small, 50) == 1
    finally:
        torch.set_num_threads(before)


def test_an_interrupt_in_one_thread_does_not_wait_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    advance, met, begun = _Run.advance, [], threading.Event()

    def interrupted(run: _Run) -> None:
        if run.ensemble.seeds[0] == 0:
            assert begun.wait(60)
            raise KeyboardInterrupt
        begun.set()
        advance(run)
        met.append(run.updates_made)

    monkeypatch.setattr(_Run, "advance", interrupted)
    setting = Setting("latch", 6, updates=10**6, every=10**6)
    with pytest.raises(KeyboardInterrupt):
        train(setting, range(2), threads=2)
    # A million updates are not waited for.
    assert met[0] < 10**4


@pytest.mark.parametrize("hidden", [1, 3, 8, 16])
@pytest.mark.parametrize("cell", [name for name in CELL_NAMES if name != "unit"])
@pytest.mark.parametrize("task", ["two-sequence", "adding-urnn", "copy"])
def test_the_gradient_of_a_model_has_the_same_bits_alone_and_beside_others(
    task: str, cell: str, hidden: int
) -> None:
    init = "ring" if cell == "lru" else "default"
    setting = Setting(task, 11, cell=cell, init=init, hidden=hidden, batch=7)
    whole = Ensemble(setting, range(5))
    together = whole.gradients(*whole._sequences(0))
    for seed in (0, 3):
        alone = Ensemble(setting, [seed])
        assert torch.equal(alone.gradients(*alone._sequences(0))[0], together[seed])


def test_a_budget_splits_an_ensemble_and_changes_nothing() -> None:
    setting = VARIED[0]
    one = bytes_per_model(setting)
    assert group_size(setting, 2 * one) == 2
    assert group_size(setting, 1) == 1
    assert train(setting, range(5), budget=2 * one) == train(setting, range(5))


def test_a_model_that_is_large_by_its_weights_alone_is_counted() -> None:
    # 10,000² recurrent weights and a few numbers of state.
    assert bytes_per_model(Setting("latch", 2, hidden=10_000, batch=1)) > 4 * 10_000**2


def test_seeds_are_different_models_and_settings_different_streams() -> None:
    losses = {trial.loss for trial in train(VARIED[0], range(5))}
    assert len(losses) == 5
    one, other = (
        replace(VARIED[0], rate=rate).generator(0, "training").random(3).tolist() for rate in (0.1, 0.2)
    )
    assert one != other
    assert VARIED[0].generator(0, "training", 1).random() != VARIED[0].generator(0, "training", 2).random()


@pytest.mark.parametrize("setting", [VARIED[0], VARIED[5]], ids=named)
def test_an_update_is_that_of_torch_with_its_loss_and_clipping(setting: Setting) -> None:
    setting = replace(setting, dtype="float64", clip=0.05)
    ensemble = Ensemble(setting, range(3))
    before = {name: value.detach().clone() for name, value in ensemble.parameters().items()}
    inputs, targets, ends = ensemble._sequences(0)
    for model in range(3):
        own = {name: value[model : model + 1].clone().requires_grad_(True) for name, value in before.items()}
        start = ensemble.cell.start(1, setting.batch, setting.hidden, torch.float64)
        part = targets[:, model : model + 1] if ensemble.task.every else targets[model : model + 1]
        seen = ensemble.readout_inputs(own, inputs[:, model : model + 1], ends[model : model + 1], start)
        said = ensemble.predictions(own, seen)
        if ensemble.task.loss == "logistic":
            loss = torch.nn.functional.softplus(-part * said).mean()
        else:
            loss = torch.nn.functional.cross_entropy(said.reshape(-1, said.shape[-1]), part.reshape(-1))
        torch.autograd.backward([loss])
        norm = torch.nn.utils.clip_grad_norm_(list(own.values()), 0.05)
        torch.optim.SGD(list(own.values()), lr=setting.rate).step()
        if model == 0:
            ensemble.update(0)
        after = ensemble.parameters()
        for name, value in own.items():
            # torch's clipping divides by the norm plus 1e-6.
            assert torch.allclose(after[name][model], value[0], rtol=0, atol=1e-5), name
        assert ensemble.max_grad_norm[model] == pytest.approx(float(norm), rel=1e-9)
        assert float(norm) > 0.05


@pytest.mark.parametrize("loss", ["squared", "logistic", "cross-entropy"])
def test_the_gradient_of_a_loss_is_that_of_its_formula(loss: str) -> None:
    rng = np.random.default_rng(0)
    said = rng.standard_normal((2, 5, 3 if loss == "cross-entropy" else 2))
    targets: Any = np.sign(rng.standard_normal((2, 5, 2)))
    if loss == "cross-entropy":
        targets = rng.integers(0, 3, (2, 5))
    found = output_gradient(loss, said, targets)
    step = 1e-6
    for model, i, j in ((0, 0, 0), (1, 4, 1)):
        moved = [said[model].copy() for _ in range(2)]
        moved[0][i, j] += step
        moved[1][i, j] -= step
        up, down = (sequence_losses(loss, y, targets[model]).mean() for y in moved)
        # Central differences: h² and 1e-16/h, both near 1e-10.
        assert found[model, i, j] == pytest.approx((up - down) / (2 * step), abs=1e-8)


# Failures


def test_a_model_that_explodes_is_named_and_its_neighbours_do_not_notice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = replace(VARIED[0], clip=None)
    right = train(setting, [0, 1, 2])
    drawn = Ensemble._initial_parameters

    def poisoned(self: Ensemble) -> torch.Tensor:
        values = drawn(self)
        values[[seed == 1 for seed in self.seeds]] = math.inf
        return values

    monkeypatch.setattr(Ensemble, "_initial_parameters", poisoned)
    found = train(setting, [0, 1, 2])
    assert (found[0], found[2]) == (right[0], right[2])
    assert (found[1].status, found[1].cause, found[1].loss) == ("diverged", "explosion", None)
    assert found[1].remark() == "diverged; cause: explosion"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gradient_whose_squares_overflow_is_clipped_and_not_called_diverged(dtype: str) -> None:
    # Some 1e25: its square is no float32, and of norm 1 after clipping.
    setting = Setting("adding-urnn", 100, cell="relu", init="identity=1.3", hidden=20, dtype=dtype, **FAST)
    found = train(replace(setting, updates=4), range(3))
    assert [trial.status for trial in found] == ["failure"] * 3
    assert all(trial.max_grad_norm is not None and 1e19 < trial.max_grad_norm < 1e38 for trial in found)
    assert {trial.cause for trial in found} == {"explosion"}


@pytest.mark.parametrize("values", [[3.0, -4.0], [3e25, -4e25], [3e-30, 4e-30], [3e200, 4e200], [0.0, 0.0]])
def test_norms_neither_overflow_nor_vanish(values: list[float]) -> None:
    expected = 1.25 * max(map(abs, values))
    assert ensemble_module._norms(np.array([values, [1.0, 0.0]])).tolist() == pytest.approx([expected, 1.0])


@pytest.mark.parametrize("updates", [1, 2, 10, 11])
def test_a_model_that_breaks_at_its_last_update_has_diverged(updates: int) -> None:
    setting = Setting("adding-urnn", 40, cell="relu", rate=1e4, clip=None, every=10, updates=updates)
    found = train(setting, range(6))
    # All units of some are dead after one step: their loss is a number.
    assert sum(trial.status == "diverged" for trial in found) >= 3
    assert all((trial.status == "diverged") == (trial.loss is None) for trial in found)
    assert {trial.cause for trial in found if trial.loss is None} == {"explosion"}


def test_a_model_that_has_diverged_is_no_run_that_took_too_long() -> None:
    setting = Setting(
        "adding-urnn", 40, cell="relu", init="identity=3", hidden=20, clip=None, updates=10**6, every=10**6
    )
    found = train(replace(setting, rate=1e30), range(2), timeout=0.5)
    assert {trial.status for trial in found} == {"diverged"}


def test_every_judgement_has_sequences_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = []
    generator = Setting.generator

    def seen(self: Setting, seed: int, stream: str, block: int = 0) -> np.random.Generator:
        if stream == "judging":
            blocks.append(block)
        return generator(self, seed, stream, block)

    monkeypatch.setattr(Setting, "generator", seen)
    train(Setting("latch", 20, init="small", updates=25, every=10), [0])
    assert blocks == [1, 2, 3]


def test_an_irnn_without_clipping_explodes_and_with_it_does_not() -> None:
    setting = Setting("adding-urnn", 40, cell="relu", init="identity=1.3", hidden=20, clip=None, **FAST)
    assert {trial.cause for trial in train(setting, range(8))} == {"explosion"}
    assert {trial.status for trial in train(replace(setting, clip=1.0), range(8))} != {"diverged"}


def test_a_contractive_net_fails_by_vanishing_at_the_level_of_chance() -> None:
    setting = Setting("latch", 20, init="small", **FAST)
    for trial in train(setting, range(4)):
        assert trial.cause == "vanishing"
        assert trial.at_chance
        assert trial.gradient_ratio is not None
        assert trial.gradient_ratio < 1e-6
        assert "is the level of guessing one of two classes" in trial.remark()


def test_the_level_of_the_mean_is_named() -> None:
    setting = Setting("adding-urnn", 30, init="small", rate=0.01, updates=200, every=100)
    (trial,) = train(setting, [0])
    assert "is the level of predicting the mean" in trial.remark()
    assert Trial(setting, 0, "failure", 9, loss=1 / 6, gradient_ratio=0.5, max_grad_norm=1.0).remark() == (
        "no success in 9 updates; cause: neither; loss 0.1667 is the level of predicting the mean"
    )


@pytest.mark.parametrize(
    ("status", "max_grad_norm", "gradient_ratio", "cause"),
    [
        ("success", 1e9, 0.0, ""),
        ("failure", EXPLODED, 1.0, "explosion"),
        ("failure", None, 1.0, "explosion"),
        ("failure", 0.99 * EXPLODED, 0.99 * VANISHED, "vanishing"),
        ("failure", 1.0, VANISHED, "neither"),
        ("failure", 1.0, None, "neither"),
        ("diverged", 1.0, 0.0, "explosion"),
        ("timed out", 1.0, None, ""),
    ],
)
def test_causes_have_their_limits(
    status: str, max_grad_norm: float | None, gradient_ratio: float | None, cause: str
) -> None:
    assert cause_of(status, max_grad_norm, gradient_ratio) == cause


def test_the_share_that_comes_back_is_the_product_of_slopes() -> None:
    setting = Setting("latch-unit", 6, cell="unit", init="w=0.5", hidden=1, dtype="float64", **FAST)
    ensemble = Ensemble(setting, range(3))
    ratio = ensemble.gradient_ratio(1)
    inputs, _, _ = ensemble.drawn("looking", 0, 1)
    weights = ensemble.parameters()["inputs"].detach().numpy()
    for model in range(3):
        state, product = 0.0, 1.0
        for x in inputs[:, model, 0].numpy():
            state = math.tanh(0.5 * state + x[0] + float(x[1:] @ weights[model, :, 0]))
            product *= 0.5 * (1 - state**2)
        assert ratio[model] == pytest.approx(product, rel=1e-12)


def test_a_run_that_takes_too_long_is_a_row_of_its_own() -> None:
    setting = replace(VARIED[0], updates=10**6)
    found = train(setting, [0, 1], timeout=0.0)
    assert [trial.status for trial in found] == ["timed out", "timed out"]
    assert found[0].updates == 1


def test_success_is_the_first_judgement_that_meets_the_criterion() -> None:
    setting = Setting("latch", 6, init="default", updates=400, every=10)
    found = train(setting, range(8))
    assert all(trial.succeeded and trial.updates % 10 == 0 for trial in found)
    assert all(trial.error_rate is not None and trial.error_rate <= 0.05 for trial in found)
    assert len({trial.updates for trial in found}) > 1
    heard: list[tuple[int, int, int]] = []
    train(setting, range(8), listen=lambda *event: heard.append(event))
    assert heard[-1][1:] == (0, 8)


# Settings


def test_a_key_is_a_hash_of_the_content() -> None:
    setting = Setting("latch", 10)
    assert setting.key == Setting.from_json({**setting.to_json(), "unknown": 1}).key
    assert replace(setting, clip=1).key == setting.key
    others = {replace(setting, **change).key for change in ({"length": 11}, {"rate": 0.2}, {"clip": None})}
    assert len(others | {setting.key}) == 4
    # The key of a run must not change between releases: finished sweeps would be recomputed.
    assert setting.key == "d9e61bb67ebb56fac85f"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "lach"}, "task: got 'lach'"),
        ({"length": 1}, "length: got 1, expected at least 2"),
        ({"cell": "rnn"}, "cell: got 'rnn'"),
        ({"cell": "unit"}, "another cell: unit is for latch-unit"),
        ({"task": "latch-unit"}, "cell: got 'tanh', expected the cell unit for latch-unit"),
        ({"init": "glorot"}, "init: got 'glorot', expected one of small[=NUMBER], default"),
        ({"init": "small=x"}, "got 'small=x', expected a finite number of at least 0 after small="),
        ({"init": "small=-1"}, "expected a finite number of at least 0 after small="),
        ({"init": "orthogonal=nan"}, "expected a finite number after orthogonal="),
        ({"init": "default=3"}, "expected default alone, which takes no number"),
        ({"cell": "lru", "init": "ring=1.1"}, "expected a finite number from 0.9 to 1 after ring="),
        (
            {"cell": "lstm", "init": "default+chrono=1"},
            "expected a finite number of at least 2 after chrono=",
        ),
        ({"init": "default+forget"}, "tanh has no forget gate"),
        ({"init": "ring"}, "expected one of small"),
        ({"optimiser": "rmsprop"}, "one of sgd, momentum[=NUMBER], adam"),
        ({"optimiser": "adam=0.9"}, "expected adam alone"),
        ({"optimiser": "momentum=2"}, "expected a finite number from 0 to 1 after momentum="),
        ({"rate": 0.0}, "rate: got 0.0, expected a finite number above 0"),
        ({"rate": None}, "rate: got None"),
        ({"rate": "fast"}, "rate: got 'fast'"),
        ({"clip": -1.0}, "clip: got -1.0"),
        ({"hidden": 0}, "hidden: got 0"),
        ({"batch": True}, "batch: got True"),
        ({"dtype": "float16"}, "dtype: got 'float16'"),
    ],
)
def test_a_wrong_setting_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Setting(**{"task": "latch", "length": 10, **change})
    assert message in str(caught.value)


@pytest.mark.parametrize("seeds", [[], [0, 0], [-1], [1.5], [True], ["0"]])
def test_impossible_seeds_are_refused(seeds: list[Any]) -> None:
    with pytest.raises(ArgumentError, match="seeds: got"):
        train(VARIED[0], seeds)


def test_seeds_may_be_numbers_of_numpy() -> None:
    (trial,) = train(VARIED[0], np.array([3])[:1].tolist())
    assert train(VARIED[0], list(np.array([3]))) == [trial]


def test_no_thread_is_refused() -> None:
    with pytest.raises(ArgumentError, match="threads: got 0, expected a whole number of at least 1"):
        train(VARIED[0], [0], threads=0)


# Initial weights


def test_every_cell_has_initial_weights() -> None:
    assert tuple(CELLS) == CELL_NAMES


def weights(
    cell: str, init: str, hidden: int = 200, task: str = "adding-urnn"
) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return dict(initial_weights(TASKS[task], cell, parse_init(init, cell), hidden, 50, rng))


def test_initial_weights_have_their_laws() -> None:
    # Moments of 40,000 numbers: relative standard error 0.35 %; five of them.
    assert weights("tanh", "small")["recurrent"].std() == pytest.approx(0.1, rel=0.018)
    assert weights("tanh", "variance=1.5")["recurrent"].std() == pytest.approx(
        1.5 / math.sqrt(200), rel=0.018
    )
    default = weights("tanh", "default")
    assert default["recurrent"].std() == pytest.approx(1 / math.sqrt(600), rel=0.018)
    assert np.abs(default["bias"]).max() <= 1 / math.sqrt(200)
    assert default["bias"].any()
    orthogonal = weights("gru", "orthogonal=0.9", 20)["recurrent"]
    for block in np.split(orthogonal, 3, axis=1):
        # A QR decomposition of a 20 × 20 matrix is orthogonal to some 1e-15.
        assert np.abs(block.T @ block - 0.81 * np.eye(20)).max() < 1e-13
    assert not weights("tanh", "orthogonal")["bias"].any()
    assert np.array_equal(weights("relu", "identity")["recurrent"], np.eye(200))
    assert weights("unit", "w=0.5", 1, "latch-unit")["recurrent"].tolist() == [[0.5]]


def test_orthogonal_weights_are_uniform_and_not_those_of_a_plain_decomposition() -> None:
    rng = np.random.default_rng(0)
    traces = [
        np.trace(
            initial_weights(TASKS["latch"], "tanh", parse_init("orthogonal", "tanh"), 6, 9, rng)["recurrent"]
        )
        for _ in range(400)
    ]
    # The trace of a uniform orthogonal matrix has mean 0 and variance 1; plain QR has a negative diagonal.
    assert abs(np.mean(traces)) < 5 / math.sqrt(400)


def test_an_lru_starts_on_its_ring() -> None:
    found = weights("lru", "ring")
    square = np.exp(-2 * np.exp(found["nu"]))
    assert 0.81 <= square.min() <= square.max() <= 0.999**2
    # Uniform in the square of the radius; the standard error of 200 of them is 0.0039.
    assert square.mean() == pytest.approx((0.81 + 0.999**2) / 2, abs=0.02)


def test_the_gates_of_an_lstm_start_open_for_as_long_as_they_are_told() -> None:
    forget = weights("lstm", "default+forget")["bias"]
    assert (forget[200:400] == 1.0).all()
    assert (forget[:200] != 1.0).all()
    chrono = weights("lstm", "orthogonal+chrono=100")["bias"]
    assert np.array_equal(chrono[:200], -chrono[200:400])
    times = 1 + np.exp(chrono[200:400])
    assert 2 <= times.min() < 10
    assert 90 < times.max() <= 100
