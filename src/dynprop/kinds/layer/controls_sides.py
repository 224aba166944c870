"""Controls of kind layer with side inputs."""

from __future__ import annotations

from dynprop.kinds.layer.faults.sides import TimeSpans, with_spans
from dynprop.kinds.layer.target import Layer
from dynprop.laws.catalogue import Catalogue

layer = Catalogue("layer", "torch")
CATALOGUES = (layer,)


@layer.control("control/time-spans")
def time_spans() -> Layer:
    """A tanh layer whose state decays over the time span of its own row and step."""
    return with_spans(TimeSpans())
