"""Trees of arrays, flattened by the library that made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["flatten", "rebuild"]

Rebuild = Callable[[Sequence[Any]], Any]


def flatten(tree: Any, library: str) -> tuple[list[Any], Any]:
    """Return the leaves of a tree and its structure, for ``rebuild``."""
    if library == "jax":
        import jax

        leaves, spec = jax.tree_util.tree_flatten(tree)
        return list(leaves), spec
    from torch.utils import _pytree

    leaves, spec = _pytree.tree_flatten(tree)
    return list(leaves), spec


def rebuild(leaves: Sequence[Any], spec: Any, library: str) -> Any:
    """Return the tree with these leaves."""
    if library == "jax":
        import jax

        return jax.tree_util.tree_unflatten(spec, list(leaves))
    from torch.utils import _pytree

    return _pytree.tree_unflatten(list(leaves), spec)
