#!/usr/bin/env python3
"""The code base's own shape (docs/testing.md): each test is one rule, and names the lines that break it."""

import json
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Who may include whom: schema <- ipc <- {supervisor, worker}, and inside the worker
# http <- websocket <- engineio <- socketio, none of which knows the process model. worker/limpet is the public API
# that socketio implements. Only a codec may see the schema.
MAY_INCLUDE = {
    "ipc": {"ipc"},
    "supervisor": {"supervisor", "ipc"},
    "worker/http": {"worker/http"},
    "worker/websocket": {"worker/websocket", "worker/http"},
    "worker/engineio": {"worker/engineio", "worker/websocket", "worker/http"},
    "worker/socketio": {"worker/socketio", "worker/limpet", "worker/engineio", "worker/websocket", "worker/http"},
    "worker/limpet": {"worker/limpet", "worker/socketio", "worker/websocket", "worker/http"},
    "worker/adapter": {"worker/adapter", "worker/socketio", "worker/websocket", "worker/http", "ipc"},
    "worker/process": {"worker/process", "worker/adapter", "worker/socketio", "worker/limpet", "worker/engineio",
                       "worker/websocket", "worker/http", "ipc"},
    "examples": {"examples", "worker/limpet"},
}
# Libraries that stay behind one door: pattern of the header -> the files that may include it.
DOORS = {
    r"(capnp|kj)/|limpet\.capnp\.h": {"ipc/codec.cpp", "worker/process/migration_codec.cpp", "tests/ipc/codec_test.cpp",
                                      "tests/worker/process/migration_codec_test.cpp"},
    r"boost/interprocess/": {"ipc/mapping.cpp"},
    r"boost/process/": {"ipc/spawn.cpp"},
    r"boost/beast/": {"worker/http/request.cpp", "worker/http/request_end.cpp", "worker/http/body.cpp",
                      "worker/http/response.cpp"},
    r"sodium(/|\.h)": {"worker/http/keyed_hash.cpp"},
    r"toml\+\+/": {"supervisor/options_file.cpp"},
    r"CLI/": {"supervisor/command_line.cpp", "worker/process/run.cpp", "tests/bench/load_generator/main.cpp"},
}
# Never in a header: they cost every file that includes it seconds. path -> reason for an exception.
HEAVY = r"boost/(asio|beast|interprocess|process)|capnp/|kj/|spdlog/|fmt/|toml\+\+/|CLI/|limpet\.capnp\.h"
HEAVY_IN_HEADERS: dict[str, str] = {}
TOP_LEVEL = {"CMakeLists.txt", "README.md", "LICENSE", "CHANGES.md", "schema", "ipc", "supervisor", "worker", "scripts",
             "tests", "examples", "docs"}  # and dot files

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home)/\w")
STRING_TABLE = re.compile(r"\bunordered_\w+<\s*(?:std::|const )*string")
KEYED = re.compile(r"\b(KeyedHash|NameHash|RoomHash)\b")
WAITS = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<![\w.])sleep\(\s*[\w]")
SWITCHED_OFF = re.compile(r"\bGTEST_SKIP\b|\bDISABLED_\w|\b(?:test|it|describe)\.(?:skip|todo|only)\b")


def files():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True, text=True).stdout
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())


def is_cpp(path):
    return path.endswith((".h", ".cpp"))


def lines(path):
    try:
        return list(enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1))
    except UnicodeDecodeError:
        return []  # a picture


def layer_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "worker" else parts[0]


def included(path):
    for number, line in lines(path):
        if match := INCLUDE.match(line):
            yield number, match.group(1)


def breaks_layers(path, header):
    """Does this file include a header of ours that its layer must not see? `<limpet/app.h>` is the public API's name."""
    allowed = MAY_INCLUDE.get(layer_of(path))
    if header.startswith("limpet/"):
        header = "worker/" + header
    theirs = layer_of(header)
    return allowed is not None and theirs in MAY_INCLUDE and theirs not in allowed


def is_foreseeable(declaration):
    """A hash table by text whose hash has no key of this process."""
    return bool(STRING_TABLE.search(declaration)) and not KEYED.search(declaration)


