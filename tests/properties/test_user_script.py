"""The script that type checkers read from outside runs."""

from __future__ import annotations

from tests.properties.user_script import main


def test_a_users_script_runs() -> None:
    *sums, task, verdict, message = main()
    # 2 ρ + ‖W‖ + max h(10), with ρ = 0.5, ‖W‖² = 0.705 + √0.457025, h(10) = 10 (0.5¹⁰ − 0.4¹⁰) + 0.4¹⁰
    assert sums[0] == "2.1840"
    assert (task, verdict) == ("adding-tcn", "pass")
    assert message.startswith("W: got ")
