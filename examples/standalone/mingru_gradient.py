"""minGRU-pytorch 0.2.1: the gradient of a whole call (log space) against that of the single steps.

Both are the package's own forms of one function. The outputs agree; d y_T / d x_(T-k) does not
from about k = 15 on in float32, because the gate gradients of the log-space form cancel.
"""

import torch
from minGRU_pytorch import minGRU

LENGTH = 64


def whole(layer, x):
    return layer(x)


def steps(layer, x):
    state, outputs = None, []
    for x_t in x.unbind(1):
        y_t, state = layer(x_t[:, None], state, return_next_prev_hidden=True)
        outputs.append(y_t)
    return torch.cat(outputs, 1)


def run(form, dtype):
    torch.manual_seed(0)
    layer = minGRU(8).to(dtype)
    x = torch.randn(1, LENGTH, 8).to(dtype).requires_grad_()
    y = form(layer, x)
    (gradient,) = torch.autograd.grad(y[0, -1].sum(), x)
    return y.detach().double(), gradient[0].flip(0).double()  # index = lag


y_true, exact = run(steps, torch.float64)
for name, form, dtype in (
    ("whole call, float32", whole, torch.float32),
    ("its steps,  float32", steps, torch.float32),
    ("whole call, float64", whole, torch.float64),
):
    y, gradient = run(form, dtype)
    print(f"{name}: outputs differ by {(y - y_true).abs().max():.1e}")
    print("  gradient, relative error by lag")
    errors = (gradient - exact).norm(dim=1) / exact.norm(dim=1)
    print("   ", ", ".join(f"{lag}: {errors[lag]:.1e}" for lag in (0, 5, 10, 15, 20, 30, 60)))
print("true gradient norm by lag")
print("   ", ", ".join(f"{lag}: {exact[lag].norm():.1e}" for lag in (0, 5, 10, 15, 20, 30, 60)))

# Output:
#
# whole call, float32: outputs differ by 4.4e-06
#   gradient, relative error by lag
#     0: 1.5e-06, 5: 6.7e-05, 10: 7.9e-04, 15: 2.2e-02, 20: 1.6e-01, 30: 1.4e+03, 60: 8.2e+11
# its steps,  float32: outputs differ by 1.3e-07
#   gradient, relative error by lag
#     0: 1.2e-07, 5: 2.6e-07, 10: 2.6e-07, 15: 2.2e-07, 20: 2.8e-07, 30: 6.6e-07, 60: 3.2e-07
# whole call, float64: outputs differ by 6.9e-15
#   gradient, relative error by lag
#     0: 3.8e-15, 5: 8.0e-14, 10: 7.6e-13, 15: 2.4e-11, 20: 1.5e-10, 30: 1.0e-06, 60: 1.0e+03
# true gradient norm by lag
#     0: 7.4e-01, 5: 1.1e-02, 10: 1.4e-03, 15: 3.4e-05, 20: 5.3e-06, 30: 7.7e-10, 60: 1.0e-18
