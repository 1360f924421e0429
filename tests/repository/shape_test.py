#!/usr/bin/env python3
"""The code base's own shape (docs/testing.md): each test is one rule, and names the lines that break it."""

import collections
import json
import re
import statistics
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Who may include whom: base and schema <- ipc <- {supervisor, worker}, and inside the worker
# loop <- http <- websocket <- engineio <- socketio <- limpet <- application, none of which knows the process model, and
# client <- slot <- migration <- process, which do. worker/limpet is the public API, which application implements; only what lies
# beside it in worker/limpet needs nobody else. Only a codec may see the schema.
PROTOCOLS = {"worker/socketio", "worker/engineio", "worker/websocket", "worker/http", "worker/loop"}
APPLICATION = PROTOCOLS | {"worker/application", "worker/limpet"}
MAY_INCLUDE = {
    "base": {"base"},
    "ipc": {"ipc", "base"},
    "supervisor": {"supervisor", "ipc", "base"},
    "worker/loop": {"worker/loop", "base"},
    "worker/http": {"worker/http", "worker/loop", "base"},
    "worker/websocket": {"worker/websocket", "worker/http", "worker/loop", "base"},
    "worker/engineio": {"worker/engineio", "worker/websocket", "worker/http", "worker/loop", "base"},
    "worker/socketio": PROTOCOLS | {"base"},
    "worker/limpet": {"worker/limpet", "worker/socketio", "worker/websocket", "worker/loop", "base"},
    "worker/application": APPLICATION | {"base"},
    "worker/adapter": {"worker/adapter", "worker/socketio", "worker/websocket", "worker/http", "worker/loop", "ipc", "base"},
    "worker/client": {"worker/client", "worker/http", "worker/loop", "ipc", "base"},
    "worker/slot": {"worker/slot", "worker/client", "ipc", "base"} | APPLICATION,
    "worker/migration": {"worker/migration", "worker/slot", "worker/client", "worker/adapter", "ipc", "base"} | APPLICATION,
    "worker/process": {"worker/process", "worker/migration", "worker/slot", "worker/client", "worker/adapter", "ipc",
                       "base"} | APPLICATION,
    "examples": {"examples", "worker/limpet"},
}
# What the public API sees of the Socket.IO server: values, and its name.
VALUES_OF_SOCKETIO = {"ack_state", "arguments", "broadcast", "error", "handler", "json_scan", "json_value", "packet_type", "room_names",
                      "socket_handle", "utf8_repair"}
# Libraries that stay behind one door: pattern of the header -> the files that may include it.
DOORS = {
    r"(capnp|kj)/|limpet\.capnp\.h|ipc/messages/wire\.h": {
        "ipc/messages/wire.h", "ipc/messages/wire.cpp", "ipc/messages/control.cpp", "ipc/messages/handover.cpp",
        "ipc/messages/ctl.cpp", "supervisor/upgrade/state.cpp", "worker/migration/codec.cpp",
        "tests/ipc/messages/control_test.cpp", "tests/ipc/messages/ctl_test.cpp", "tests/ipc/messages/handover_test.cpp",
        "tests/ipc/messages/wire_test.cpp", "tests/worker/migration/codec_test.cpp"},
    r"boost/interprocess/": {"ipc/shared/mapping.cpp"},
    r"boost/process/": {"ipc/birth/spawn.cpp"},
    r"boost/beast/": {"worker/http/request.cpp", "worker/http/request_end.cpp", "worker/http/body.cpp",
                      "worker/http/response.cpp"},
    r"spdlog/": {"base/log.cpp"},
    r"sodium(/|\.h)": {"worker/loop/keyed_hash.cpp"},
    r"toml\+\+/": {"supervisor/options/file.cpp"},
    r"CLI/": {"supervisor/command_line.cpp", "worker/process/run.cpp", "tests/bench/load_generator/main.cpp"},
}
# Never in a header: they cost every file that includes it seconds. path -> reason for an exception.
HEAVY = r"boost/(asio|beast|interprocess|process)|capnp/|kj/|spdlog/|fmt/|toml\+\+/|CLI/|limpet\.capnp\.h"
HEAVY_IN_HEADERS = {"ipc/messages/wire.h": "the tools of the codecs, which alone include it (DOORS)"}
# Folders that include each other, directly or by way of others -> why. Every other circle is a mistake: of two folders
# that need each other neither can be read, tested or replaced alone.
CIRCLES = {
    frozenset({"worker/limpet", "worker/limpet/detail"}): "one layer: the templates of the public headers stand in detail/",
}
TOP_LEVEL = {"CMakeLists.txt", "README.md", "LICENSE", "CHANGES.md", "base", "schema", "ipc", "supervisor", "worker", "scripts",
             "tests", "examples", "docs"}  # and dot files

