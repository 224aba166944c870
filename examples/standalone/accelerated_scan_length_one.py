"""accelerated-scan 0.3.1, ref.scan: raises at length 1 (and at no other length)."""

import torch
from accelerated_scan.ref import scan

for length in (0, 1, 2, 3):
    gates, tokens = torch.rand(2, 1, 1, length).unbind()  # (batch, channel, time)
    try:
        print(f"length {length}: result of shape {tuple(scan(gates, tokens).shape)}")
    except RuntimeError as error:
        print(f"length {length}: RuntimeError: {error}")

# Output:
#
# length 0: result of shape (1, 1, 0)
# length 1: RuntimeError: shape '[1, 1, 0, 2]' is invalid for input of size 1
# length 2: result of shape (1, 1, 2)
# length 3: result of shape (1, 1, 3)
