"""Imported last by the process from which children are forked, and by no other.

Objects that exist by then are left alone by the garbage collector, which would otherwise search all of torch
in every child.
"""

import gc

gc.collect()
gc.freeze()
