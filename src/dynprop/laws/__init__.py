"""The language of laws: one named law per function, its cases, its evidence."""

from dynprop.contracts.domain import Domain
from dynprop.laws.evidence import Comparison, Evidence, LagProfile
from dynprop.laws.law import Law, law

__all__ = [
    "Comparison",
    "Domain",
    "Evidence",
    "LagProfile",
    "Law",
    "law",
]
