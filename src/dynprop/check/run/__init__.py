"""Laws over cases, outcomes, reports."""
