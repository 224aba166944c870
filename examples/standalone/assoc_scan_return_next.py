"""assoc-scan 0.0.6: return_next is accepted and ignored; RuntimeError at length 0.

return_next is in the signature of AssocScan.forward next to prev; no document explains it.
"""

import torch
from assoc_scan import AssocScan

scan = AssocScan()
gates, inputs = torch.rand(2, 1, 4, 3).unbind()  # (batch, time, feature)
for flag in (False, True):
    result = scan(gates, inputs, return_next=flag)
    print(f"return_next={flag}: {type(result).__name__} of shape {tuple(result.shape)}")
for length in (0, 1):
    try:
        states = scan(gates[:, :length], inputs[:, :length])
        print(f"length {length}: result of shape {tuple(states.shape)}")
    except RuntimeError as error:
        print(f"length {length}: RuntimeError: {error}")

# Output:
#
# return_next=False: Tensor of shape (1, 4, 3)
# return_next=True: Tensor of shape (1, 4, 3)
# length 0: RuntimeError: cannot reshape tensor of 0 elements into shape [1, 0, -1] because the
#     unspecified dimension size -1 can be any value and is ambiguous
# length 1: result of shape (1, 1, 3)
