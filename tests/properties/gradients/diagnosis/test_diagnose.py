"""A diagnosis names the cause, gives advice that pays on held-out inputs, and is shown in three forms."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dynprop.cli import main
from dynprop.errors import ArgumentError, NotFiniteError, TargetError
from dynprop.gradients import Diagnosis, diagnose, gradient_by_lag
from dynprop.gradients.diagnosis.advice import helps
from dynprop.gradients.diagnosis.inputs import read_tensors, white_inputs
from dynprop.gradients.diagnosis.show import diagnosis_json, diagnosis_page, pictures_of

STEPS = 40


def weight(net: nn.Module, kind: str) -> Tensor:
    return net.get_parameter(f"weight_{kind}_l0")


def lstm() -> nn.Module:
    return nn.LSTM(3, 8)


def saturated() -> nn.Module:
    """Why does my RNN not learn: the inputs are pixels from 0 to 255, say."""
    net = nn.RNN(3, 8)
    with torch.no_grad():
        weight(net, "ih").mul_(60.0)
    return net


def dead() -> nn.Module:
    """Why are the gradients zero: every unit is off."""
    net = nn.RNN(3, 24, nonlinearity="relu")
    with torch.no_grad():
        net.get_parameter("bias_ih_l0").fill_(-50.0)
    return net


def exploding() -> nn.Module:
    """Why NaN: the state grows by a factor of three per step."""
    net = nn.RNN(3, 8, nonlinearity="relu")
    with torch.no_grad():
        weight(net, "hh").copy_(3.0 * torch.eye(8))
    return net


@pytest.mark.parametrize(
    ("build", "verdict", "cause", "advice"),
    [
        (lstm, "vanishes", "forget gates keep 0.4", "bias"),
        (lambda: nn.GRU(3, 8), "vanishes", "update gates keep 0.4", "bias"),
        (saturated, "vanishes", "of the units are saturated", "smaller inputs"),
        (dead, "vanishes", "100% of the units are off", "start"),
        (exploding, "explodes", "multiplies the gradient by 3", "smaller weights"),
    ],
)
def test_the_sentence_names_the_cause_and_the_advice_pays(
    build: Callable[[], nn.Module], verdict: str, cause: str, advice: str
) -> None:
    found = diagnose(build, steps=STEPS)
    assert found.verdict == verdict
    assert cause in found.sentence
    assert found.advice
    assert advice in found.advice[0].name
    for each in found.advice:
        assert helps(each.before, each.after)
        assert len(each.before) == 3


def test_weights_that_contract_are_named_with_their_norm() -> None:
    def small() -> nn.Module:
        net = nn.RNN(3, 8)
        with torch.no_grad():
            weight(net, "hh").mul_(0.5)
        return net

    found = diagnose(small, steps=STEPS)
    assert re.search(r"contracts, whatever the inputs: its norm is 0\.\d+ < 1$", found.sentence)


def test_a_gradient_that_stays_gets_no_advice() -> None:
    torch.manual_seed(0)
    net = nn.RNN(3, 8)
    nn.init.orthogonal_(weight(net, "hh"))
    with torch.no_grad():
        weight(net, "ih").mul_(0.01)
        for name in ("bias_ih_l0", "bias_hh_l0"):
            net.get_parameter(name).zero_()
    found = diagnose(net, steps=STEPS)
    assert (found.verdict, found.advice, found.cause) == ("stays", (), "")
    assert "keeps its size" in found.sentence
    assert found.exponents is not None
    assert found.exponents.largest == pytest.approx(0.0, abs=0.02)


def test_advice_that_does_not_help_is_not_given() -> None:
    """A cell without biases has no gate to open by one."""
    assert diagnose(lambda: nn.LSTM(3, 8, bias=False), steps=STEPS).advice == ()
    assert not helps((-10.0, -10.0), (-1.0, -8.0))
    assert not helps((-10.0,), (11.0,))
    assert not helps((-10.0,), (math.nan,))
    assert not helps((), ())
    assert helps((-math.inf,), (-3.0,))


def test_starts_are_counted_with_exact_intervals() -> None:
    found = diagnose(lstm, steps=STEPS, seeds=5).frequencies
    assert found is not None
    assert found.counts == {"vanishes": 5, "stays": 0, "explodes": 0}
    # Clopper and Pearson: (0.025)^(1/5).
    assert found.intervals["vanishes"][0] == pytest.approx(0.025**0.2)
    assert len(found.log_left) == 5
    with pytest.raises(ArgumentError, match="a class or function"):
        diagnose(lstm(), steps=STEPS, seeds=5)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(9, 4), nn.GRU(4, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.as_tensor(self.head(self.rnn(self.embedding(tokens))[0][:, -1]))


def test_tokens_are_drawn_for_an_embedding_and_batches_are_halved() -> None:
    torch.manual_seed(0)
    model = Model()
    tokens = white_inputs(model, 12, 8, 0)
    assert tokens.shape == (8, 12)
    assert not tokens.is_floating_point()
    found = diagnose(model, tokens)
    assert found.profile.name == "rnn"
    assert found.hiding is not None
    # The first half is shown, the second is held out.
    expected = gradient_by_lag(model, tokens[:4])
    np.testing.assert_array_equal(found.profile.log_norms, expected.log_norms)
    alone = diagnose(model, tokens[:1])
    assert any("one sequence" in remark for remark in alone.remarks)


def checked_page(found: Diagnosis) -> str:
    page = diagnosis_page(found, "a<b", {"lag": None})
    assert "a&lt;b" in page
    assert "http" not in page
    embedded = re.search(r'<script type="application/json" id="diagnosis">(.*?)</script>', page, re.S)
    assert embedded is not None
    assert json.loads(embedded[1]) == json.loads(diagnosis_json(found, "a<b", {"lag": None}))
    for picture in pictures_of(found):
        for series in picture.series:
            points = [tuple(map(float, p.split(","))) for p in series.points.split()] + list(series.dots)
            assert points
            assert all(0.0 <= x <= picture.width and 0.0 <= y <= picture.height for x, y in points)
    return page


def test_page_and_json_are_whole_where_much_is_missing() -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    full = diagnose(lstm, steps=STEPS, seeds=3)
    page = checked_page(full)
    assert page.count("<svg") == 6
    bidirectional = diagnose(nn.LSTM(3, 4, bidirectional=True), steps=8)
    assert bidirectional.hiding is None
    checked_page(bidirectional)
    gone = diagnose(dead, steps=STEPS)
    data = json.loads(diagnosis_json(gone, "dead", {}), parse_constant=refuse)
    assert data["gradient_log"]["median"][-1] is None
    checked_page(gone)


MODELS = """
import torch
from torch import nn

