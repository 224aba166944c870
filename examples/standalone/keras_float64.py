"""keras 3.15.1 on the torch backend: a float64 GRU has single precision inside (keras issue 23704).

keras.ops.matmul of two float64 tensors returns float32; the layer's output is float64 again.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

keras.utils.set_random_seed(0)  # seeds torch too
a = torch.randn(4, 4, dtype=torch.float64)
print("dtype of keras.ops.matmul(float64, float64):", keras.ops.matmul(a, a).dtype)

layer = keras.layers.GRU(8, return_sequences=True, dtype="float64")
x = torch.randn(1, 12, 3, dtype=torch.float64)
whole, state, outputs = layer(x), [torch.zeros(1, 8, dtype=torch.float64)], []
for x_t in x.unbind(1):
    y_t, state = layer.cell(x_t, state)
    outputs.append(y_t)
steps = torch.stack(outputs, 1)
print(f"whole call against the layer's own cell, both {whole.dtype} and {steps.dtype}:")
print(f"largest difference {(whole - steps).abs().max():.1e}")

# Output:
#
# dtype of keras.ops.matmul(float64, float64): torch.float32
# whole call against the layer's own cell, both torch.float64 and torch.float64:
# largest difference 1.9e-08
