"""Settings of one test session. The library itself never touches a Hypothesis profile."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Wall-clock deadlines say nothing on a shared machine; slow generation is not an error of a test.
settings.register_profile(
    "dynprop", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# In CI a failure must be the change's fault: the same cases every time, and none from a database.
settings.register_profile("dynprop-ci", settings.get_profile("dynprop"), derandomize=True, database=None)


def pytest_configure(config: pytest.Config) -> None:
    """Load the project's profile, unless the command line names one."""
    if not config.getoption("--hypothesis-profile", default=None):
        settings.load_profile("dynprop-ci" if os.environ.get("CI") else "dynprop")
