"""What must hold: one named law per function, the cases they are tried on, and what they saw."""

from dynprop.laws.domain import Domain
from dynprop.laws.evidence import Comparison, Evidence, LagProfile
from dynprop.laws.registry import Law, all_laws, law, law_by_id, laws_for

__all__ = [
    "Comparison",
    "Domain",
    "Evidence",
    "LagProfile",
    "Law",
    "all_laws",
    "law",
    "law_by_id",
    "laws_for",
]
