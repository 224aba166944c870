"""Scans that misbehave in every way that a target can, each with what a check of it should come to.

Each function is a scan that is right, unless it says otherwise by what it does first.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import ctypes
import gc
import inspect
import json
import math
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

Scan = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Expected:
    """What a check should come to.

    Attributes:
        status: the exit status.
        part: a part of what is printed.
        law: the law that judges it.
    """

    status: int
    part: str
    law: str = "shape-and-dtype"


TARGETS: dict[str, Expected] = {}


def comes_to(status: int, part: str = "", law: str = "shape-and-dtype") -> Callable[[Scan], Scan]:
    """Register a target with the exit status of its check and a part of what is printed."""

    def register(scan: Scan) -> Scan:
        TARGETS[scan.__name__] = Expected(status, part or "pass: 1 law holds", law)
        return scan

    return register


def right(gates: Any, inputs: Any, initial: Any = None) -> Any:
    states, state = np.empty_like(inputs), initial
    for t in range(inputs.shape[1]):
        state = inputs[:, t] if state is None else gates[:, t] * state + inputs[:, t]
        states[:, t] = state
    return states


# What it raises.


class TextRaises(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class TextInterrupts(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class TextIsNoText(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # what is tested


class TextRecurses(Exception):
    def __str__(self) -> str:
        return str(self)


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("held")
        self.held = lambda: None

    def __reduce__(self) -> NoReturn:
        raise TypeError("not to be pickled")


class NameRaises(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # what is tested
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=NameRaises):
    pass


class ClassLies(Exception):
    @property
    def __class__(self) -> Any:
        return ValueError

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class OfItsOwn(BaseException):
    pass


def raising(name: str, make: Callable[[], BaseException], part: str) -> None:
    def scan(gates: Any, inputs: Any, initial: Any) -> Any:
        raise make()

    scan.__name__ = scan.__qualname__ = name
    globals()[name] = comes_to(1, part)(scan)


def chained() -> BaseException:
    first, second = ValueError("first"), RuntimeError("second of a circle")
    first.__cause__, second.__cause__ = second, first
    return second


raising("text_raises", TextRaises, "TextRaises (its text cannot be read: ValueError)")
raising("text_interrupts", TextInterrupts, "TextInterrupts (its text cannot be read: KeyboardInterrupt)")
raising("text_is_no_text", TextIsNoText, "TextIsNoText (its text cannot be read: TypeError)")
raising("text_recurses", TextRecurses, "TextRecurses (its text cannot be read: RecursionError)")
raising(
    "repr_raises",
    lambda: ValueError(NoRepr(), NoRepr()),
    "ValueError (its text cannot be read: RuntimeError)",
)
raising("unpicklable", Unpicklable, "Unpicklable: held")
raising("nameless", Nameless, "Nameless")
raising("class_lies", ClassLies, "ClassLies")
raising("interrupts", KeyboardInterrupt, "KeyboardInterrupt")
raising("exits", lambda: SystemExit(3), "SystemExit: 3")
raising("exits_with_text", lambda: SystemExit("goodbye"), "SystemExit: goodbye")
raising("closes_the_generator", GeneratorExit, "GeneratorExit")
raising("of_its_own", lambda: OfItsOwn("mine"), "OfItsOwn: mine")
raising("stops_iteration", lambda: StopIteration(1), "StopIteration: 1")
raising("cancelled", asyncio.CancelledError, "CancelledError")
raising("group", lambda: ExceptionGroup("many", [ValueError("a")]), "ExceptionGroup: many")
raising("lone_surrogate", lambda: RuntimeError("half \udc80 of it"), r"half \udc80 of it")
raising("colours", lambda: RuntimeError("\x1b[31mred\x07\x00"), r"\x1b[31mred\x07\x00")
raising("many_lines", lambda: RuntimeError("first\n" + "x\n" * 99_999 + "the last line"), "first ...")
raising("last_line", lambda: RuntimeError("first\nmiddle\nthe last line"), "first ... the last line")
raising("long_word", lambda: RuntimeError("x" * 5_000_000), "xxx ... xxx")
raising("long_name", lambda: type("E" * 100_000, (Exception,), {})("long"), "EEE ... EEE")
raising("no_text", AssertionError, "AssertionError")
raising("chained_in_a_circle", chained, "second of a circle")
raising("out_of_memory", MemoryError, "MemoryError")
raising("a_warning", lambda: RuntimeWarning("raised"), "RuntimeWarning: raised")
raising("bytes_in_it", lambda: RuntimeError(b"\xff\x00"), "RuntimeError")


@comes_to(1, "RecursionError")
def recurses(gates: Any, inputs: Any, initial: Any) -> Any:
    return recurses(gates, inputs, initial)


@comes_to(1, "rror")
def takes_all_memory(gates: Any, inputs: Any, initial: Any) -> Any:
    resource.setrlimit(resource.RLIMIT_AS, (2**32, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return right(gates, inputs, initial) + np.ones(2**32)[0]


# What it does to its process.


@comes_to(0, law="memory-layout")
def forks(gates: Any, inputs: Any, initial: Any) -> Any:
    os.fork()
    return right(gates, inputs, initial)


@comes_to(0)
def forks_and_raises(gates: Any, inputs: Any, initial: Any) -> Any:
    if os.fork() == 0:
        raise RuntimeError("the copy")
    return right(gates, inputs, initial)


@comes_to(0)
def forks_with_patches(gates: Any, inputs: Any, initial: Any) -> Any:
    os.getpid = lambda: 1
    os._exit = os.getpid  # type: ignore[assignment]  # what is tested
    os.fork()
    return right(gates, inputs, initial)


@comes_to(1, "ended by SIGSEGV")
def segfaults(gates: Any, inputs: Any, initial: Any) -> Any:
    return ctypes.string_at(0)


@comes_to(1, "ended by SIGABRT")
def aborts(gates: Any, inputs: Any, initial: Any) -> Any:
    os.abort()


@comes_to(1, "ended by SIGKILL (out of memory?)")
def kills_itself(gates: Any, inputs: Any, initial: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


@comes_to(1, "ended by SIGTERM")
def terminates_itself(gates: Any, inputs: Any, initial: Any) -> Any:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60.0)


@comes_to(1, "ended with exit status 0")
def ends_as_if_well(gates: Any, inputs: Any, initial: Any) -> Any:
    os._exit(0)


@comes_to(1, "ended with exit status 1")
def ends_badly(gates: Any, inputs: Any, initial: Any) -> Any:
    os._exit(1)


@comes_to(1, "ended by SIGALRM")
def sets_an_alarm(gates: Any, inputs: Any, initial: Any) -> Any:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(60.0)


@comes_to(1, "no answer within 0.3 s")
def sleeps(gates: Any, inputs: Any, initial: Any) -> Any:
    time.sleep(600.0)


@comes_to(1, "no answer within 0.3 s")
def ignores_signals(gates: Any, inputs: Any, initial: Any) -> Any:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600.0)


@comes_to(1, "ended with exit status 7")
def leaves_a_process(gates: Any, inputs: Any, initial: Any) -> Any:
    if os.fork() == 0:
        time.sleep(600.0)
    os._exit(7)


@comes_to(0)
def starts_a_process(gates: Any, inputs: Any, initial: Any) -> Any:
    subprocess.Popen(["sleep", "600"])
    return right(gates, inputs, initial)


@comes_to(1, "the pipe on which its results are")
def closes_descriptors(gates: Any, inputs: Any, initial: Any) -> Any:
    os.closerange(3, 256)
    return right(gates, inputs, initial)


@comes_to(1, "the pipe on which its results are")
def takes_the_descriptors(gates: Any, inputs: Any, initial: Any) -> Any:
    os.closerange(3, 256)
    for _ in range(20):
        os.open(os.devnull, os.O_RDWR)
    return right(gates, inputs, initial)


@comes_to(1, "the pipe on which its results are")
def writes_to_descriptors(gates: Any, inputs: Any, initial: Any) -> Any:
    for descriptor in range(3, 64):
        with suppress(OSError):
            os.write(descriptor, b"garbage " * 4)
    return right(gates, inputs, initial)


@comes_to(0)
def closes_its_streams(gates: Any, inputs: Any, initial: Any) -> Any:
    for descriptor in range(3):
        with suppress(OSError):
            os.close(descriptor)
    return right(gates, inputs, initial)


@comes_to(0)
def has_no_streams(gates: Any, inputs: Any, initial: Any) -> Any:
    sys.stdout = sys.stderr = None
    return right(gates, inputs, initial)


@comes_to(0)
def leaves_for_a_folder_that_goes(gates: Any, inputs: Any, initial: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        return right(gates, inputs, initial)


@comes_to(0)
def clears_the_environment(gates: Any, inputs: Any, initial: Any) -> Any:
    os.environ.clear()
    return right(gates, inputs, initial)


@comes_to(0)
def sets_handlers(gates: Any, inputs: Any, initial: Any) -> Any:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *given: os._exit(9))
    return right(gates, inputs, initial)


@comes_to(0)
def leads_a_session(gates: Any, inputs: Any, initial: Any) -> Any:
    with suppress(OSError):
        os.setsid()
    return right(gates, inputs, initial)


@comes_to(0, law="lengths")
def has_no_files(gates: Any, inputs: Any, initial: Any) -> Any:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return right(gates, inputs, initial)


@comes_to(0)
def has_threads(gates: Any, inputs: Any, initial: Any) -> Any:
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(600.0,)).start()
    return right(gates, inputs, initial)


@comes_to(0)
def has_a_thread_that_prints(gates: Any, inputs: Any, initial: Any) -> Any:
    threading.Thread(target=lambda: [print("." * 1000) for _ in iter(int, 1)], daemon=True).start()
    return right(gates, inputs, initial)


@comes_to(0)
def prints_at_exit(gates: Any, inputs: Any, initial: Any) -> Any:
    atexit.register(time.sleep, 600.0)
    atexit.register(print, "bye" * 1000)
    return right(gates, inputs, initial)


# What it prints.


@comes_to(0, "bytes more, which are not shown")
def prints_much(gates: Any, inputs: Any, initial: Any) -> Any:
    os.write(1, b"noise " * 2_000_000)
    return right(gates, inputs, initial)


@comes_to(0, r"\xff\xfe\x1b[2J")
def prints_bytes(gates: Any, inputs: Any, initial: Any) -> Any:
    os.write(2, b"\xff\xfe\x1b[2J\x00")
    return right(gates, inputs, initial)


@comes_to(1, "UnicodeEncodeError")
def prints_a_surrogate(gates: Any, inputs: Any, initial: Any) -> Any:
    "\udc80".encode()
    return right(gates, inputs, initial)


# What it replaces.


def evil(*given: Any, **named: Any) -> NoReturn:
    raise RuntimeError("replaced")


def replacing(name: str, *places: tuple[Any, str], value: Any = evil) -> None:
    def scan(gates: Any, inputs: Any, initial: Any) -> Any:
        states = right(gates, inputs, initial)
        for module, attribute in places:
            setattr(module, attribute, value)
        return states

    scan.__name__ = scan.__qualname__ = name
    globals()[name] = comes_to(0, law="lengths")(scan)


numpy_names = ("abs", "where", "isfinite", "asarray", "zeros", "array", "errstate", "broadcast_to")
replacing("replaces_numpy", *((np, name) for name in numpy_names))
replacing("passes_everything", (np, "abs"), value=lambda values: 0.0 * np.asarray(values))
replacing("replaces_linalg", (np.linalg, "norm"), (np.random, "default_rng"), (np.random, "seed"))
replacing("replaces_json", (json, "dumps"), (json, "loads"))
replacing("replaces_pickle", (pickle, "dumps"), (pickle, "loads"), value=None)
replacing("replaces_writing", (os, "write"), (os, "fstat"), (os, "getpid"))
replacing("replaces_streams", (sys, "stdout"), (sys, "stderr"), value=object())
replacing("replaces_time", (time, "monotonic"), (time, "perf_counter"), value=lambda: "noon")
replacing("replaces_math", (math, "isfinite"), (math, "frexp"))
replacing("replaces_builtins", (builtins, "len"), (builtins, "isinstance"), (builtins, "max"))
replacing("replaces_imports", (builtins, "__import__"), (builtins, "open"), (builtins, "print"))


@comes_to(1, "got ", law="lengths")
def wrong_and_replaces_comparison(gates: Any, inputs: Any, initial: Any) -> Any:
    np.abs = lambda values: np.zeros(np.shape(values))  # type: ignore[assignment]  # what is tested
    return 2.0 * right(gates, inputs, initial) + 1.0


@comes_to(0)
def deletes_names(gates: Any, inputs: Any, initial: Any) -> Any:
    for module, name in ((np, "where"), (json, "dumps"), (builtins, "sorted")):
        if hasattr(module, name):
            delattr(module, name)
    return right(gates, inputs, initial)


@comes_to(0)
def adds_names(gates: Any, inputs: Any, initial: Any) -> Any:
    np.mine = float  # type: ignore[attr-defined]  # what is tested
    return right(gates, inputs, initial)


@comes_to(0)
def needs_what_it_replaced(gates: Any, inputs: Any, initial: Any) -> Any:
    if not hasattr(np.abs, "mine"):
        np.abs = type("Abs", (), {"mine": 1, "__call__": staticmethod(np.absolute)})()
    assert np.abs.mine
    return right(gates, inputs, initial)


@comes_to(0)
def turns_warnings_into_errors(gates: Any, inputs: Any, initial: Any) -> Any:
    warnings.simplefilter("error")
    np.seterr(all="raise")
    with np.errstate(all="ignore"):
        return right(gates, inputs, initial)


@comes_to(0)
def forgets_its_path(gates: Any, inputs: Any, initial: Any) -> Any:
    sys.path.clear()
    sys.path_hooks.clear()
    return right(gates, inputs, initial)


@comes_to(0)
def forgets_its_modules(gates: Any, inputs: Any, initial: Any) -> Any:
    states = right(gates, inputs, initial)
    for name in [name for name in sys.modules if name.startswith(("numpy", "json", "dynprop", "hypothesis"))]:
        del sys.modules[name]
    return states


@comes_to(0)
def limits_recursion(gates: Any, inputs: Any, initial: Any) -> Any:
    states = right(gates, inputs, initial)
    sys.setrecursionlimit(len(inspect.stack(0)) + 20)
    return states


@comes_to(0)
def traces(gates: Any, inputs: Any, initial: Any) -> Any:
    sys.settrace(lambda *given: None)
    threading.excepthook = evil
    sys.excepthook = evil
    gc.disable()
    return right(gates, inputs, initial)


# What it returns.


class AttributesRaise:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no attribute {name}")


class ClaimsToBeAnArray:
    @property
    def __class__(self) -> Any:
        return np.ndarray

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class ShapeRaises(np.ndarray):
    @property  # type: ignore[misc]  # what is tested
    def shape(self) -> Any:
        raise OfItsOwn("no shape")


class ShapeLies(np.ndarray):
    @property  # type: ignore[misc]  # what is tested
    def shape(self) -> Any:
        return (7, 7, 7)


class DtypeLies(np.ndarray):
    @property
    def dtype(self) -> Any:
        return np.dtype("int8")


class FunctionsRaise(np.ndarray):
    def __array_ufunc__(self, *given: Any, **named: Any) -> NoReturn:
        raise RuntimeError("no function")

    def __array_function__(self, *given: Any, **named: Any) -> NoReturn:
        raise RuntimeError("no function")


class FinalizeRaises(np.ndarray):
    def __array_finalize__(self, other: Any) -> None:
        if not isinstance(other, np.ndarray) or isinstance(other, FinalizeRaises):
            raise RuntimeError("not to be copied")


class ReprOfItRaises:
    def __repr__(self) -> str:
        raise KeyboardInterrupt


def returning(
    name: str, status: int, part: str, change: Callable[[Any], Any], law: str = "shape-and-dtype"
) -> None:
    def scan(gates: Any, inputs: Any, initial: Any) -> Any:
        return change(right(gates, inputs, initial))

    scan.__name__ = scan.__qualname__ = name
    globals()[name] = comes_to(status, part, law)(scan)


returning("attributes_raise", 2, "no attribute", lambda y: AttributesRaise())
returning("claims_to_be_an_array", 2, "returned", lambda y: ClaimsToBeAnArray())
returning("repr_of_it_raises", 2, "its repr raises KeyboardInterrupt", lambda y: ReprOfItRaises())
returning("shape_raises", 1, "OfItsOwn: no shape", lambda y: y.view(ShapeRaises), "lengths")
returning("shape_lies", 1, "of shape (7, 7, 7)", lambda y: y.view(ShapeLies), "lengths")
returning("dtype_lies", 1, "int8", lambda y: y.view(DtypeLies))
returning("functions_raise", 0, "", lambda y: y.view(FunctionsRaise))
returning("finalize_raises", 0, "", lambda y: y.view(FinalizeRaises))
returning("objects", 1, "object", lambda y: y.astype(object))
returning(
    "objects_that_raise",
    1,
    "returned an array of dtype object, expected numbers",
    lambda y: np.full(y.shape, ReprOfItRaises(), dtype=object),
    "lengths",
)
returning("texts", 1, "<U32", lambda y: y.astype("U32"))
returning("records", 1, "dtype", lambda y: np.zeros(y.shape, dtype=[("a", "f8")]))
returning("times", 1, "datetime64", lambda y: np.zeros(y.shape, dtype="datetime64[s]"))
returning("nothing", 2, "returned NoneType None", lambda y: None)
returning("a_generator", 2, "returned generator", lambda y: (state for state in y))
returning("itself", 2, "returned function", lambda y: right)
returning(
    "enormous", 1, "1099511627776", lambda y: np.broadcast_to(y[..., None], (*y.shape, 2**40)), "lengths"
)
