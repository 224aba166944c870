"""Settings of one test session. The library itself never touches a Hypothesis profile."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Wall-clock deadlines say nothing on a shared machine; slow generation is not an error of a test.
settings.register_profile(
    "dynprop", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# In CI a failure must be the change's fault: the same cases every time, and none from a database.
settings.register_profile("dynprop-ci", settings.get_profile("dynprop"), derandomize=True, database=None)

# CPU seconds of the workers that have ended.
WORKERS = pytest.StashKey[list[float]]()


def pytest_configure(config: pytest.Config) -> None:
    """Load the project's profile, unless the command line names one; let children be interrupted."""
    config.stash[WORKERS] = []
    if not config.getoption("--hypothesis-profile", default=None):
        settings.load_profile("dynprop-ci" if os.environ.get("CI") else "dynprop")
    # A shell ignores SIGINT in what it starts with &, and every child inherits that: tests that interrupt a
    # child would wait in vain. A handler, unlike SIG_IGN, is not inherited.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _server() -> Iterator[None]:
    """A process that has imported what every child of a check imports, to be forked; it ends with the tests.

    Hypothesis takes constants from the modules of this project that are loaded: none but the child's own are.
    """
    from dynprop.check.process.warm import preloaded

    multiprocessing.set_forkserver_preload(preloaded(("scan", "layer"), ("torch",)))
    yield
    server: Any = getattr(multiprocessing.forkserver, "_forkserver")  # noqa: B009  (private: nothing else ends it)
    server._stop()


@pytest.fixture
def warm_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the children of checks from a process that has imported torch, in place of new interpreters.

    A test that reads file descriptors needs children that inherit its own.
    """
    if "capfd" not in request.fixturenames:
        request.getfixturevalue("_server")
        monkeypatch.setattr("dynprop.check.process.isolate.START_METHOD", "forkserver")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker, send the CPU seconds to the coordinator."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["cpu_seconds"] = cpu_seconds()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Count a worker that ends; one that crashed has sent nothing."""
    spent = getattr(node, "workeroutput", {}).get("cpu_seconds", 0.0)
    node.config.stash[WORKERS].append(spent)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the CPU seconds of the session: what does not depend on how busy the machine is."""
    workers = config.stash[WORKERS]
    # The workers are children themselves, and have counted their own.
    own = os.times()
    spent = sum(workers) + own.user + own.system if workers else cpu_seconds()
    terminalreporter.write_line(f"{spent:.0f} CPU seconds in {max(1, len(workers))} test process(es)")


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
