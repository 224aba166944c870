r"""Gradients and memory by lag of torch's layers and of modules of one's own (claims C6 and C2).

:math:`\partial s(T)/\partial s(T-k) = J_T \cdots J_{T-k+1}` (Pascanu, Mikolov and Bengio 2013, eq. 5).
References are products of Jacobians by complex steps, in numpy (module `nets`).
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_interval, compare_number
from dynprop.kinds.agreement.lags import PASCANU, norms_of_products
from dynprop.kinds.agreement.nets import KINDS, RecurrentNet, drawn_net, linear_module, map_module
from dynprop.kinds.agreement.norms import errors_of
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law

SEQUENCES = 3
# Independent sequences, and probes of each, whose scores are averaged.
SCORED, PROBES = 60, 32


def _net(case: DepthCase, rng: np.random.Generator) -> RecurrentNet:
    """Draw a kind and one or two layers."""
    return drawn_net(rng, KINDS[int(rng.integers(3))], case.width, int(rng.integers(1, 3)))


def _slack(net: RecurrentNet, inputs: FloatArray, condition: FloatArray) -> FloatArray:
    """Return the error of ln of a norm: of factors by rounding of their states, and of their product.

    16 covers the sums that lead to a state and the gates that a factor has; see
    `agreement/jacobian-products`.
    """
    rounding = 16.0 * (net.size + len(inputs)) * net.steepness(inputs) * UNIT
    return np.asarray(rounding * (1.0 + condition))


@law(
    "agreement/profile-of-layers",
    claim="C6",
    statement="the gradient by lag of torch's RNN, GRU and LSTM, one layer or two, is the 2-norm of the "
    "product "
    "of the Jacobians of the whole state at the states that it visits; each sequence of a packed batch "
    "has that "
    "of the sequence alone",
    source=PASCANU,
    draw=partial(depth_case, depths=(1, 12), widths=(1, 4)),
    applies=needs("gradient_by_lag"),
    script="import numpy as np, torch\ntorch.manual_seed(seed)\nrnn = torch.nn.LSTM(2, width).double()\n"
    "print(f.gradient_by_lag(rnn, torch.randn(depth, 1, 2).double()).log_norms)",
    share=0.2,
)
def profile_of_layers(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare sequences of unequal length, packed, with products in numpy."""
    import torch

    rng = case.generator()
    net = _net(case, rng)
    lengths = [case.depth, *(int(n) for n in rng.integers(1, case.depth + 1, size=SEQUENCES - 1))]
    inputs = 0.5 * rng.standard_normal((case.depth, SEQUENCES, net.features))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(inputs), torch.tensor(lengths), enforce_sorted=False
    )
    shape = (SEQUENCES, case.depth + 1)
    found = subject.numbers("gradient_by_lag", net.module(), packed, shape=shape, read="log_norms")
    comparisons = []
    for row, length in enumerate(lengths):
        own = inputs[:length, row]
        expected, condition = norms_of_products(net.jacobians(own))
        slack = _slack(net, own, condition)
        beyond = np.isnan(found[row, length + 1 :]).all()
        label = f"ln of the norm at each lag, sequence of {length}"
        comparisons.append(
            compare_interval(label, found[row, : length + 1], expected, expected, slack, axes=("lag",))
        )
        if length < case.depth:
            comparisons.append(compare_number("NaN beyond its start", float(beyond), 1.0, 1.0, UNIT))
    return Evidence(tuple(comparisons))


