#!/usr/bin/env python3
"""Runs the growth rows (tests/growth/main.cpp) under valgrind with n and 8 n elements, and fails if 8 times as many
elements cost more than 8 × 1.25 times the instructions, if a row counts almost nothing, or if a row that must fail
does not."""

import argparse
import concurrent.futures
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

GROWTH = 8
LIMIT = GROWTH * 1.25
LEAST_PER_ELEMENT = 4  # instructions; less is no operation on each element
ROW_CPU_SECONDS = 10  # of valgrind; a row that grows too much may need more, and fails


@dataclass
class Row:
    name: str
    n: int
    must_fail: bool
    counts: list[int] = field(default_factory=list)  # instructions at n, at 8 n
    complaint: str = ""
    seconds: float = 0.0

    @property
    def ratio(self):
        return self.counts[1] / max(self.counts[0], 1)

    def judge(self):
        """What is wrong with how it grows; empty if nothing is."""
        if self.counts[0] < LEAST_PER_ELEMENT * self.n:
            return f"counts almost nothing: {self.counts[0]} instructions for {self.n} elements"
        if self.ratio > LIMIT:
            return f"{GROWTH} times as many cost {self.ratio:.2f} times as much; the limit is {LIMIT:g}"
        return ""

    def cell(self, at):
        return f"{self.counts[at] / (self.n * (1, GROWTH)[at]):,.0f}" if at < len(self.counts) else "-"


def listed(executable):
    lines = subprocess.run([executable, "--list"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [Row(name, int(n), must_fail == "1") for name, n, must_fail in (line.split("\t") for line in lines)]


def undocumented(rows):
    """What differs between these rows and the table in docs/testing.md."""
    table = (Path(__file__).resolve().parents[2] / "docs/testing.md").read_text()
    there = set(re.findall(r"^\|.*\| ([\d,]+) \| `(\w+)` \|$", table, re.MULTILINE))
    here = {(f"{row.n:,}", row.name) for row in rows if not row.name.startswith("self_test_")}
    return [f"docs/testing.md: the growth table differs: {name}, n {n}" for n, name in sorted(there ^ here)]


def counts_in(folder):
    """Instructions of each part that the row has dumped, in their order."""
    dumps = {}
    for dump in Path(folder).glob("counts.*"):
        text = dump.read_text()
        label = re.search(r"^desc: Trigger: Client Request: (\d+)$", text, re.MULTILINE)
        total = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
        if label and total:
            dumps[int(label.group(1))] = int(total.group(1))
    return [dumps[n] for n in sorted(dumps)]


def limit_cpu():
    resource.setrlimit(resource.RLIMIT_CPU, (ROW_CPU_SECONDS, ROW_CPU_SECONDS))


def measure(executable, row):
    """Fills in the row's counts, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="limpet-growth-") as folder, tempfile.TemporaryFile("w+") as output:
        command = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no",
                   f"--callgrind-out-file={folder}/counts", executable, row.name]
        # Symbols are bound before anything is counted.
        child = subprocess.Popen(command, env=os.environ | {"LD_BIND_NOW": "1"}, cwd=folder, stdout=output, stderr=output,
                                 preexec_fn=limit_cpu)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().strip()[-2000:]
        row.counts = counts_in(folder)
    row.seconds = usage.ru_utime + usage.ru_stime
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        row.complaint = f"not done after {ROW_CPU_SECONDS} s of CPU"
    elif child.returncode != 0 or len(row.counts) != 2:
        row.complaint = f"ended with {child.returncode}: {said}"
    else:
        row.complaint = row.judge()
    return row


def verdict(row):
    if row.must_fail and row.counts:
        return "" if row.complaint else "was to fail, and did not: the test notices nothing"
    return row.complaint


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True, metavar="DIR", help="build folder")
    parser.add_argument("rows", nargs="*", metavar="NAME", help="only these (all)")
    options = parser.parse_args()
    executable = str(options.build.resolve() / "growth")
    rows = [row for row in listed(executable) if not options.rows or row.name in options.rows]
    if not rows:
        sys.exit("growth: no such row")
    began = time.monotonic()
    print(f"{'operation':28} {'n':>6} {'at n':>9} {f'at {GROWTH} n':>9} {'ratio':>7} {'CPU s':>6}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for row in pool.map(lambda row: measure(executable, row), rows):
            ratio = f"{row.ratio:.2f}" if len(row.counts) == 2 else "-"
            mark = "  to fail" if row.must_fail else "  FAILED" if row.complaint else ""
            print(f"{row.name:28} {row.n:6} {row.cell(0):>9} {row.cell(1):>9} {ratio:>7} {row.seconds:6.1f}{mark}",
                  flush=True)
    print(f"instructions per element; {len(rows)} operations in {time.monotonic() - began:.0f} s")
    failed = [f"{row.name}: {verdict(row)}" for row in rows if verdict(row)]
    if not options.rows:
        failed += undocumented(rows)
    for why in failed:
        print(f"growth: {why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
