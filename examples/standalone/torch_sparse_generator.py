"""torch 2.13.0, nn.init.sparse_: the places of the zeros do not come from the generator that is given."""

import torch

for seed in (1, 2):
    torch.manual_seed(seed)  # the global generator, which should not matter
    generator = torch.Generator().manual_seed(0)
    weights = torch.nn.init.sparse_(torch.empty(6, 4), 0.5, generator=generator)
    print("zeros of the first column:", torch.where(weights[:, 0] == 0)[0].tolist())

# Output:
#
# zeros of the first column: [1, 2, 5]
# zeros of the first column: [0, 1, 3]
