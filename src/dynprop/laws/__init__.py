"""What must hold: one named law per function, the cases they are tried on, and what they saw."""

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
