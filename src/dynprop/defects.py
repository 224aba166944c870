"""What to do about a failure of dynprop itself: where it is reported, and with which text."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from dynprop._version import __version__

__all__ = ["defect_text"]

# Labels of the page, as projects write them in [project.urls].
LABELS = ("issues", "bug tracker", "issue tracker", "tracker", "bugs")


def defect_text(what: str) -> str:
    """Return the line for a failure of dynprop: what failed, where to report it, and in which versions."""
    versions = f"dynprop {__version__}, Python {platform.python_version()}, {sys.platform}"
    return f"a defect of dynprop: {what}; {_where()}; {versions}"


def _where() -> str:
    """Return where to report a defect: the page that the project's metadata name, if they name one."""
    try:
        urls = metadata.metadata("dynprop").get_all("Project-URL") or ()
    except metadata.PackageNotFoundError:
        urls = ()
    pages = {label.strip().lower(): url.strip() for label, _, url in (u.partition(",") for u in urls)}
    page = next((pages[label] for label in LABELS if label in pages), None)
    return "report it with this text" + (f" at {page}" if page else "")
