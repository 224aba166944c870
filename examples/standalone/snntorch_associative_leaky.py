"""snntorch 1.0.0, AssociativeLeaky: the state stops taking new writes after about 25 steps.

The class keeps S_t, writes v_t k_t^T into it and decays it by alpha_t per key. Its parallel form
divides each write by a running product of alpha plus 1e-8, so once that product is below 1e-8 a
write counts for nothing, though undivided it would count in full.
"""

import torch
from snntorch._neurons.associative import AssociativeLeaky

torch.manual_seed(0)
layer = AssociativeLeaky(4, d_value=3, d_key=3, num_spiking_neurons=9, use_q_projection=False)
layer.output = False  # return the membrane S_t, not the spikes; not a constructor option in 1.0.0
x = torch.randn(200, 1, 4, requires_grad=True)  # (time, batch, feature)

package = layer(x)
state, states = torch.zeros(1, 3, 3), []
for v, k, alpha in zip(layer.to_v(x), layer.to_k(x), layer.to_alpha(x).sigmoid(), strict=True):
    state = state * alpha[:, None, :] + v[:, :, None] * k[:, None, :]
    states.append(state.flatten(1))
loop = torch.stack(states)

print("largest entry of S_t      package  loop")
for t in (0, 10, 20, 30, 199):
    print(f"t = {t:3d}                {package[t].abs().max():9.4f} {loop[t].abs().max():9.4f}")
for name, y in (("package", package), ("loop", loop)):
    (gradient,) = torch.autograd.grad(y[199].sum(), x, retain_graph=True)
    print(f"d sum(S_199) / d x_199, largest entry, {name}: {gradient[199].abs().max():.4f}")

# Output:
#
# largest entry of S_t      package  loop
# t =   0                   0.2546    0.2546
# t =  10                   0.5942    0.5942
# t =  20                   0.3009    0.4320
# t =  30                   0.1508    0.7387
# t = 199                   0.0000    0.8194
# d sum(S_199) / d x_199, largest entry, package: 0.0000
# d sum(S_199) / d x_199, largest entry, loop: 1.2434
