"""Judged targets as JUnit XML, which CI systems show as tests: a suite per target, a test case per law.

The format has no standard; elements and attributes are those that GitHub, GitLab and Jenkins read. A law that
could not be decided, or fails as expected, is a skipped test with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from dynprop.check.project.judged import JudgedTarget
from dynprop.check.run.outcome import LawResult
from dynprop.check.run.scripts import shown
from dynprop.wording import printable

__all__ = ["junit_xml"]


def junit_xml(targets: Sequence[JudgedTarget]) -> str:
    """Return the results of all targets as one JUnit document."""
    root = ET.Element("testsuites", name="dynprop")
    for target in targets:
        suite = ET.SubElement(root, "testsuite", name=printable(target.name))
        _add_cases(suite, target)
        _count(suite, suite.findall("testcase"))
    _count(root, root.findall("testsuite/testcase"))
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _add_cases(suite: ET.Element, target: JudgedTarget) -> None:
    name = printable(target.name)
    if target.report is None:
        case = ET.SubElement(suite, "testcase", classname=name, name="judged")
        _add(case, "error", "defect" if target.broken else "call", target.problem)
        return
    for result in target.report.laws:
        case = ET.SubElement(suite, "testcase", classname=name, name=result.law)
        _add_outcome(case, result, target)


def _add_outcome(case: ET.Element, result: LawResult, target: JudgedTarget) -> None:
    """Add what came of a law; nothing for one that passed."""
    reason = target.expected.get(result.law)
    if reason is not None and result.failed:
        _add(case, "skipped", "expected", f"expected failure: {reason}")
    elif reason is not None:
        _add(case, "failure", "stale", f"expected to fail ({reason}), and {result.verdict}: remove it")
    elif result.defect:
        _add(case, "error", "defect", result.defect)
    elif result.failed:
        element = _add(case, "failure", result.verdict, _message(result))
        element.text = printable(_body(result))
    elif result.verdict != "pass":
        _add(case, "skipped", result.verdict, result.note or result.verdict)


def _add(case: ET.Element, tag: str, kind: str, message: str) -> ET.Element:
    return ET.SubElement(case, tag, type=kind, message=printable(message))


def _message(result: LawResult) -> str:
    found = result.note if result.counterexample is None else result.counterexample.message
    return f"{result.verdict}: {result.hypothesis or found}"


def _body(result: LawResult) -> str:
    example = result.counterexample
    lines = [f"{result.law}: {result.verdict}"]
    if example is not None:
        lines += [f"found: {example.message}", f"on: {example.summary}"]
    if result.hypothesis:
        lines.append(f"likely: {result.hypothesis}")
    if result.note:
        lines.append(f"note: {result.note}")
    return "\n".join([*lines, "", shown(example.script)] if example is not None else lines)


def _count(element: ET.Element, cases: Sequence[ET.Element]) -> None:
    """Write the numbers of cases by outcome."""
    element.set("tests", str(len(cases)))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        element.set(name, str(sum(case.find(tag) is not None for case in cases)))
