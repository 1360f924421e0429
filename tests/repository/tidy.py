#!/usr/bin/env python3
"""Runs clang-tidy over every source of the compile commands, several at a time. What passed is remembered by the
content of the file and of all headers of ours that it includes, so a second run looks only at what has changed."""

import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
INCLUDE = re.compile(rb'^\s*#\s*include\s*[<"]([^">]+)[">]', re.MULTILINE)
HEADER_ROOTS = [ROOT, ROOT / "worker"]
# The compile commands are GCC's, which has warnings that clang does not know.
OPTIONS = ["--quiet", "--extra-arg=-Wno-unknown-warning-option"]


def closure(source, seen):
    """The file and all headers of ours below it."""
    if source in seen:
        return
    seen.add(source)
    for name in INCLUDE.findall(source.read_bytes()):
        for root in HEADER_ROOTS:
            header = root / name.decode()
            if header.is_file():
                closure(header, seen)
                break


def fingerprint(entry, tidy_version):
    seen = set()
    closure(Path(entry["file"]), seen)
    digest = hashlib.sha256(tidy_version)
    digest.update((ROOT / ".clang-tidy").read_bytes())
    digest.update(entry["command"].encode())
    for path in sorted(seen):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: tidy.py BUILD_FOLDER [PART_OF_A_PATH…]")
    build = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    tidy = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if tidy is None:
        sys.exit("tidy: clang-tidy is not installed: scripts/install check")
    version = subprocess.run([tidy, "--version"], capture_output=True, check=True).stdout
    passed = build / "tidy"
    passed.mkdir(exist_ok=True)

    todo = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = Path(entry["file"])
        if not source.is_relative_to(ROOT) or source.is_relative_to(build) or not source.exists():
            continue
        name = str(source.relative_to(ROOT))
        if wanted and not any(part in name for part in wanted):
            continue
        mark = passed / fingerprint(entry, version)
        if name not in todo and not mark.exists():
            todo[name] = mark

    print(f"clang-tidy: {len(todo)} files have changed since they last passed", flush=True)
    findings = set()

    def check(name):
        run = subprocess.run([tidy, *OPTIONS, "-p", str(build), str(ROOT / name)], capture_output=True, text=True,
                             check=False)
        if run.returncode == 0:
            todo[name].touch()
        return name, run

    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("LIMPET_JOBS", os.cpu_count() or 2))) as pool:
        futures = [pool.submit(check, name) for name in sorted(todo)]
        for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
            name, run = future.result()
            print(f"[{done}/{len(todo)}] {name}", flush=True)
            if run.returncode == 0:
                continue
            text = run.stdout.replace(str(ROOT) + "/", "")
            # Those in headers come with every file that includes them.
            fresh = set(re.split(r"\n(?=\S+:\d+:\d+: (?:warning|error): )", text.strip()) if text else [run.stderr])
            for finding in sorted(fresh - findings):
                print(finding, flush=True)
            findings |= fresh
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