@law(
    "agreement/profile-of-a-linear-net",
    claim="C2",
    statement="the gradient by lag of a linear recurrence is the growth of its matrix, and at no length "
    "is it lost "
    "to underflow or overflow",
    source="Trefethen and Embree 2005, chapter 14; Goodfellow, Bengio and Courville 2016, section 10.7",
    draw=partial(depth_case, depths=(1, 400), widths=(1, 6)),
    applies=needs("gradient_by_lag", "growth"),
    script="import numpy as np\nW = 0.5 * np.eye(width)\nprint(f.growth(W, depth).log_norms)",
    share=0.2,
)
def profile_of_a_linear_net(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with growth, after a power of two from 2^-17 to 2^17 per step, which rounds nothing."""
    import torch

    rng, n = case.generator(), case.width
    w = rng.standard_normal((n, n)) / math.sqrt(n)
    exponent = int(rng.integers(-17, 18))
    inputs = torch.zeros(case.depth, 1, n, dtype=torch.float64)
    module = linear_module(w, exponent * math.log(2.0)) if exponent == 0 else linear_module(w * 2.0**exponent)
    shape = (1, case.depth + 1)
    found = subject.numbers("gradient_by_lag", module, inputs, shape=shape, read="log_norms")[0]
    norms = subject.growth(w, case.depth)
    lags = np.arange(case.depth + 1.0)
    expected = norms.logs + lags * exponent * math.log(2.0)
    # A product in floats errs by that of n additions per factor, conditioned like the power itself.
    power, condition = np.eye(n), [0.0]
    size = float(np.linalg.norm(w, 2))
    for _ in range(case.depth):
        power = power @ w
        top = float(np.linalg.norm(power, 2)) or 1.0
        power = power / top
        condition.append(condition[-1] * size / top + size / top)
    slack = errors_of(norms) + 16.0 * n * UNIT * np.array(condition) + 16.0 * UNIT * np.abs(expected)
    return Evidence(
        (compare_interval("ln of the norm at each lag", found, expected, expected, slack, axes=("lag",)),)
    )


@law(
    "agreement/contraction",
    claim="C6",
    statement="the gradient of a tanh net, or a logistic one, at lag k is at most (γ σ_max(W))^k, γ = 1 "
    "or 1/4; a "
    "sufficient condition is certified below σ_max(W) = 1/γ, and nowhere else",
    source="Pascanu, Mikolov and Bengio 2013, section 2.1",
    draw=partial(depth_case, depths=(1, 30), widths=(1, 8)),
    applies=needs("gradient_by_lag", "vanishing_condition"),
    script="import numpy as np\nW = np.array([[0.5, 9.0], [0.0, 0.5]])\nprint(f.vanishing_condition(W, "
    "'tanh').vanishes)",
    share=0.2,
)
def contraction(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Take W orthogonal, or far from normal, times a number whose side of 1/γ is certain."""
    import torch

    rng, n = case.generator(), case.width
    name, gamma = (("tanh", 1.0), ("sigmoid", 0.25))[int(rng.integers(2))]
    w = np.linalg.qr(rng.standard_normal((n, n)))[0]
    if n > 1 and rng.random() < 0.5:
        # Eigenvalues 1/2, norm 1.
        w = np.diag(np.full(n, 0.5)) + np.diag(np.full(n - 1, rng.uniform(1.0, 8.0)), 1)
    # Rounding of a norm that numpy finds: n u of it, some 1e-15 here; 1e-9 leaves no doubt.
    w = w / float(np.linalg.norm(w, 2)) / gamma
    inside, outside = (1.0 - 10.0 ** rng.uniform(-9.0, -1.0)) * w, (1.0 + 10.0 ** rng.uniform(-9.0, 1.0)) * w
    drive = torch.from_numpy(0.5 * rng.standard_normal((case.depth, 1, n)))
    matrix = torch.from_numpy(inside)

    def step(state: object) -> object:
        return (torch.tanh if name == "tanh" else torch.sigmoid)(torch.as_tensor(state) @ matrix.T)

    shape = (1, case.depth + 1)
    given = (map_module(step, added=False), drive)
    found = subject.numbers("gradient_by_lag", *given, shape=shape, read="log_norms")[0]
    bound = np.arange(case.depth + 1.0) * math.log(gamma * float(np.linalg.norm(inside, 2)))
    slack = 64.0 * (n + 1.0) * (np.arange(case.depth + 1.0) + 1.0) * UNIT
    certified = [
        subject.number("vanishing_condition", each, name, read="vanishes") for each in (inside, outside)
    ]
    return Evidence(
        (
            compare_interval("ln of the norm at each lag", found, -math.inf, bound, slack, axes=("lag",)),
            compare_number("certified below the limit", certified[0], 1.0, 1.0, UNIT),
            compare_number("not certified above it", certified[1], 0.0, 0.0, UNIT),
        )
    )


@law(
    "agreement/memory-of-layers",
    claim="C6",
    statement="memory by lag is the 2-norm of the derivative of the last output with respect to the "
    "input k steps "
    "ago; a small change of that input changes the output by as much",
    source="Pascanu, Mikolov and Bengio 2013, eq. 4",
    draw=partial(depth_case, depths=(1, 10), widths=(1, 4)),
    applies=needs("memory_by_lag"),
    script="import torch\ntorch.manual_seed(seed)\nrnn = torch.nn.GRU(2, width).double()\n"
    "print(f.memory_by_lag(rnn, torch.randn(depth, 1, 2).double()).log_norms)",
    share=0.2,
)
def memory_of_layers(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with complex steps through the whole sequence."""
    import torch

    rng = case.generator()
    net = _net(case, rng)
    inputs = 0.5 * rng.standard_normal((case.depth, net.features))
    given = torch.from_numpy(inputs[:, None, :])
    shape = (1, case.depth)
    found = subject.numbers("memory_by_lag", net.module(), given, shape=shape, read="log_norms")[0]
    sizes = [float(np.linalg.norm(matrix, 2)) for matrix in net.responses(inputs)]
    expected = np.log(sizes)
    # Norms of products that lead to an input: at most the condition of the products of states times what
    # reads.
    logs, condition = norms_of_products(net.jacobians(inputs))
    reading = float(np.linalg.norm(net.layers[0][0], 2)) * 4.0
    factors = np.array([reading / size for size in sizes]) * np.exp(logs)[:-1]
    slack = _slack(net, inputs, condition)[:-1] * np.maximum(1.0, factors)
    return Evidence(
        (compare_interval("ln of the response at each lag", found, expected, expected, slack, axes=("lag",)),)
    )


@law(
    "agreement/probes",
    claim="C6",
    statement="probes estimate the Frobenius norm of the gradient by lag with the error that they state",
    source="Hutchinson 1990, Communications in Statistics 19:433",
    draw=partial(depth_case, depths=(2, 6), widths=(3, 6)),
    applies=needs("gradient_by_lag"),
    script="import torch\ntorch.manual_seed(seed)\nrnn = torch.nn.RNN(2, width).double()\n"
    "print(f.gradient_by_lag(rnn, torch.randn(depth, 1, 2).double(), probes=32).log_errors)",
    share=0.05,
)
def probes(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Average squared scores over independent sequences.

    With 32 probes a score is Student-like, of mean square 1.07 to 1.4 (few singular values), with a
    standard deviation of 0.3 over 60 sequences: between 0.3 and 3 is beyond five of them (observed 0.59 to
    2.0 in 150 cases).
    """
    import torch

    rng = case.generator()
    net = drawn_net(rng, "RNN", case.width, 1)
    inputs = 0.5 * rng.standard_normal((case.depth, SCORED, net.features))
    shape = (SCORED, case.depth + 1)
    shapes = {"log_frobenius": shape, "log_errors": shape}
    options = {"probes": PROBES, "seed": int(rng.integers(2**31))}
    given = (net.module(), torch.from_numpy(inputs))
    found = subject.parts("gradient_by_lag", *given, shapes=shapes, options=options)
    expected = np.zeros(shape)
    for row in range(SCORED):
        product = np.eye(net.size)
        expected[row, 0] = 0.5 * math.log(net.size)
        for lag, factor in enumerate(reversed(net.jacobians(inputs[:, row])), start=1):
            product = product @ factor
            expected[row, lag] = math.log(float(np.linalg.norm(product)))
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = ((found["log_frobenius"] - expected) / found["log_errors"])[:, 1:]
    squares = np.where(np.isnan(scores), np.inf, scores * scores).mean(axis=0)
    # What is stated must fall with the number of probes: for a matrix of rank one by 1/√(2 · 32).
    largest = float(np.nan_to_num(found["log_errors"][:, 1:], nan=np.inf).mean())
    return Evidence(
        (
            compare_interval("mean square score at each lag", squares, 0.3, 3.0, UNIT, axes=("lag",)),
            compare_number("mean stated error", largest, 0.02, 0.2, UNIT),
        )
    )
