"""Array libraries of targets: how arrays are made, laid out and differentiated.

Arrays are Any here: a library need not be installed, and each has a type of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from dynprop.arrays import NumericArray, dtype_name, to_numpy
from dynprop.errors import ArgumentError, TargetError
from dynprop.extras import missing_extra
from dynprop.subjects.calls import attributed
from dynprop.wording import error_text

__all__ = ["FRAMEWORKS", "Framework", "framework_named"]

Loss = Callable[[Mapping[str, Any]], Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Framework(Protocol):
    """An array library behind the interface that adapters need."""

    name: str
    dtypes: tuple[str, ...]
    differentiable: bool
    compiles: bool  # every new shape, so that few are drawn
    has_layouts: bool  # that a caller can choose
    thread_counts: tuple[int, ...]
    modes: tuple[str, ...]  # gradient modes, the usual one first

    def array(self, values: NumericArray, dtype: str) -> Any:
        """Return a fresh array of a dtype; integers and booleans keep their own."""
        ...

    def setting(self, dtype: str) -> AbstractContextManager[Any]:
        """Return the context in which targets of this dtype are called."""
        ...

    def gradients(
        self, loss: Loss, arrays: Mapping[str, Any], wrt: Sequence[str], held: Mapping[str, Any] = NOTHING
    ) -> dict[str, NumericArray]:
        """Return the gradients of a scalar loss to named arrays; zero where it does not depend.

        Args:
            loss: takes the arrays.
            arrays: by name.
            wrt: names of the arrays to whose values the loss is differentiated.
            held: arrays, by name, that the loss uses without being given them, such as the parameters of a
                torch module; it is differentiated to them too.
        """
        ...

    def layouts(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield arrays with the same values in other memory layouts."""
        ...

    def expanded(self, value: Any, axis: int) -> Any:
        """Return an array that is constant along an axis as a view of stride 0 there."""
        ...

    def gradient_mode(self, mode: str) -> AbstractContextManager[Any]:
        """Return the context of a gradient mode."""
        ...

    def require_gradient(self, value: Any) -> None:
        """Mark a fresh array as one that requires a gradient, where the library knows such marks."""
        ...

    def metadata(self, value: Any) -> tuple[object, ...]:
        """Return the metadata that a call must not change: shape, layout, dtype, flags."""
        ...

    def threads(self, count: int) -> AbstractContextManager[None]:
        """Run with this many threads inside the context."""
        ...

    def seed(self, seed: int) -> None:
        """Seed the library's global random numbers."""
        ...

    def random_number(self) -> float | None:
        """Draw from the library's global random numbers, if it has any."""
        ...

    def device_of(self, value: Any) -> str:
        """Name the device of an array."""
        ...

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Return the context of calls for inference."""
        ...

    def settings(self) -> dict[str, object]:
        """Return the global settings and generators of the library, which a call must leave as they are."""
        ...


def _not_imported(name: str, error: ImportError) -> TargetError:
    """Return the error for a library that cannot be imported; it names the extra if it is missing."""
    missing = missing_extra(error, f"framework {name}")
    return TargetError(
        f"framework {name}: its import raised {error_text(error)}" if missing is None else str(missing)
    )


def _dtype_for(values: NumericArray, dtype: str) -> str:
    """Return the dtype of an array: the format for reals, its complex partner for complex values."""
    if np.iscomplexobj(values):
        return "complex128" if dtype == "float64" else "complex64"
    return dtype if np.issubdtype(values.dtype, np.floating) else str(values.dtype)


class NumpyFramework:
    """numpy: no gradients, many layouts."""

    name = "numpy"
    dtypes: tuple[str, ...] = ("float64", "float32")
    differentiable = False
    compiles = False
    has_layouts = True
    thread_counts: tuple[int, ...] = ()
    modes: tuple[str, ...] = ()

    def __init__(self, device: str = "cpu") -> None:
        """Numpy knows one device."""
        if device != "cpu":
            raise ArgumentError("device", repr(device), "'cpu', the only one of numpy")

    def array(self, values: NumericArray, dtype: str) -> Any:
        """Return a fresh C-ordered array."""
        return np.array(values, dtype=_dtype_for(values, dtype), order="C")

    def setting(self, dtype: str) -> AbstractContextManager[Any]:
        """Silence numpy's floating-point warnings, which are the target's business."""
        return np.errstate(all="ignore")

    def gradients(
        self, loss: Loss, arrays: Mapping[str, Any], wrt: Sequence[str], held: Mapping[str, Any] = NOTHING
    ) -> dict[str, NumericArray]:
        """Numpy has no automatic differentiation."""
        raise NotImplementedError("numpy has no automatic differentiation")

    def layouts(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield strided, transposed, reversed and read-only arrays."""
        yield "strided", np.repeat(value, 2, axis=1)[:, ::2]
        yield "Fortran-ordered", np.asfortranarray(value)
        yield "transposed", np.ascontiguousarray(np.swapaxes(value, 0, 1)).swapaxes(0, 1)
        yield "negatively strided", value[:, ::-1].copy()[:, ::-1]
        locked = value.copy()
        locked.flags.writeable = False
        yield "read-only", locked

    def expanded(self, value: Any, axis: int) -> Any:
        """Return a broadcast view, which is read-only."""
        return np.broadcast_to(value.take([0] if value.shape[axis] else [], axis), value.shape)

    def gradient_mode(self, mode: str) -> AbstractContextManager[Any]:
        """Nothing to set."""
        return nullcontext()

    def require_gradient(self, value: Any) -> None:
        """The library marks no arrays."""

    def metadata(self, value: Any) -> tuple[object, ...]:
        """Return shape, strides, dtype and writability."""
        return (value.shape, value.strides, str(value.dtype), bool(value.flags.writeable))

    def threads(self, count: int) -> AbstractContextManager[None]:
        """Numpy has no thread setting."""
        return nullcontext()

    def seed(self, seed: int) -> None:
        """Seed numpy's legacy global generator, which targets may still use."""
        np.random.seed(seed)  # noqa: NPY002  (the target's global state, not ours)

    def random_number(self) -> float | None:
        """Draw from numpy's legacy global generator."""
        return float(np.random.random())  # noqa: NPY002  (the target's global state, not ours)

    def device_of(self, value: Any) -> str:
        """Name the only device."""
        return "cpu"

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Numpy has no gradients."""
        return nullcontext()

    def settings(self) -> dict[str, object]:
        """Numpy's own are looked at whatever the library is: ``dynprop.kinds.layer.side_effects``."""
        return {}


