#!/usr/bin/python3
"""Holds tests/conformance/requirements.md against the tests that bear the ids in it. See tools/conformance.sh."""

import argparse
import ast
import collections
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "tests" / "conformance" / "requirements.md"

ID = re.compile(r"Rfc\d+((Req|Sec)\d+)?|Fault\d+|Cve\d{4}_\d+|Bug[A-Z][a-z]+")
TEST_MACRO = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.M)
LEADING_ID = re.compile(
    r"(Rfc(\d+)((?:Req|Sec)\d+)?(?:Figure\d+)?|(Req\d+)|(Fault\d+|Cve\d{4}_\d+|Bug[A-Z][a-z]+))(_|$)")
# Suite.Name, Prefix/Suite.Name/0 (TEST_P), Suite/0.Name (TYPED_TEST)
CTEST_NAME = re.compile(r"(?:\w+/)??(\w+)(?:/\d+)?\.(\w+)(?:/.*)?")


@dataclasses.dataclass
class Requirement:
    id: str
    section: str
    what: str
    decision: str

    @property
    def is_deviation(self):
        return self.decision.startswith("Deviation:")


@dataclasses.dataclass(frozen=True)
class Test:
    name: str
    ids: tuple
    place: str  # file:line
    is_netns: bool = False


def read_requirements(path):
    """The lines of the tables, by id; the faults of the file."""
    requirements, faults, section = {}, [], ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("## "):
            section = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] == "id" or set(cells[0]) <= set("-"):
            continue
        where = f"{path.relative_to(ROOT)}:{number}"
        if len(cells) != 3 or not all(cells) or not ID.fullmatch(cells[0]):
            faults.append(f"{where}: not a line of id, requirement and decision")
        elif cells[0] in requirements:
            faults.append(f"{where}: {cells[0]} is there already")
        else:
            requirements[cells[0]] = Requirement(cells[0], section, *cells[1:])
    return requirements, faults


def ids_of(name):
    """The ids at the beginning of a test's name, in the form of the requirements.

    A name is Rfc4787Req13_Req14_Fault12_Cve2019_5598_WhatItShows, or, in Python, test_rfc4787_req13_req14_fault_12_it.
    """
    name = re.sub(r"(^|_)(Rfc\d+)_(Req|Sec)(\d)", r"\1\2\3\4", camel(name) if name.startswith("test_") else name)
    ids, rfc = [], None
    while match := LEADING_ID.match(name):
        _, number, part, alone, other, _ = match.groups()
        rfc = number or rfc
        if alone and not rfc:
            break
        ids.append(other or f"Rfc{rfc}{part or alone or ''}")
        name = name[match.end():]
    return tuple(ids)


def camel(name):
    """test_rfc4787_req1_x and test_fault_1_x as tests in C++ have them."""
    name = re.sub(r"(fault|cve|rfc|req|sec)_(?=\d)", r"\1", name.removeprefix("test_"))
    return re.sub(r"(^|_)(rfc|req|sec|fault|cve)(?=\d)", lambda match: match[1] + match[2].capitalize(), name)


def find_tests():
    """All tests that bear an id."""
    found = []
    for path in sorted(ROOT.glob("tests/*/*_test.cc")):
        text = path.read_text()
        for match in TEST_MACRO.finditer(text):
            place = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
            found.append(Test(f"{match[1]}.{match[2]}", ids_of(match[2]), place))
    for path in sorted(ROOT.glob("tests/netns/*.py")):
        for node in ast.parse(path.read_text()).body:
            for method in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(method, ast.FunctionDef) and method.name.startswith("test_"):
                    place = f"{path.relative_to(ROOT)}:{method.lineno}"
                    found.append(Test(f"{path.stem}.{node.name}.{method.name}", ids_of(method.name), place, True))
    return [test for test in found if test.ids]