# Lines of a worker's log without a limit, by how their text begins -> why nobody can cause them at will. Every other
# one goes through base::log_at_most. What a worker prints past its log blocks if nobody reads it.
UNLIMITED_LINES = {
    "worker/adapter/ring_adapter.cpp": {
        "ring: join {} gen {}: {}; it may": "once for each birth of a worker",
        "ring: join {} gen {}: {}; its": "once for each birth of a worker",
        "ring: {} gen {}: {}; its broadcasts are read no more": "once for each ring: it is left then",
    },
    "worker/application/static_files.cpp": {"files: {}: is no directory": "once for each folder of an application"},
    "worker/slot/handovers.cpp": {"inbox: receive: {}; this worker reads it no more": "once for each inbox"},
    "worker/migration/migration.cpp": {
        "migration: no descriptor is left": "once for each migration: its stream is over then",
        "migration: the taker is gone": "once for each migration, which an operator starts",
        "migration: the taker sent": "once for each migration: it breaks off then",
        "migration: what the giver says": "once for each migration: it is over then",
    },
    "worker/process/peers.cpp": {"slot board: map": "once, at the start"},
    "worker/process/tenancy.cpp": {
        "SIGTERM: told": "of whoever may send us signals, once for each answer of the supervisor",
        "SIGTERM: the supervisor does not answer": "once, at the end",
        "control channel: the supervisor is gone": "once, at the end",
        "{}; the worker leaves": "once, at the end",
    },
    "worker/process/worker.cpp": {
        "serving on": "once, at the start",
        "{} again": "once, at the end",
        "{}: draining": "once, at the end",
        "{}; the worker leaves": "once, at the end",
    },
}
LOGS = re.compile(r'\bbase::log\(\s*base::LogLevel::\w+,\s*(?:fmt::format\(\s*)?("?)([^"\n]*)')
PRINTS = re.compile(r"\bspdlog::|\bstd::(?:cout|cerr|clog|printf|puts|fputs|fprintf)\b|\bfmt::print\b|(?<![\w.:])(?:f?printf|f?puts)\(")

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home)/\w")
STRING_TABLE = re.compile(r"\bunordered_\w+<\s*(?:std::|const )*string")
KEYED = re.compile(r"\b(KeyedHash|NameHash|RoomHash)\b")
WAITS = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<![\w.])sleep\(\s*[\w]")
SWITCHED_OFF = re.compile(r"\bGTEST_SKIP\b|\bDISABLED_\w|\b(?:test|it|describe)\.(?:skip|todo|only)\b")


# A file that a comment names: with its folder, or by its name alone.
NAMED_FILE = re.compile(r"(?<![\w.:/<*-])((?:[\w-]+/)*[\w.-]*\w\.(?:h|cpp|md|capnp|mjs|py|pml))(?![\w(])")


# Law 13. A loop that can take many rounds asks the allowance of its turn before each of them (worker/loop/allowance.h), hands
# it to what does the work and ends when that says so, or stands here with what bounds it. The loops of the worker that are meant: those without a number of rounds in their head
# (`while`, `for (;;)`, `for (a; b; c)` but not over the elements of something), and every receiver of a client's bytes.
ASKS = re.compile(r"\bmay_go_on\(|\ballowance\w*(?:\.|->)(?:take|exhausted)\(|\ballowance_\b|\bwhile \(.*\ballowance\)|"
                  r"\bif \(!(?:\w+\.)?\w+\((?:\w+, )?allowance\)\) return")
LOOP = re.compile(r"\bwhile \(|\bfor \((?:[^;:]|::)*;")
ONE_PIECE = "walks one head, body, packet or message, which was asked for as a whole and has a limit in bytes"
TABLE = "walks a table, which has a constant number of places or grows with what is in it, once for the whole of it"
HASHED = "places of a table behind one hash"
END = "at the worker's end, when nobody waits for the next turn"
# `file:function`, or `file` for one that only walks through single pieces.
BOUNDED_LOOPS: dict[str, str] = {
    "worker/adapter/record.cpp": ONE_PIECE,
    "worker/engineio/packet.cpp": ONE_PIECE,
    "worker/http/body.cpp": ONE_PIECE,
    "worker/loop/buffer.h": "one rendering of a message for each kind of connection, of which there are few",
    "worker/loop/long_fifo.h:items": "the 32 that are few",
    "worker/loop/date.cpp": "a date has 29 characters, or 33",
    "worker/http/preconditions.cpp": ONE_PIECE,
    "worker/http/request.cpp": ONE_PIECE,
    "worker/http/request_end.cpp": ONE_PIECE,
    "worker/client/client_address.cpp": ONE_PIECE,
    "worker/migration/codec.cpp": ONE_PIECE,
    "worker/limpet/args.cpp": ONE_PIECE,
    "worker/limpet/detail/encode.cpp": ONE_PIECE,
    "worker/application/http_routes.cpp": ONE_PIECE,
    "worker/socketio/json_scan.cpp": ONE_PIECE,
    "worker/socketio/packet.cpp": ONE_PIECE,
    "worker/socketio/utf8_repair.cpp": ONE_PIECE,
    "worker/websocket/frame.cpp": ONE_PIECE,
    "worker/websocket/handshake.cpp": ONE_PIECE,
    "worker/websocket/reader.cpp": ONE_PIECE,
    "worker/websocket/utf8.cpp": ONE_PIECE,
    "worker/engineio/session_table.h": HASHED,
    "worker/socketio/id_table.h": HASHED,
    "worker/slot/sid_source.cpp": "random bytes for one sid, and a search among 4,096 buckets",
    "worker/slot/placement.cpp": "over the slots, of which there are at most 256",
    "worker/slot/handovers.cpp:Handovers::learn_own_buckets": TABLE,
    "worker/slot/handovers.cpp:Handovers::owns_a_bucket": TABLE,
    "worker/slot/handovers.cpp:Handovers::read": "kArrivalsPerTurn",
    "worker/client/acceptor.cpp:Acceptor::accept_from": "a constant number of connections a turn",
    "worker/loop/poller.cpp:Poller::dispatch_batch": "each subscriber asks; it ends when one was denied",
    "worker/loop/poller.cpp:Poller::remove": "one batch of 256",
    "worker/client/clients.cpp:Clients::next_deadline": "over the listeners and what can be waited for",
    "worker/client/clients.cpp:Clients::check_deadlines": "the same; check() asks",
    "worker/client/clients.cpp:Clients::close_all": END,
    "worker/client/client_connection.cpp:ClientConnection::feed": "once for each receiver: PROXY header, HTTP, WebSocket",
    "worker/client/client_connection.cpp:ClientConnection::has_room": "until the kernel has no room, for one that has four "
                                                                       "times limits.send_queue",
    "worker/client/client_connection.cpp:ClientConnection::send_all": "over what is queued before it: a WebSocket that "
                                                                       "upgrades has its answers only (kMostAnswers)",
    "worker/client/client_connection.cpp:ClientConnection::write": "kMaxWritten and kMaxFileWritten",
    "worker/client/admission.cpp:Admission::forget_old_rates": "kForgottenAtOnce",
    "worker/migration/migration.cpp:Giver::obey": "parcels that were taken, each given for units of an allowance",
    "worker/migration/migration.cpp:Giver::take_back": "once, when the taker has died: at most kParcelsOnTheirWay batches",
    "worker/process/worker.cpp:Worker::Impl::shed_for_memory": "kShedPerTurn",
    "worker/socketio/memberships.cpp:Memberships::open_gate": "kEndedAtOnce",
    "worker/slot/front.cpp:Front::ProxyReader::on_bytes": "one header of at most kProxyHeaderLimitBytes",
    "worker/slot/relay.cpp:Relay::ClientSide::on_bytes": "passes on what one read has brought, in one piece",
    "worker/slot/relay.cpp:Relay::OwnerSide::on_bytes": "passes on what one read has brought, in one piece",
    "worker/slot/relay.cpp:Relay::count_response": ONE_PIECE,
    "worker/engineio/websocket_stream.cpp:on_bytes": "throws away what it gets",
    "worker/engineio/websocket_transport.cpp:WebSocketTransport::on_bytes": "take_messages() asks",
    "worker/engineio/upgrades.cpp:Upgrades::on_bytes": "take_messages() asks",
    "worker/loop/timer_wheel.h:turn_to": "kGranules",
    "worker/loop/timer_wheel.h:first_in_wheel": "kGranules",
    "worker/slot/supervisor_link.cpp:SupervisorLink::receive": "what a supervisor says: a few messages an operation",
    "worker/process/run.cpp:keep_heritage_from_children": "at the start, over the heritage",
    "worker/process/peers.cpp:inherited_peers": "at the start, over the slots",
    "worker/process/worker.cpp:Worker::Impl::join_cluster": "at the start, over the listeners",
    "worker/process/worker.cpp:Worker::Impl::run": "the loop itself",
    "worker/process/worker.cpp:Worker::Impl::wait": "until a turn is due",
    "worker/http/server.cpp:Server::~Server": END,
    "worker/loop/fifo.h:drop": "what was worked off before, each for units of an allowance",
    "worker/loop/long_fifo.h:drop": "as many as its caller had units for",
    "worker/engineio/moving.cpp:Moving::depart": "the queue of one session, four times limits.send_queue: it goes in one message",
    "worker/engineio/polling.cpp:PollQueue::take": "kMostPerPoll, or one message",
    "worker/http/file_cache.cpp:FileCache::keep": "each file is dropped once, and was kept for a request",
    "worker/http/file_tree.cpp:FileTree::open_below": "kAttempts",
    "worker/http/file_tree.cpp:FileTree::walk": "kMaxPathParts",
    "worker/http/server.cpp:Server::ask_again": "wakes those that have said Later since the last call, which the allowance "
                                                "of their turns let them say; routed again they ask it anew",
    "worker/socketio/dispatch.h:~Dispatch": "frees what the handlers of one piece of work have removed",
    "worker/socketio/moving.cpp:Server::can_depart": "the sockets of one client, one for each namespace of the application",
    "worker/socketio/moving.cpp:sockets_of": "the sockets of one client, one for each namespace of the application",
    "worker/application/application.cpp:Application::report_gap": "the application's handlers",
    "worker/application/guarded_handlers.cpp:GuardedHandlers::admit": "the application's handlers",
    "worker/application/guarded_handlers.cpp:GuardedHandlers::connected": "the application's handlers",
    "worker/application/guarded_handlers.cpp:GuardedHandlers::leaving": "the application's handlers",
    "worker/socketio/server.cpp:Server::disconnect": "the sockets of one client, one for each namespace of the application",
    "worker/socketio/server.cpp:Server::retire_all": "the sockets of one client, one for each namespace of the application",
    "worker/socketio/client_sockets.h:find": "kFewSockets",
    "worker/socketio/client_sockets.cpp:ClientSockets::remove": "kFewSockets",
    "worker/socketio/client_sockets.cpp:ClientSockets::become_many": "kFewSockets, and one more",
    "worker/socketio/endings.cpp:Server::tick": "kParts",
    "worker/socketio/memberships.cpp:Memberships::become_many": "kFewRooms, and one more",
    "worker/socketio/memberships.cpp:Memberships::remove": "kFewRooms",
    "worker/socketio/memberships.cpp:Memberships::leave_all": "kEndedAtOnce",
    "worker/socketio/moving.cpp:Server::deliver_late": "one broadcast to the sockets of one batch of sessions",
    "worker/socketio/pending_replies.h:close_holes": "each hole is skipped once",
    "worker/application/static_files.cpp:path_below": ONE_PIECE,
    "worker/application/static_files.cpp:percent_decode": ONE_PIECE,
    "worker/application/static_files.cpp:read_all": "a file of at most FileCache::kMaxFileBytes",
    "worker/application/io.cpp:Names": "the rooms of one emit, kMostRooms at most: the application's own call",
    "worker/limpet/detail/room_list.cpp:RoomList::go_own_way": "the rooms of one emit, kMostRooms at most: the application's own call",
    "worker/socketio/delivery.cpp:Delivery::deliver_to": "one emit to its members: the unit of work of an application",
    "worker/adapter/retained.cpp:Retained::keep": "each broadcast is forgotten once",
    "worker/adapter/retained.cpp:Retained::replay": "what came while one batch was on its way: at most kRetainedBytes",
    "worker/adapter/ring_adapter.cpp:RingAdapter::catch_up": "what stands in the rings, which have a constant capacity; a "
                                                             "batch that needs much of it is held (Taker::is_early)",
    "worker/adapter/ring_adapter.cpp:RingAdapter::poll": "over the workers; each ring has a budget of records",
}
# Law 13 again: n of these cost n² if n can grow.
AT_THE_FRONT = re.compile(r"([\w.>-]+\b(?:erase|insert))\((?:\s*[\w.>-]+(?:\.|->)begin\(\)|0,)")
# File and what is erased or inserted -> why it costs little.
AT_THE_FRONT_BUT: dict[str, str] = {
    "supervisor/upgrade/upgrade.cpp: request.arguments.erase": "one argument of a command line",
    "worker/client/client_connection.cpp: bytes.erase": "when that is half of all: each byte moves once on average",
    "worker/migration/migration.cpp: detached.unread.insert": "a parked poll's request, once when its connection moves",
    "worker/process/tenancy.cpp: descriptors.erase": "one of a message's at most 16 descriptors",
    "worker/socketio/endings.cpp: moved.erase": "a hash table: any element",
    "worker/socketio/memberships.cpp: socket.rooms.erase": "of at most kFewRooms rooms",
    "worker/application/application.cpp: full.insert": "a slash before the name of a namespace",
}


def functions(path):
    """(name, number of its first line, text) of each function defined in a file formatted by clang-format: from a line that
    begins in the first column, or in a class, to the brace in the same column that ends it."""
    head, begin = [], 0
    text = [line for _, line in lines(path)]
    at = 0
    while at < len(text):
        line = text[at]
        at += 1
        if not line.strip() or line.lstrip().startswith(("//", "#", "}")) or re.match(r"\s*(namespace|public|private|"
                                                                                      r"protected)\b", line):
            head = []
            continue
        if not head:
            begin = at
        head.append(line)
        if line.endswith((";", ":")) or (line.endswith("}") and "(" not in " ".join(head)):
            head = []
            continue
        if not line.endswith(("{", "}")):
            continue
        signature = " ".join(part.strip() for part in head)
        name = re.search(r"([\w:~]+)\(", signature)
        opens = re.match(r"(?:template <.*> )?(?:struct|class|enum|union|extern)\b", signature)
        if opens or name is None or re.match(r"\s*(?:static )?(?:constexpr|const) .*= ?\{", signature):
            head = []
            continue
        indent = re.match(r"\s*", head[0]).group()
        body = []
        if line.endswith("{"):
            while at < len(text) and not re.match(indent + r"}", text[at]):
                body.append(text[at])
                at += 1
        yield name.group(1), begin, "\n".join(head + body)
        head = []


# Lines of a function, its signature among them.
MOST_LINES = 60
MEDIAN_LINES = 8
# Files in which one class's functions are defined.
MOST_FILES_OF_A_CLASS = 3


def functions_of_the_product():
    """(path, name, number of its first line, lines)"""
    for path in files():
        if is_cpp(path) and not path.startswith(("tests/", "examples/")):
            for name, number, text in functions(path):
                yield path, name, number, text.count("\n") + 1


def loops_that_ask_nobody():
    """{file:function: line} of the worker's functions that loop, or receive a client's bytes, and ask no allowance."""
    found = {}
    for path in files():
        if not is_cpp(path) or not path.startswith("worker/"):
            continue
        for name, number, text in functions(path):
            code = re.sub(r"//.*", "", text)
            receives = name.split("::")[-1] == "on_bytes"
            if (receives or LOOP.search(code)) and not ASKS.search(code):
                found[f"{path}:{name}"] = number
    return found


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


def folder_of(path):
    return path.rsplit("/", 1)[0]


def circles(edges):
    """The sets of folders that reach each other, of {folder: folders that its files include}."""
    reached = {}
    for start in edges:
        reached[start], waiting = set(), [start]
        while waiting:
            further = edges.get(waiting.pop(), set()) - reached[start]
            reached[start] |= further
            waiting += further
    return {frozenset(other for other in reached[folder] if folder in reached.get(other, ()))
            for folder in reached if folder in reached[folder]}


def includes_between_folders():
    """{folder: {folder that a file of it includes: [where]}}, of the code without its tests."""
    known = set(files())
    found = {}
    for path in known:
        if not is_cpp(path) or path.startswith("tests/"):
            continue
        for number, header in included(path):
            theirs = "worker/" + header if header.startswith("limpet/") else header
            if theirs in known and folder_of(theirs) != folder_of(path):
                found.setdefault(folder_of(path), {}).setdefault(folder_of(theirs), []).append(f"{path}:{number}: {header}")
    return found


def breaks_layers(path, header):
    """Does this file include a header of ours that its layer must not see? `<limpet/app.h>` is the public API's name."""
    allowed = MAY_INCLUDE.get(layer_of(path))
    if header.startswith("limpet/"):
        header = "worker/" + header
    theirs = layer_of(header)
    return allowed is not None and theirs in MAY_INCLUDE and theirs not in allowed


def unlimited_lines(path, text):
    """The calls of base::log in `text` that UNLIMITED_LINES does not know, and what is printed past the log."""
    known = UNLIMITED_LINES.get(path, {})
    found = [f"{path}: base::log: {match.group(2).strip()}" for match in LOGS.finditer(text)
             if not match.group(1) or not any(match.group(2).startswith(begin) for begin in known)]
    if len(re.findall(r"\bbase::log\(|using base::log\b", text)) > len(LOGS.findall(text)):
        found.append(f"{path}: a call of base::log that is not `base::log(base::LogLevel::X, \"...\")`")
    return found + [f"{path}: {match.group(0)}" for match in PRINTS.finditer(re.sub(r"//[^\n]*", "", text))]


def is_foreseeable(declaration):
    """A hash table by text whose hash has no key of this process."""
    return bool(STRING_TABLE.search(declaration)) and not KEYED.search(declaration)


class Shape(unittest.TestCase):
    def assert_none(self, found, rule):
        self.assertEqual([], found, f"{rule}:\n  " + "\n  ".join(found))

    def test_the_rules_notice_what_they_forbid(self):
        self.assertTrue(breaks_layers("supervisor/main.cpp", "worker/process/worker.h"))
        self.assertTrue(breaks_layers("worker/process/run.cpp", "supervisor/options/options.h"))
        self.assertTrue(breaks_layers("ipc/ring/writer.cpp", "worker/loop/buffer.h"))
        self.assertTrue(breaks_layers("worker/http/server.cpp", "worker/websocket/frame.h"))
        self.assertTrue(breaks_layers("worker/socketio/server.cpp", "ipc/messages/control.h"))
        self.assertTrue(breaks_layers("worker/socketio/server.cpp", "worker/limpet/io.h"))
        self.assertTrue(breaks_layers("worker/socketio/state.h", "worker/application/application.h"))
        self.assertTrue(breaks_layers("worker/limpet/io.h", "worker/application/application.h"))
        self.assertTrue(breaks_layers("examples/chat/chat.cpp", "worker/socketio/server.h"))
        self.assertFalse(breaks_layers("examples/chat/chat.cpp", "limpet/app.h"))
        self.assertFalse(breaks_layers("worker/process/run.cpp", "ipc/birth/heritage.h"))
        handover = "worker/slot/handovers.cpp"
        self.assertTrue(unlimited_lines(handover, 'base::log(base::LogLevel::Error,\n  fmt::format("inbox: bad: {}", why));'))
        self.assertTrue(unlimited_lines(handover, "base::log(base::LogLevel::Error, why);"))
        self.assertTrue(unlimited_lines(handover, 'std::cerr << why;'))
        self.assertTrue(unlimited_lines(handover, 'spdlog::warn("inbox: {}", why);'))
        self.assertTrue(unlimited_lines(handover, 'base::log(level, "inbox");'))
        self.assertFalse(unlimited_lines(handover, 'base::log(base::LogLevel::Error, fmt::format("inbox: receive: {}; this worker reads it no more", why));'))
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
                         "docs/design.md, The parts: may depend on")

    def test_the_rule_of_circles_notices_what_it_forbids(self):
        self.assertEqual(circles({"a": {"b"}, "b": {"c"}, "d": {"a"}}), set())
        self.assertEqual(circles({"a": {"b"}, "b": {"a"}, "d": {"a"}}), {frozenset("ab")})
        self.assertEqual(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"d"}}),
                         {frozenset("abc"), frozenset("de")})

    def test_no_folders_include_each_other(self):
        includes = includes_between_folders()
        found = []
        for circle in circles({folder: set(theirs) for folder, theirs in includes.items()}):
            if circle not in CIRCLES:
                found += [f"{' <-> '.join(sorted(circle))}: {where}" for folder in sorted(circle)
                          for other in sorted(circle & set(includes[folder])) for where in includes[folder][other]]
        self.assert_none(found, "a circle of folders, in any number of steps: move what both need below them, or say in "
                                "CIRCLES why not")

    def test_a_circle_that_is_named_is_there(self):
        found = circles({folder: set(theirs) for folder, theirs in includes_between_folders().items()})
        self.assert_none([" <-> ".join(sorted(circle)) for circle in CIRCLES if circle not in found], "no such circle")

    def test_the_public_api_sees_only_values_of_the_server(self):
        self.assert_none([f"{path}:{number}: {header}" for path in files()
                          if is_cpp(path) and path.startswith("worker/limpet/") for number, header in included(path)
                          if header.startswith("worker/socketio/") and header[16:].split(".")[0] not in VALUES_OF_SOCKETIO],
                         "worker/application implements what needs the server")

    def test_a_line_that_a_client_can_cause_goes_through_a_limit(self):
        found = []
        for path in files():
            if is_cpp(path) and path.startswith("worker/"):
                found += unlimited_lines(path, (ROOT / path).read_text(encoding="utf-8"))
        self.assert_none(found, "base::log_at_most, or a reason in UNLIMITED_LINES")

    def test_a_line_without_a_limit_that_is_named_is_there(self):
        found = []
        for path, begins in UNLIMITED_LINES.items():
            said = [match.group(2) for match in LOGS.finditer((ROOT / path).read_text(encoding="utf-8"))]
            found += [f"{path}: {begin}" for begin in begins if not any(line.startswith(begin) for line in said)]
        self.assert_none(found, "no such line")

    def test_our_own_headers_are_included_from_the_root(self):
        names = {path.rsplit("/", 1)[-1] for path in files() if path.endswith(".h")}
        self.assert_none([f"{path}:{number}: {header}" for path in files() if is_cpp(path)
                          for number, header in included(path) if "/" not in header and header in names],
                         "an include names folder and file")

    def test_libraries_stay_behind_their_doors(self):
        self.assert_none([f"{path}:{number}: {header}" for path in files() if is_cpp(path)
                          for number, header in included(path)
                          for door, owners in DOORS.items() if re.match(door, header) and path not in owners],
                         "law 9, and docs/design.md, The dependencies")

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
        self.assert_none(found, "law 13: http::KeyedHash (worker/loop/keyed_hash.h) for keys that are text")

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
        self.assert_none(found, "docs/style.md: a header opens with what it is")

    def test_a_file_that_a_comment_names_is_there(self):
        known = files()
        ends = {"/".join(path.split("/")[at:]) for path in known for at in range(path.count("/") + 1)}
        found = []
        for path in known:
            if not is_cpp(path):
                continue
            for number, line in lines(path):
                comment = re.search(r"//(.*)", line)
                for name in re.findall(NAMED_FILE, comment.group(1)) if comment else []:
                    if name not in ends:
                        found.append(f"{path}:{number}: {name}")
        self.assert_none(found, "no such file in the project")

    def test_functions_are_short(self):
        found = list(functions_of_the_product())
        self.assertGreater(len(found), 1000)
        self.assert_none([f"{path}:{number}: {name} has {count}" for path, name, number, count in found if count > MOST_LINES],
                         f"a function has at most {MOST_LINES} lines")
        self.assertLessEqual(statistics.median(count for _, _, _, count in found), MEDIAN_LINES)

    def test_a_class_is_defined_in_few_files(self):
        places = collections.defaultdict(set)
        for path, name, _, _ in functions_of_the_product():
            if path.endswith(".cpp") and "::" in name:
                places[path.rsplit("/", 1)[0], name.split("::")[0]].add(path)
        self.assert_none([f"{folder}: {name}: {', '.join(sorted(where))}" for (folder, name), where in sorted(places.items())
                          if len(where) > MOST_FILES_OF_A_CLASS], "a class that wants more files is several classes")

    def test_the_top_level_is_what_the_design_names(self):
        entries = {path.split("/")[0] for path in files()}
        self.assert_none(sorted(entry for entry in entries if entry not in TOP_LEVEL and not entry.startswith(".")),
                         "docs/design.md, The parts")

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

    def test_the_rule_of_loops_notices_what_it_forbids(self):
        asks = "while (!bytes.empty() && stream.may_go_on()) take(bytes);"
        self.assertTrue(ASKS.search(asks) and LOOP.search(asks))
        self.assertTrue(ASKS.search("while (allowance.take()) one();"))
        self.assertTrue(ASKS.search("while (has_room() && give_some(allowance)) {"))
        self.assertTrue(ASKS.search("if (!leave_some(socket, allowance)) return;"))
        self.assertTrue(ASKS.search("if (!memberships_.leave_more(socket, allowance)) return;"))
        self.assertFalse(ASKS.search("while (more) take(bytes);"))
        self.assertFalse(ASKS.search("void f(http::Allowance& allowance) {\n  while (more) take(bytes);"))
        for loops in ("while (more) f();", "for (;;) {", "for (bool more = true; more;) {", "for (std::size_t i = 0; i < n;) {"):
            self.assertTrue(LOOP.search(loops), loops)
        for bounded in ("for (const auto& each : all) {", "for (const std::string& each : all) f();"):
            self.assertFalse(LOOP.search(bounded), bounded)
        names = [name for name, _, _ in functions("worker/slot/relay.cpp")]
        self.assertIn("Relay::ClientSide::on_bytes", names)
        self.assertIn("Relay::delete_if_done", names)
        self.assertIn("on_bytes", [name for name, _, _ in functions("worker/engineio/websocket_stream.cpp")])
        self.assertTrue(AT_THE_FRONT.search("descriptors.erase(descriptors.begin());"))
        self.assertTrue(AT_THE_FRONT.search("it->second.queue.erase(it->second.queue.begin(), keep);"))
        self.assertFalse(AT_THE_FRONT.search("rooms.erase(found);"))

    def test_every_loop_over_what_comes_in_asks_the_allowance_of_its_turn(self):
        found = loops_that_ask_nobody()
        known = {key for key in found if key in BOUNDED_LOOPS or key.split(":")[0] in BOUNDED_LOOPS}
        self.assert_none([f"{key} (line {found[key]})" for key in sorted(set(found) - known)],
                         "law 13: ask may_go_on() or allowance.take() before each round, or say in BOUNDED_LOOPS what "
                         "bounds it")

    def test_a_loop_that_needs_no_allowance_is_there(self):
        found = loops_that_ask_nobody()
        there = set(found) | {key.split(":")[0] for key in found}
        self.assert_none(sorted(key for key in BOUNDED_LOOPS if key not in there), "no such loop, or it asks now")

    def test_nothing_is_taken_from_the_front_of_a_vector(self):
        found = {f"{path}: {match.group(1)}": f"{path}:{number}: {line.strip()}" for path in files()
                 if is_cpp(path) and path != "worker/loop/fifo.h" and path.startswith(("worker/", "ipc/", "supervisor/"))
                 for number, line in lines(path) if (match := AT_THE_FRONT.search(line))}
        self.assert_none([at for key, at in found.items() if key not in AT_THE_FRONT_BUT],
                         "law 13: worker/loop/fifo.h, a deque or an index instead")
        self.assert_none(sorted(key for key in AT_THE_FRONT_BUT if key not in found), "no such line")

    def test_no_test_is_switched_off(self):
        self.assert_none([f"{path}:{number}: {line.strip()}" for path in files() if path.startswith("tests/")
                          for number, line in lines(path) if SWITCHED_OFF.search(line)],
                         "a test that does not run says nothing")


if __name__ == "__main__":
    unittest.main()
