"""Modules of torch as chains of steps: a recorded call, recurrent parts in it, their steps."""
