#!/usr/bin/env python3
"""Runs the growth rows (tests/growth/main.cpp) under valgrind with n and 8 n elements, and fails if 8 times as many
elements cost more than 8 × 1.25 times the instructions, if a row counts almost nothing, or if a row that must fail
does not."""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

GROWTH = 8
LIMIT = GROWTH * 1.25
LEAST_PER_ELEMENT = 4  # instructions; less is no operation on each element
ROW_SECONDS = 60


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
        return f"{self.counts[at] / (self.n * (1, GROWTH)[at]):,.0f}" if self.counts else "-"


def listed(executable):
    lines = subprocess.run([executable, "--list"], check=True, capture_output=True, text=True).stdout.splitlines()
    return [Row(name, int(n), must_fail == "1") for name, n, must_fail in (line.split("\t") for line in lines)]


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


def measure(executable, row):
    """Fills in the row's counts, or what went wrong."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="limpet-growth-") as folder:
        command = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no",
                   f"--callgrind-out-file={folder}/counts", executable, row.name]
        # Symbols are bound before anything is counted.
        environment = os.environ | {"LD_BIND_NOW": "1"}
        try:
            ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True,
                                 timeout=ROW_SECONDS)
        except subprocess.TimeoutExpired:
            row.complaint = f"not done after {ROW_SECONDS} s"
            return row
        row.counts = counts_in(folder)
    row.seconds = time.monotonic() - began
    if ran.returncode != 0 or len(row.counts) != 2:
        row.complaint = f"ended with {ran.returncode}: {(ran.stdout + ran.stderr).strip()[-2000:]}"
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
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda row: measure(executable, row), rows))
    print(f"{'operation':42} {'n':>7} {'at n':>9} {f'at {GROWTH} n':>9} {'ratio':>7} {'s':>5}")
    for row in rows:
        ratio = f"{row.ratio:.2f}" if len(row.counts) == 2 else "-"
        mark = " (to fail)" if row.must_fail else "  FAILED" if row.complaint else ""
        print(f"{row.name:42} {row.n:7} {row.cell(0):>9} {row.cell(1):>9} {ratio:>7} {row.seconds:5.1f}{mark}")
    print(f"instructions per element; {len(rows)} operations in {time.monotonic() - began:.0f} s")
    failed = [(row, verdict(row)) for row in rows if verdict(row)]
    for row, why in failed:
        print(f"growth: {row.name}: {why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