class Shape(unittest.TestCase):
    def assert_none(self, found, rule):
        self.assertEqual([], found, f"{rule}:\n  " + "\n  ".join(found))

    def test_the_rules_notice_what_they_forbid(self):
        self.assertTrue(breaks_layers("supervisor/main.cpp", "worker/process/worker.h"))
        self.assertTrue(breaks_layers("worker/process/run.cpp", "supervisor/options.h"))
        self.assertTrue(breaks_layers("ipc/ring_writer.cpp", "worker/http/buffer.h"))
        self.assertTrue(breaks_layers("worker/http/server.cpp", "worker/websocket/frame.h"))
        self.assertTrue(breaks_layers("worker/socketio/server.cpp", "ipc/check.h"))
        self.assertTrue(breaks_layers("examples/chat/chat.cpp", "worker/socketio/server.h"))
        self.assertFalse(breaks_layers("examples/chat/chat.cpp", "limpet/app.h"))
        self.assertFalse(breaks_layers("worker/process/run.cpp", "ipc/heritage.h"))
        # Put together here, or these lines would be found in this file.
        self.assertTrue(MACHINE_PATH.search("cd " + "/work" + "/main"))
        self.assertFalse(MACHINE_PATH.search("https://example.org/homepage ./" + "work/x"))
        self.assertTrue(WAITS.search("std::this_thread::" + "sleep_for(1s)"))
        self.assertTrue(SWITCHED_OFF.search("TEST(Ring, " + "DISABLED_" + "Works)"))

    def test_every_layer_is_under_the_rule(self):
        layers = {layer_of(path) for path in files() if is_cpp(path) and not path.startswith("tests/")}
        self.assertEqual(layers, set(MAY_INCLUDE), "a layer came or went: say what it may include")

    def test_a_layer_includes_only_layers_below_it(self):
        self.assert_none([f"{path}:{number}: {header}" for path in files() if is_cpp(path)
                          for number, header in included(path) if breaks_layers(path, header)],
                         "DESIGN.md, The parts: may depend on")

    def test_our_own_headers_are_included_from_the_root(self):
        names = {path.rsplit("/", 1)[-1] for path in files() if path.endswith(".h")}
        self.assert_none([f"{path}:{number}: {header}" for path in files() if is_cpp(path)
                          for number, header in included(path) if "/" not in header and header in names],
                         "an include names folder and file")

    def test_libraries_stay_behind_their_doors(self):
        self.assert_none([f"{path}:{number}: {header}" for path in files() if is_cpp(path)
                          for number, header in included(path)
                          for door, owners in DOORS.items() if re.match(door, header) and path not in owners],
                         "law 9, and DESIGN.md, The dependencies")

    def test_a_door_that_is_named_is_there(self):
        known = set(files())
        self.assert_none(sorted(owner for owners in DOORS.values() for owner in owners if owner not in known),
                         "no such file")

    def test_no_table_is_hashed_in_a_way_that_a_client_can_foresee(self):
        self.assertTrue(is_foreseeable("std::unordered_map<std::string, int> by_name_;"))
        self.assertTrue(is_foreseeable("boost::unordered_flat_map<std::string_view, int> by_name_;"))
        self.assertFalse(is_foreseeable("std::unordered_map<std::string, int, http::KeyedHash, std::equal_to<>> a;"))
        self.assertFalse(is_foreseeable("std::unordered_map<std::uint64_t, std::string> by_number_;"))
        # A declaration may go on in the next line.
        found = []
        for path in files():
            if not (is_cpp(path) and path.startswith("worker/")):
                continue
            text = lines(path)
            found += [f"{path}:{number}: {line.strip()}" for (number, line), (_, following)
                      in zip(text, text[1:] + [(0, "")])
                      if STRING_TABLE.search(line) and is_foreseeable(line + " " + following)
                      or re.search(r"std::hash<std::string|std::hash<std::string_view", line)]
        self.assert_none(found, "law 13: http::KeyedHash (worker/http/keyed_hash.h) for keys that are text")

    def test_headers_include_no_heavy_library(self):
        self.assert_none([f"{path}:{number}: {header}" for path in files()
                          if path.endswith(".h") and path not in HEAVY_IN_HEADERS
                          for number, header in included(path) if re.match(HEAVY, header)],
                         "a header that costs its includers seconds")

    def test_every_header_says_what_it_is(self):
        found = []
        for path in files():
            if not path.endswith(".h"):
                continue
            text = [line for _, line in lines(path)]
            if not text or not text[0].startswith("// "):
                found.append(f"{path}: opens without a comment")
            if "#pragma once" not in text:
                found.append(f"{path}: no #pragma once")
        self.assert_none(found, "STYLE.md: a header opens with what it is")

    def test_the_top_level_is_what_the_design_names(self):
        entries = {path.split("/")[0] for path in files()}
        self.assert_none(sorted(entry for entry in entries if entry not in TOP_LEVEL and not entry.startswith(".")),
                         "DESIGN.md, The parts")

    def test_no_file_knows_the_machine_it_was_written_on(self):
        self.assert_none([f"{path}:{number}: {line.strip()[:100]}" for path in files()
                          for number, line in lines(path) if MACHINE_PATH.search(line)],
                         "an absolute path of one machine")

    def test_lock_files_name_no_registry(self):
        found = []
        for path in files():
            if not path.endswith("package-lock.json"):
                continue
            packages = json.loads((ROOT / path).read_text()).get("packages", {})
            found += [f"{path}: {name}" for name, package in packages.items() if "resolved" in package]
            found += [f"{path}:{number}: {line.strip()}" for number, line in lines(path)
                      if "registry" in line and "://" in line]
        self.assert_none(found, "npm ci asks the registry that the machine is set up with")

    def test_tests_wait_for_events_and_never_for_time(self):
        self.assert_none([f"{path}:{number}: {line.strip()}" for path in files()
                          if path.startswith("tests/") and is_cpp(path) and not path.startswith("tests/bench/")
                          for number, line in lines(path) if WAITS.search(line)],
                         "poll, waitpid or an eventfd with a deadline instead")

    def test_no_test_is_switched_off(self):
        self.assert_none([f"{path}:{number}: {line.strip()}" for path in files() if path.startswith("tests/")
                          for number, line in lines(path) if SWITCHED_OFF.search(line)],
                         "a test that does not run says nothing")


if __name__ == "__main__":
    unittest.main()