class TorchFramework:
    """PyTorch."""

    name = "torch"
    dtypes: tuple[str, ...] = ("float64", "float32", "bfloat16")
    differentiable = True
    compiles = False
    has_layouts = True
    thread_counts: tuple[int, ...] = (1, 2, 3)
    modes: tuple[str, ...] = ("grad", "no_grad", "inference_mode")

    def __init__(self, device: str = "cpu") -> None:
        """Check that torch is installed and has the device."""
        try:
            import torch
        except ImportError as error:
            raise _not_imported("torch", error) from error
        self._torch = torch
        try:
            self._device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            line = str(error).splitlines()[0]
            raise ArgumentError("device", repr(device), f"a device of this torch ({line})") from error

    def array(self, values: NumericArray, dtype: str) -> Any:
        """Return a fresh contiguous tensor on the device."""
        native_dtype = getattr(self._torch, _dtype_for(values, dtype))
        return self._torch.from_numpy(np.array(values, order="C")).to(self._device, native_dtype)

    def setting(self, dtype: str) -> AbstractContextManager[Any]:
        """Nothing to set."""
        return nullcontext()

    def gradients(
        self, loss: Loss, arrays: Mapping[str, Any], wrt: Sequence[str], held: Mapping[str, Any] = NOTHING
    ) -> dict[str, NumericArray]:
        """Differentiate once; an unused leaf has gradient zero."""
        # A clone would lose strides of 0 and steps, so that other layouts are used as they are.
        leaves = {n: (a.detach().clone() if a.is_contiguous() else a.detach()) for n, a in arrays.items()}
        for name, leaf in leaves.items():
            leaf.requires_grad_(name in wrt)
        total = loss(leaves)
        sought = {**{name: leaves[name] for name in wrt}, **held}
        gradients: Sequence[Any] = [None] * len(sought)
        if total.requires_grad:
            with attributed():
                gradients = self._torch.autograd.grad(total, list(sought.values()), allow_unused=True)
        zero = self._torch.zeros_like
        return {
            name: to_numpy(zero(array) if grad is None else grad)
            for (name, array), grad in zip(sought.items(), gradients, strict=True)
        }

    def layouts(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield strided, transposed and channel-first tensors."""
        yield "strided", value.repeat_interleave(2, dim=1)[:, ::2]
        yield "transposed", value.transpose(0, 1).contiguous().transpose(0, 1)
        if value.ndim > 2:
            yield "channel-first", value.transpose(1, 2).contiguous().transpose(1, 2)
        yield "offset", self._torch.cat([value[:1], value])[1:]

    def expanded(self, value: Any, axis: int) -> Any:
        """Return an expanded view."""
        return value.narrow(axis, 0, min(1, value.shape[axis])).expand(value.shape)

    def gradient_mode(self, mode: str) -> AbstractContextManager[Any]:
        """Return torch.no_grad, torch.inference_mode, or the usual mode."""
        if mode == "no_grad":
            return self._torch.no_grad()
        return self._torch.inference_mode() if mode == "inference_mode" else self._torch.enable_grad()

    def require_gradient(self, value: Any) -> None:
        """Set requires_grad on a tensor."""
        value.requires_grad_()

    def metadata(self, value: Any) -> tuple[object, ...]:
        """Return shape, strides, dtype and whether a gradient is wanted."""
        return (tuple(value.shape), value.stride(), str(value.dtype), value.requires_grad)

    @contextmanager
    def threads(self, count: int) -> Iterator[None]:
        """Set the number of intra-op threads for a while."""
        before = self._torch.get_num_threads()
        self._torch.set_num_threads(count)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)

    def seed(self, seed: int) -> None:
        """Seed torch's global generators; on the CPU its own alone: absent devices cost 0.3 ms a call."""
        if self._device.type == "cpu":
            self._torch.default_generator.manual_seed(seed)
        else:
            self._torch.manual_seed(seed)

    def random_number(self) -> float | None:
        """Draw from torch's global generator."""
        return float(self._torch.rand(()))

    def device_of(self, value: Any) -> str:
        """Name the device of a tensor."""
        return str(value.device)

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Return torch.no_grad()."""
        context: AbstractContextManager[Any] = self._torch.no_grad()
        return context

    def settings(self) -> dict[str, object]:
        """Return default dtype, grad mode, threads, switches of algorithms, and the generator's state."""
        torch = self._torch
        return {
            "torch's default dtype": torch.get_default_dtype(),
            "torch's grad mode": torch.is_grad_enabled(),
            "torch's inference mode": torch.is_inference_mode_enabled(),
            "torch's number of threads": torch.get_num_threads(),
            "torch's anomaly mode": torch.is_anomaly_enabled(),
            "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "torch's precision of products": torch.get_float32_matmul_precision(),
            "torch's random numbers": torch.get_rng_state().numpy().tobytes(),
        }


class JaxFramework:
    """JAX; float64 cases run under its x64 setting."""

    name = "jax"
    dtypes: tuple[str, ...] = ("float64", "float32")
    differentiable = True
    compiles = True
    has_layouts = False
    thread_counts: tuple[int, ...] = ()
    modes: tuple[str, ...] = ()

    def __init__(self, device: str = "cpu") -> None:
        """Check that jax is installed and has the device."""
        try:
            import jax
        except ImportError as error:
            raise _not_imported("jax", error) from error
        self._jax = jax
        try:
            self._device = jax.devices(device)[0]
        except RuntimeError as error:
            raise ArgumentError("device", repr(device), f"a device of this jax ({error})") from error

    def array(self, values: NumericArray, dtype: str) -> Any:
        """Return a device array."""
        native_dtype = _dtype_for(values, dtype)
        with self._jax.enable_x64(True):
            on_device = self._jax.device_put(self._jax.numpy.asarray(values), self._device)
            return on_device.astype(native_dtype)

    def setting(self, dtype: str) -> AbstractContextManager[Any]:
        """Switch x64 on for numbers of 64 bits only."""
        context: AbstractContextManager[Any] = self._jax.enable_x64(dtype in ("float64", "int64"))
        return context

    def gradients(
        self, loss: Loss, arrays: Mapping[str, Any], wrt: Sequence[str], held: Mapping[str, Any] = NOTHING
    ) -> dict[str, NumericArray]:
        """Differentiate with jax.grad; its functions are given whatever they are differentiated to."""
        if held:
            raise NotImplementedError("jax differentiates to the arrays that a function takes, and no others")
        fixed = {n: a for n, a in arrays.items() if n not in wrt}

        def total(leaves: Mapping[str, Any]) -> Any:
            return loss({**fixed, **leaves})

        with attributed():
            gradients = self._jax.grad(total)({n: arrays[n] for n in wrt})
        return {name: to_numpy(gradients[name]) for name in wrt}

    def layouts(self, value: Any) -> Iterator[tuple[str, Any]]:
        """JAX arrays have no layout that a caller can set."""
        return iter(())

    def expanded(self, value: Any, axis: int) -> Any:
        """JAX arrays have no strides."""
        return value

    def gradient_mode(self, mode: str) -> AbstractContextManager[Any]:
        """Nothing to set."""
        return nullcontext()

    def require_gradient(self, value: Any) -> None:
        """The library marks no arrays."""

    def metadata(self, value: Any) -> tuple[object, ...]:
        """Return shape and dtype."""
        return (tuple(value.shape), dtype_name(value))

    def threads(self, count: int) -> AbstractContextManager[None]:
        """JAX has no thread setting."""
        return nullcontext()

    def seed(self, seed: int) -> None:
        """JAX has no global random state."""

    def random_number(self) -> float | None:
        """JAX has no global random state."""
        return None

    def device_of(self, value: Any) -> str:
        """Name the device of an array."""
        return str(next(iter(value.devices())))

    def without_gradients(self) -> AbstractContextManager[Any]:
        """A call of jax carries no gradient unless it is differentiated."""
        return nullcontext()

    def settings(self) -> dict[str, object]:
        """Return the switch to float64 and the precision of products."""
        config = self._jax.config
        return {
            "jax's float64 switch": config.jax_enable_x64,
            "jax's precision of products": config.jax_default_matmul_precision,
        }


FRAMEWORKS: dict[str, type[NumpyFramework] | type[TorchFramework] | type[JaxFramework]] = {
    "numpy": NumpyFramework,
    "torch": TorchFramework,
    "jax": JaxFramework,
}


def framework_named(name: str, device: str = "cpu") -> Framework:
    """Return the framework of this name on a device.

    Raises:
        ArgumentError: an unknown name or device.
        TargetError: the library is not installed.
    """
    if name not in FRAMEWORKS:
        raise ArgumentError("framework", repr(name), f"one of {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[name](device)
