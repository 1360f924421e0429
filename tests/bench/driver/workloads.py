"""What is measured, and against which target. One row per workload; everything else reads these tables."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    name: str  # for --only
    title: str
    unit: str  # of a figure
    arguments: tuple  # of the load generator
    target_ratio: float | None = None  # Limpet's figure : the raw loop's
    target_figure: float | None = None  # Limpet's figure itself
    figure_key: str = "us_per_unit"  # in the load generator's answer
    pairs_wanted: int | None = None  # fewer than the others, because the figure hardly varies


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

# Source addresses of the clients; Limpet places clients by address, so there must be many.
SOURCE_ADDRESSES = 1000


@dataclass(frozen=True)
class PhaseLengths:
    """CPU seconds of the server."""

    warm_up: float
    counted: float


NATIVE_PHASES = PhaseLengths(warm_up=0.2, counted=1.0)
# V8 compiles what is hot only after a while; a short phase would measure its interpreter.
NODE_PHASES = PhaseLengths(warm_up=2.5, counted=2.0)
QUICK_PHASES = PhaseLengths(warm_up=0.02, counted=0.1)
QUICK_CLIENTS = "200"
