"""Optional libraries: which extra of dynprop brings each, and one line where it is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import lazy_loader  # type: ignore[import-untyped]  # it has neither stubs nor annotations

from dynprop.errors import MissingExtraError

__all__ = ["EXTRAS", "attach", "missing_extra", "needs"]

# Module: the library's name, and the extra.
EXTRAS = {
    "torch": ("PyTorch", "torch"),
    "jax": ("JAX", "jax"),
    "matplotlib": ("Matplotlib", "plots"),
    "distributed": ("dask.distributed", "sweeps"),
    "sklearn": ("scikit-learn", "digits"),
}


def missing_extra(error: ImportError, purpose: str) -> MissingExtraError | None:
    """Return the error that names the extra, if an import failed because an optional library is missing."""
    module = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or isinstance(error, MissingExtraError):
        return error if isinstance(error, MissingExtraError) else None
    return MissingExtraError(purpose, *EXTRAS[module]) if module in EXTRAS else None


@contextmanager
def needs(purpose: str) -> Iterator[None]:
    """Import optional libraries inside the context.

    Args:
        purpose: what needs them, as the subject of a sentence.

    Raises:
        MissingExtraError: one of them is not installed.

    Example:
        >>> with needs("this picture"):
        ...     raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        Traceback (most recent call last):
        dynprop.errors.MissingExtraError: this picture needs Matplotlib, which is not installed: \
pip install 'dynprop[plots]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_extra(error, purpose)
        if missing is None:
            raise
        raise missing from error


def attach(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names are loaded on first use.

    Args:
        package: ``__name__`` of the package.
        file: its ``__file__``; the stub beside it lists the names.
    """
    found, directory, names = lazy_loader.attach_stub(package, file)

    def loaded(name: str) -> object:
        with needs(f"{package}.{name}"):
            return found(name)

    return loaded, directory, names
