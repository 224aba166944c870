"""LRU-pytorch 0.1.3: a given initial state reaches the first row of the batch only.

The README documents two layouts of the input, (batch, time, feature) and (time, feature); the state
is an argument of forward of which it says nothing. After the first row the module zeroes it.
"""

import torch
from LRU_pytorch import LRU

torch.manual_seed(0)
lru = LRU(4, 4, 6)  # inputs, outputs, state
x = torch.randn(3, 5, 4)  # (batch, time, feature)
state = torch.complex(torch.randn(6), torch.randn(6))

batch = lru(x, state)
for row in range(3):
    alone = lru(x[row], state)  # the package's own form for one sequence, (time, feature)
    print(
        f"row {row}: y[0, 0] in the batch {batch[row, 0, 0]:8.4f}, alone {alone[0, 0]:8.4f}, "
        f"largest difference {(batch[row] - alone).abs().max():.4f}"
    )

# Output:
#
# row 0: y[0, 0] in the batch  -2.5958, alone  -2.5958, largest difference 0.0000
# row 1: y[0, 0] in the batch  -0.5381, alone  -3.7523, largest difference 3.2142
# row 2: y[0, 0] in the batch  -1.2951, alone  -4.5093, largest difference 3.2142