net = nn.GRU(3, 8)

def build():
    return nn.LSTM(3, 8)

def takes(size):
    return net

def raises():
    raise ValueError("no size")

class Inside(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.RNN(3, 8))

    def forward(self, x):
        return self.encoder(x)[0]

broken = nn.RNN(3, 8, nonlinearity="relu")
with torch.no_grad():
    broken.weight_hh_l0.fill_(1e30)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_prints_writes_and_exits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["diagnose", "models.py:build", "--steps", "30", "--lag", "20"]
    files = ["--json", "a.json", "--html", "a.html", "--png", "a.png"]
    assert main([*call, *files, "--at-least", "1e-30"]) == 0
    printed = capsys.readouterr().out
    assert "models.py:build  vanishes" in printed
    assert max(map(len, printed.splitlines())) < 120
    data = json.loads((folder / "a.json").read_text(encoding="utf-8"))
    assert (data["lag"], data["verdict"]) == (20, "vanishes")
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "</html>" in (folder / "a.html").read_text(encoding="utf-8")
    assert main([*call, "--at-least", "0.5"]) == 1
    assert "below --at-least 0.5" in capsys.readouterr().err
    assert main([*call, "--at-most", "1e-9"]) == 1
    capsys.readouterr()
    assert main([*call, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["lag"] == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models.py:takes"], "takes takes (size), expected (), or (input_size, hidden_size)"),
        (["models.py:raises"], "raises() raised ValueError: no size"),
        (["models.py:nothing"], "no attribute"),
        (["models.py:Inside", "--module", "encoder.1"], "such as encoder.0"),
        (["models.py:net", "--lag", "200"], "at most 100"),
        (["models.py:net", "--seeds", "3"], "1 for a module"),
        (["models.py:net", "--at-least", "-1"], "a number, 0 or more"),
        (["models.py:net", "--data", "models.py"], "a file whose name ends in"),
        (["models.py:net", "--data", "none.npy"], "No such file"),
        (["torch.nn:Linear"], "expected (), or (input_size, hidden_size)"),
        (["models.py:net", "--html", "no/such/folder.html"], "a folder that exists"),
    ],
)
def test_a_wrong_call_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["diagnose", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len([line for line in error if not re.match(r"dynprop: \d+ s ·", line)]) == 1
    assert message in error[-1]


def test_a_state_that_is_not_finite_exits_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "models.py:broken", "--steps", "30"]) == 1
    assert re.search(r"NaN or infinity from step \d+ of sequence \d on", capsys.readouterr().out)
    with pytest.raises(NotFiniteError):
        diagnose(nn.GRU(3, 4), torch.full((5, 2, 3), math.nan))


