"""One update of many models against torch.nn.RNN trained one by one; memory; resuming a long sweep."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from dynprop.training.store.ledger import Ledger
from dynprop.training.sweeps.engine import run_sweep
from dynprop.training.sweeps.sweep import Folder, Sweep
from dynprop.training.trials.ensemble import Ensemble, bytes_per_model
from dynprop.training.trials.setting import Setting
from dynprop.training.trials.threads import one_thread_each
from dynprop.training.trials.trial import Trial
from tests.bench.conftest import Compare
from tests.bench.pairs import fastest

MODELS = 64
SETTING = Setting("latch", 50, hidden=50, batch=16)


def plain_rnn() -> Any:
    """Return a module whose parameters mypy takes for what they are."""
    return torch.nn.RNN(1, SETTING.hidden)


class OneByOne:
    """A torch.nn.RNN with a read-out, from the weights of one model of an ensemble, on its sequences."""

    def __init__(self, ensemble: Ensemble, model: int) -> None:
        weights = {name: value[model].detach() for name, value in ensemble.parameters().items()}
        self.rnn = plain_rnn()
        self.readout = torch.nn.Linear(SETTING.hidden, 1)
        with torch.no_grad():
            self.rnn.weight_ih_l0.copy_(weights["inputs"].T)
            self.rnn.weight_hh_l0.copy_(weights["recurrent"].T)
            self.rnn.bias_ih_l0.copy_(weights["bias"])
            self.rnn.bias_hh_l0.zero_()
            # A second bias would be trained, too: one step moves the sum twice as far.
            self.rnn.bias_hh_l0.requires_grad_(False)
            self.readout.weight.copy_(weights["out"].T)
            self.readout.bias.copy_(weights["out bias"])
        self.parameters = [p for p in (*self.rnn.parameters(), *self.readout.parameters()) if p.requires_grad]
        self.optimiser = torch.optim.SGD(self.parameters, lr=SETTING.rate)
        inputs, targets, _ = ensemble._sequences(0)
        self.inputs, self.targets = inputs[:, model].contiguous(), targets[model]

    def update(self) -> None:
        """Make one step of SGD, clipped by norm."""
        self.optimiser.zero_grad()
        said = self.readout(self.rnn(self.inputs)[0][-1])
        loss = torch.nn.functional.softplus(-self.targets * said).mean()
        torch.autograd.backward([loss])
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()


def test_an_update_of_64_models_beside_torch_one_by_one(
    compare: Compare, benchmark: BenchmarkFixture
) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    whole, model = Ensemble(SETTING, range(MODELS)), OneByOne(Ensemble(SETTING, range(MODELS)), 3)
    # As training splits them among threads.
    cuts = [MODELS * i // cores for i in range(cores + 1)]
    parts = [Ensemble(SETTING, range(*ends)) for ends in itertools.pairwise(cuts)]
    before = torch.get_num_threads()

    def together() -> None:
        whole.update(0)

    def side_by_side() -> None:
        list(pool.map(Ensemble.update, parts, [0] * len(parts)))

    def alone(threads: int) -> None:
        torch.set_num_threads(threads)
        for _ in range(4):
            model.update()
        torch.set_num_threads(1)

    try:
        with ThreadPoolExecutor(cores) as pool, one_thread_each():
            together()
            side_by_side()
            model.update()
            trained = whole.parameters()["recurrent"].detach()
            # Sums of 16 · 50 products of numbers below one, in two orders.
            expected = model.rnn.weight_hh_l0.detach().T
            assert torch.allclose(trained[3], expected, rtol=0, atol=1e-6)
            assert torch.equal(trained, torch.cat([part.parameters()["recurrent"] for part in parts]))
            # Each at its best number of threads; the reference makes four updates: sixteen of it are one by
            # one. A sixth of that is promised.
            subject = fastest(together, side_by_side)
            reference = fastest(partial(alone, 1), partial(alone, cores))
            compare(subject, reference, ceiling=MODELS / 4 / 6)
    finally:
        torch.set_num_threads(before)


def test_an_ensemble_keeps_to_its_estimate_of_memory(benchmark: BenchmarkFixture) -> None:
    setting = Setting("adding-urnn", 100, hidden=32, updates=3, every=3)
    code = (
        "import resource, sys\n"
        "from dynprop.training.trials.setting import Setting\n"
        "from dynprop.training.trials.training import train\n"
        f"setting = Setting.from_json({setting.to_json()!r})\n"
        "train(setting, range(2))\n"
        "begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "train(setting, range(100, 164))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown <= 1.25 * 64 * bytes_per_model(setting)
    benchmark.extra_info["grown over estimate"] = grown / (64 * bytes_per_model(setting))
    benchmark.pedantic(bytes_per_model, (setting,), rounds=1)


def filled(path: Path, runs: int) -> Sweep:
    """Write a sweep all of whose runs are finished."""
    sweep = Sweep("latch", tuple(range(4, 14)), inits=("small", "default"), seeds=runs // 20)
    with Folder(path, sweep) as folder:
        for setting in sweep.settings:
            seeds = range(sweep.seeds)
            folder.ledger.record([Trial(setting, s, "failure", 1500, 0.69, 0.5, 1.0, 1e-9) for s in seeds])
    return sweep


def resumed(path: Path, sweep: Sweep) -> int:
    with Folder(path, sweep) as folder:
        return run_sweep(folder)


def read_once(path: Path) -> int:
    """What resuming must at least do: read every row."""
    with Ledger(path / "ledger.sqlite") as ledger:
        return sum(len(seeds) for seeds in ledger.done().values())


def test_resuming_costs_little_more_than_reading_what_is_there(
    compare: Compare, tmp_path: Path, benchmark: BenchmarkFixture
) -> None:
    runs = 100_000 if benchmark.enabled else 2_000
    sweep = filled(tmp_path / "a", runs)
    assert resumed(tmp_path / "a", sweep) == 0
    assert read_once(tmp_path / "a") == runs
    compare(partial(resumed, tmp_path / "a", sweep), partial(read_once, tmp_path / "a"), ceiling=2.0)
