"""What is measured, and against which target. One row per workload; everything else reads these tables."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    name: str  # for --only
    title: str
    unit: str  # of a figure
    arguments: tuple  # of the load generator
    target_ratio: float | None = None  # Limpet's figure : the base line's
    target_figure: float | None = None  # Limpet's figure itself
    figure_key: str = "us_per_unit"  # in the load generator's answer
    pairs_wanted: int | None = None  # fewer than the others, because the figure hardly varies
    base: str = "raw"  # whom Limpet is compared with


WORKLOADS = (
    Workload("broadcast1000", "broadcast to 1,000, one at a time", "µs per delivered message",
             ("broadcast", "--clients", "1000"), target_ratio=1.05),
    Workload("broadcast5000", "broadcast to 5,000, one at a time", "µs per delivered message",
             ("broadcast", "--clients", "5000"), target_ratio=1.05),
    Workload("queued16", "broadcast to 1,000, 16 queued at once", "µs per delivered message",
             ("broadcast", "--clients", "1000", "--batch", "16"), target_ratio=1.2),
    Workload("echo1", "echo, 1 in flight", "µs per echo",
             ("echo", "--clients", "100")),
    Workload("echo8", "echo, 8 in flight", "µs per echo",
             ("echo", "--clients", "100", "--batch", "8"), target_ratio=1.3),
    Workload("connect", "connect + handshake + close", "µs per connection",
             ("connect", "--clients", "64"), target_ratio=1.5),
    Workload("idle", "user memory of an idle client", "KiB per client (PSS growth over 10,000)",
             ("idle", "--clients", "10000"), target_figure=1.0, figure_key="kib_per_unit", pairs_wanted=3),
)


# {site}: a directory with what both servers serve below /files/.
FETCH = ("files", "--clients", "64", "--path")
FILES = (
    Workload("small-file", "a file of 1 KiB", "µs per request",
             (*FETCH, "/files/small.txt", "--content", "{site}/small.txt"), target_ratio=1.0, base="nginx"),
    Workload("large-file", "a file of 1 MB", "µs per request",
             (*FETCH, "/files/large.bin", "--content", "{site}/large.bin"), target_ratio=1.1, base="nginx"),
    Workload("no-file", "a file that is not there (404)", "µs per request",
             (*FETCH, "/files/none.txt"), base="nginx"),
)


@dataclass(frozen=True)
class Variant:
    name: str
    title: str
    arguments: tuple  # of the load generator
    flags: tuple = ()  # of limpet serve
    counters: tuple | None = None  # (what counts a detour, what counts all): shows that the variant is what it says
    share: float = 0.0  # of all that must make the detour, give or take SHARE_TOLERANCE


@dataclass(frozen=True)
class Comparison:
    """What Limpet does in several ways. The first variant is the base line of the others."""

    name: str  # for --only
    unit: str
    variants: tuple


# The set-up makes requests of its own, which a short pass notices.
SHARE_TOLERANCE = 0.25

HANDED_OVER = ("handovers_out", "http_requests")
RELAYED = ("requests_relayed", "http_requests")
PLACED = ("sessions_placed", "sessions_opened")
REQUESTS = ("requests", "--clients", "64")
# Nobody polls the polling sessions: a drain would wait for that.
SILENT = ("--drain-window", "100ms")
CONNECT = ("connect", "--clients", "64")

COMPARISONS = (
    Comparison("home", "µs per request", (
        Variant("home", "a connection that stays, its own session: at home", (*REQUESTS, "--write", "h"),
                flags=SILENT, counters=HANDED_OVER),
        Variant("turns", "its own and another worker's session in turns: handed over each time",
                (*REQUESTS, "--write", "h", "--write", "o"), flags=SILENT, counters=HANDED_OVER, share=1.0))),
    Comparison("handover", "µs per request and connection", (
        Variant("home", "a fresh connection for each request: at home", (*REQUESTS, "--write", "h", "--fresh"),
                flags=SILENT, counters=HANDED_OVER),
        Variant("handover", "from an address of another worker than the session's: handed over",
                (*REQUESTS, "--write", "o", "--fresh"), flags=SILENT, counters=HANDED_OVER, share=1.0))),
    Comparison("relay", "µs per request", (
        Variant("home", "16 requests in one write: at home", (*REQUESTS, "--write", "h" * 16), flags=SILENT,
                counters=RELAYED),
        Variant("relay", "15 of them for another worker's session: relayed",
                (*REQUESTS, "--write", "o" * 15 + "h"), flags=SILENT, counters=RELAYED, share=15 / 16))),
    Comparison("placing", "µs per connection, handshake and close", (
        Variant("kernel", "placed by the kernel's routing program", CONNECT, flags=SILENT, counters=PLACED),
        Variant("least", "placement = least-connections: by load, which hardly ever chose another here", CONNECT,
                flags=(*SILENT, "--placement", "least-connections"), counters=PLACED),
        Variant("named", "named by a PROXY protocol header, accepted where placed", (*CONNECT, "--named", "home"),
                flags=(*SILENT, "--proxy-protocol"), counters=PLACED),
        Variant("passed", "named by a PROXY protocol header, accepted elsewhere and passed on",
                (*CONNECT, "--named", "other"), flags=(*SILENT, "--proxy-protocol"), counters=PLACED, share=1.0))),
)

# Source addresses of the clients; Limpet places clients by address, so there must be many.
SOURCE_ADDRESSES = 1000


@dataclass(frozen=True)
class PhaseLengths:
    """CPU seconds of the server."""

    warm_up: float
    counted: float


NATIVE_PHASES = PhaseLengths(warm_up=0.2, counted=1.0)
# Many short passes say more than few long ones when two builds are compared: the machine drifts between them.
SHORT_PHASES = PhaseLengths(warm_up=0.1, counted=0.4)
# V8 compiles what is hot only after a while; a short phase would measure its interpreter.
NODE_PHASES = PhaseLengths(warm_up=2.5, counted=2.0)
QUICK_PHASES = PhaseLengths(warm_up=0.02, counted=0.1)
QUICK_CLIENTS = "200"