def run_unit_tests(build):
    """Results by name: "passed", "failed" or "skipped"."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        pattern = r"[./](Rfc|Fault|Cve)[0-9]|[./]Bug[A-Z]"
        command = ["ctest", "--test-dir", str(build), "-L", "unit", "-R", pattern, "-j", str(os.cpu_count()), "--quiet",
                   "--output-junit", str(report)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if not report.exists():
            sys.exit(f"conformance: {' '.join(command)} wrote no report; is {build} built?")
        cases = xml.etree.ElementTree.parse(report).getroot().iter("testcase")
        results = collections.defaultdict(set)
        for case in cases:
            if match := CTEST_NAME.fullmatch(case.get("name")):
                outcome = {"run": "passed", "fail": "failed"}.get(case.get("status"), "skipped")
                results[f"{match[1]}.{match[2]}"].add(outcome)
    return {name: max(outcomes, key=("passed", "skipped", "failed").index) for name, outcomes in results.items()}


def run_netns_tests(build, tests):
    results = {}
    environment = os.environ | {"VIPGATE": str(build / "gateway" / "vipgate")}
    for test in tests:
        script, method = test.name.split(".", 1)
        print(f"{test.name} ...", file=sys.stderr)
        run = subprocess.run(["/usr/bin/python3", ROOT / "tests" / "netns" / f"{script}.py", method], env=environment,
                             capture_output=True, text=True, check=False)
        skipped = run.returncode == 77 or "skipped" in run.stderr
        results[test.name] = "skipped" if skipped else "passed" if run.returncode == 0 else "failed"
    return results


@dataclasses.dataclass
class Line:
    """What is known of a requirement."""

    requirement: Requirement
    tests: list
    results: dict

    @property
    def state(self):
        outcomes = [self.results.get(test.name, "not run") for test in self.tests]
        if "failed" in outcomes:
            return "FAILED"
        if "passed" in outcomes:
            return "passed"
        if self.requirement.is_deviation:
            return "deviation"
        return "not run" if outcomes else "NO TEST"


def print_text(lines):
    section = None
    for line in lines:
        requirement = line.requirement
        if requirement.section != section:
            section = requirement.section
            print(f"\n{section}\n")
        print(f"  {requirement.id:<13} {line.state:<9} {fill(requirement.what)}")
        print(f"  {'':<13} {'':<9} {fill('→ ' + requirement.decision)}")
        for test in line.tests:
            print(f"  {'':<13} {'':<9}   {test.name}: {line.results.get(test.name, 'not run')}")


def fill(text):
    return ("\n" + " " * 26).join(textwrap.wrap(text, 94, break_on_hyphens=False))


def print_markdown(lines):
    section = None
    for line in lines:
        requirement = line.requirement
        if requirement.section != section:
            section = requirement.section
            print(f"\n## {section}\n\n| id | what must hold | what vipgate does | tests | |\n|---|---|---|---|---|")
        tests = "<br>".join(f"`{test.name}`" for test in line.tests)
        print(f"| {requirement.id} | {requirement.what} | {requirement.decision} | {tests} | {line.state} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, help="folder of the build whose tests are run")
    parser.add_argument("--check", action="store_true", help="only whether names and requirements agree; runs nothing")
    parser.add_argument("--netns", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()

    requirements, faults = read_requirements(REQUIREMENTS)
    tests = find_tests()
    by_id = collections.defaultdict(list)
    for test in tests:
        for name in test.ids:
            by_id[name].append(test)
            if name not in requirements:
                known = REQUIREMENTS.relative_to(ROOT)
                faults.append(f"{test.place}: {test.name}: {name} is no requirement of {known}")
    for requirement in requirements.values():
        if not by_id[requirement.id] and not requirement.is_deviation:
            faults.append(f"{requirement.id}: no test, and no stated deviation")

    if not options.check:
        build = options.build.resolve()
        results = run_unit_tests(build)
        if options.netns:
            results |= run_netns_tests(build, [test for test in tests if test.is_netns])
        lines = [Line(requirement, by_id[requirement.id], results) for requirement in requirements.values()]
        (print_markdown if options.markdown else print_text)(lines)
        for line in lines:
            only_netns = bool(line.tests) and all(test.is_netns for test in line.tests)
            if line.state == "FAILED" or (line.state == "not run" and (options.netns or not only_netns)):
                faults.append(f"{line.requirement.id}: {line.state.lower()}")
        counts = collections.Counter(line.state for line in lines)
        summary = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        print(f"\n{len(lines)} requirements: {summary}")

    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