def safetensors(tensors: dict[str, Any]) -> bytes:
    """Return a file of float32 arrays, written by the letter of the format."""
    header, body = {}, b""
    for name, values in tensors.items():
        data = np.asarray(values, dtype="<f4").tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": list(np.shape(values)), "data_offsets": offsets}
        body += data
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_weights_and_batches_come_from_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(5)
    other = nn.LSTM(3, 8)
    weights = {name: value.numpy() for name, value in other.state_dict().items()}
    (folder / "w.safetensors").write_bytes(safetensors(weights))
    torch.save(other.state_dict(), folder / "w.pt")
    batch = np.random.default_rng(0).standard_normal((20, 4, 3)).astype(np.float32)
    np.save(folder / "batch.npy", batch)
    (folder / "batch.safetensors").write_bytes(safetensors({"inputs": batch}))
    expected = gradient_by_lag(other, torch.from_numpy(batch)[:, :2]).median
    for weights_file, data in (("w.pt", "batch.npy"), ("w.safetensors", "batch.safetensors")):
        call = ["diagnose", "models.py:build", "--weights", weights_file, "--data", data]
        assert main([*call, "--json", "out.json"]) == 0
        found = json.loads((folder / "out.json").read_text(encoding="utf-8"))
        np.testing.assert_allclose(found["gradient_log"]["median"], expected, rtol=1e-12, atol=1e-12)
        assert found["advice"] == []
    assert main(["diagnose", "models.py:net", "--weights", "w.pt"]) == 2
    assert "weight_ih_l0 of shape (32, 3)" in capsys.readouterr().err


class Trap:
    """Unpickling it would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("trap"), "sprung"))


def test_nothing_in_a_file_is_run(folder: Path) -> None:
    torch.save({"w": Trap()}, folder / "trap.pt")
    np.save(folder / "trap.npy", np.array([Trap()]), allow_pickle=True)
    good = safetensors({"a": np.ones(3)})
    broken = {
        "short.safetensors": good[:4],
        "long.safetensors": struct.pack("<Q", 10**12) + good[8:],
        "cut.safetensors": good[:-4],
        "text.safetensors": b"12345678 no JSON",
    }
    for name, data in broken.items():
        (folder / name).write_bytes(data)
    for name in ("trap.pt", "trap.npy", *broken):
        with pytest.raises(ArgumentError, match="nothing is unpickled"):
            read_tensors(folder / name, "--weights")
    assert not (folder / "trap").exists()


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TargetError, match=re.escape("expected a torch.nn.Module")):
        diagnose(lambda: 3)
    with pytest.raises(TargetError, match="expected a torch module"):
        diagnose(3)
    with pytest.raises(ArgumentError, match="a batch of inputs"):
        diagnose(nn.Sequential(nn.ReLU()))
