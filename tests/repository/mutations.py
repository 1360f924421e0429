#!/usr/bin/env python3
"""Lines that decide, each broken on purpose: a test has to notice (docs/testing.md).

python3 -B tests/repository/mutations.py [--build build-mutations] [NUMBER…]

Works on a copy of the tree in the build folder. Each row: a file, a line in it (once), what stands there instead, the unit
tests that are run. Exits with 1 if a broken line passes them, or does not compile.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

SLOT, MIGRATION, PROCESS, SUPERVISOR = "worker_slot_tests", "worker_migration_tests", "worker_process_tests", "supervisor_tests"
ROUTER = "worker/slot/router.cpp"
ROLLOUT = "supervisor/operations/rollout.cpp"
SCALING = "supervisor/operations/scaling.cpp"
TENANCY = "worker/process/tenancy.cpp"
ROWS = [
    # Routing
    (ROUTER, "if (sid && engine_.knows(*sid)) {", "if (sid && !engine_.knows(*sid)) {", SLOT),
    (ROUTER, "if (client.asked() < last_giver_)", "if (client.asked() > last_giver_)", SLOT),
    (ROUTER, "if (client.placed()) return {Verdict::Here};", "", SLOT),
    (ROUTER, "} else if (named || client.peer_by_proxy()) {", "} else if (named) {", SLOT),
    (ROUTER, "image.one_request = true;", "", SLOT),
    ("worker/slot/placement.cpp", "(takes == best_takes_part && slot > 0 && weight <= heaviest)",
     "(takes == best_takes_part && slot > 0 && weight >= heaviest)", SLOT),
    ("worker/client/connection_image.cpp", "if (image.by_proxy) connection->set_peer_by_proxy(peer);", "", SLOT),
    # Migration
    ("worker/migration/departure.cpp", "if (now < drain_at_) return 0;", "", MIGRATION),
    ("worker/migration/bucket_move.cpp", "if (left == 0u || departure_", "if (left != 0u || departure_", MIGRATION),
    ("worker/migration/drain_schedule.cpp", "std::min(sessions_, share + 1)", "std::min(sessions_, share)", MIGRATION),
    # The life of a worker
    (TENANCY, "is_set_up_ = true;", "", PROCESS),
    (TENANCY, "if (!parts_.shutdown.has_begun()) parts_.shutdown.drain(kOwnDrainWindow, kOwnDrainDeadline);", "", PROCESS),
    (TENANCY, "return signal == SIGTERM && std::exchange(expects_parent_death_signal_, false);", "return true;", PROCESS),
    ("worker/process/shutdown.cpp", "const bool ends_idle = told && !gives_connections;", "const bool ends_idle = false;", PROCESS),
    # Births, deaths, operations
    ("supervisor/cluster/respawn_policy.cpp", "++deaths_in_a_row_;", "", SUPERVISOR),
    (ROLLOUT, "return moving >= kMovingAtOnce ?", "return moving > kMovingAtOnce ?", SUPERVISOR),
    (ROLLOUT, "if (seated_.erase(generation) > 0) {", "if (false) {", SUPERVISOR),
    (ROLLOUT, "cluster_.adopt(next_);", "", SUPERVISOR),
    (SCALING, "if (pair.second == slot) told = false;", "", SUPERVISOR),
    (SCALING, "cluster_.close_slots(before_);", "", SUPERVISOR),
]
# Real supervisors are what other tests are for.
FILTER = {SUPERVISOR: "-Serve.*:Reload.*:Scale.*:Upgrade.*"}


def run(*words: str, where: Path) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800, check=False)


def copy_of_tree(place: Path) -> Path:
    tree = place / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    return tree


def build(place: Path, target: str) -> subprocess.CompletedProcess:
    return run("cmake", "--build", str(place / "build"), "--target", target, where=place)


def verdict(place: Path, tree: Path, row: tuple[str, str, str, str]) -> str:
    path, line, broken, target = row
    source = tree / path
    before = source.read_text()
    if before.count(line) != 1:
        return f"stands there {before.count(line)} times"
    source.write_text(before.replace(line, broken))
    try:
        if build(place, target).returncode != 0:
            return "does not compile"
        filtered = FILTER.get(target, "*")
        tests = run(str(place / "build" / target), f"--gtest_filter={filtered}", "--gtest_brief=1", where=place / "build")
        return "passes" if tests.returncode == 0 else "caught"
    finally:
        source.write_text(before)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--build", default="build-mutations")
    words.add_argument("numbers", nargs="*", type=int, help="of rows, from 1; all without")
    given = words.parse_args()
    place = (ROOT / given.build).resolve()
    tree = copy_of_tree(place)
    rows = [(number, row) for number, row in enumerate(ROWS, 1) if not given.numbers or number in given.numbers]
    configured = run("cmake", "-S", str(tree), "-B", str(place / "build"), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                     "-DLIMPET_TESTS=ON", where=place)
    if configured.returncode != 0:
        print(configured.stdout)
        return 1
    for target in sorted({row[3] for _, row in rows}):
        print(f"building {target}", flush=True)
        built = build(place, target)
        if built.returncode != 0:
            print(built.stdout)
            return 1
    failed = 0
    for number, row in rows:
        began = time.monotonic()
        what = verdict(place, tree, row)
        failed += what != "caught"
        print(f"{number:2} {what:16} {time.monotonic() - began:4.0f} s  {row[0]}: {row[1]}", flush=True)
    print(f"{len(rows) - failed} of {len(rows)} caught")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
