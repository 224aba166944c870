"""A law has the types of its subject and case: what does not fit together is an error of the type checker.

mypy reads this file with the rest. Each line that must be an error has an ignore of that very error, and mypy
reports an ignore that nothing needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, assert_type

from dynprop.contracts.domain import Domain
from dynprop.kinds import law_by_id
from dynprop.kinds.product.cases import ProductCase
from dynprop.kinds.product.subject import ProductSubject
from dynprop.kinds.scan.cases import ScanCase, scan_case
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import laid_out
from dynprop.laws.law import Law, law


def drawn(source: Source, domain: Domain, subject: ScanSubject) -> ScanCase:
    return scan_case(source, domain, subject)


def listed(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    yield from ()


def products(domain: Domain, subject: ProductSubject) -> Iterator[ProductCase]:
    yield from ()


class Named(Protocol):
    """A subject that no scan is."""

    def resume(self, state: object) -> None: ...


def of_named(subject: Named) -> str | None:
    return None


def of_scan(subject: ScanSubject, case: ScanCase) -> Evidence:
    return Evidence()


def of_other_cases(subject: ScanSubject, case: ProductCase) -> Evidence:
    return Evidence()


def of_other_subjects(subject: ProductSubject, case: ScanCase) -> Evidence:
    return Evidence()


def of_no_evidence(subject: ScanSubject, case: ScanCase) -> bool:
    return True


# Never called: registering these laws would add them to kind scan.
def what_the_type_checker_reads() -> None:
    register = law("scan/a", claim="C1", statement="", source="", draw=drawn, fixed=listed)
    fitting = register(of_scan)
    assert_type(fitting, Callable[[ScanSubject, ScanCase], Evidence])
    register(of_other_cases)  # type: ignore[arg-type]  # a function of products on cases of scans
    register(of_other_subjects)  # type: ignore[arg-type]  # a function that needs more than a scan has
    register(of_no_evidence)  # type: ignore[arg-type]  # a law returns evidence, no verdict
    law("scan/b", claim="C1", statement="", source="", draw=drawn, fixed=products)  # type: ignore[type-var]
    at_least_two = partial(scan_case, shortest=2)
    register_short = law("scan/c", claim="C1", statement="", source="", draw=at_least_two, applies=laid_out)
    register_short(of_scan)
    register_short(of_other_cases)  # type: ignore[arg-type]  # what a partial draws is known
    register_named = law("scan/d", claim="C1", statement="", source="", draw=at_least_two, applies=of_named)
    register_named(of_scan)  # type: ignore[arg-type]  # a condition on what is no scan


def test_a_law_of_any_kind_is_found_by_its_name() -> None:
    law: Law = law_by_id("scan/forward")
    assert_type(law, Law[Any, Any])
    assert law.slug == "forward"
