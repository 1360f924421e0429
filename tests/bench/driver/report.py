"""From the figures of a run to a table for people: on the terminal and as docs/RESULTS.md."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ratios import Estimate, estimate
from workloads import COMPARISONS, FILES, SHORT_PHASES, WORKLOADS

NAMES = {"raw": "raw loop", "limpet": "Limpet", "node": "Node socket.io"}
FILE_SERVERS = ("nginx", "limpet")


@dataclass(frozen=True)
class Row:
    workload: object
    figures: dict  # kind -> median
    ratio: Estimate | None  # Limpet : its base line, of the pairs
    verdict: str


def figures_of(answers, key):
    return [answer[key] for answer in answers]


def verdict_of(workload, ratio, limpet):
    if workload.target_ratio is not None and ratio is not None:
        met = ratio.median <= workload.target_ratio
        spans = ratio.low <= workload.target_ratio < ratio.high
        return ("met" if met else "missed") + (", within the noise" if spans else "")
    if workload.target_figure is not None and limpet is not None:
        return "met" if limpet <= workload.target_figure else "missed"
    return ""


def row_of(workload, answers):
    figures = {kind: median(figures_of(of_kind, workload.figure_key))
               for kind, of_kind in answers.items() if of_kind}
    pairs = zip(answers.get("limpet", []), answers.get(workload.base, []))
    ratios = [limpet[workload.figure_key] / base[workload.figure_key] for limpet, base in pairs]
    ratio = estimate(ratios) if ratios else None
    return Row(workload, figures, ratio, verdict_of(workload, ratio, figures.get("limpet")))


def rows_of(run):
    return [row_of(workload, run["answers"][workload.name])
            for workload in WORKLOADS if workload.name in run["answers"]]


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio_text(ratio):
    return "–" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} – {ratio.high:.2f})"


def target_text(workload):
    if workload.target_ratio is not None:
        return f"≤ {workload.target_ratio}"
    return f"≤ {workload.target_figure} KiB" if workload.target_figure is not None else ""


def times(row):
    """How many times Limpet's figure Node's is."""
    node, limpet = row.figures.get("node"), row.figures.get("limpet")
    return f"{node / limpet:.1f} ×" if node and limpet else "–"


HEADINGS = ("workload", "raw loop", "Limpet", "Node socket.io", "Limpet : raw loop (95 %)", "target", "",
            "Node : Limpet")


def cells(row):
    memory = row.workload.target_ratio is None and row.workload.target_figure is not None
    return (f"{row.workload.title}, {row.workload.unit}", number(row.figures.get("raw")),
            number(row.figures.get("limpet")), number(row.figures.get("node")),
            "" if memory else ratio_text(row.ratio), target_text(row.workload), row.verdict, times(row))


def aligned(headings, rows):
    lines = [headings] + rows
    widths = [max(len(line[at]) for line in lines) for at in range(len(headings))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def terminal_tables(run):
    tables = ((HEADINGS, [cells(row) for row in rows_of(run)]), (FILE_HEADINGS, file_rows(run)),
              (COST_HEADINGS, cost_rows(run)))
    return "\n\n".join(aligned(headings, lines) for headings, lines in tables if lines)


def markdown_table(headings, lines):
    rule = ["---"] + ["--:"] * (len(headings) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *lines])


FILE_HEADINGS = ("static files", "nginx", "Limpet", "Limpet : nginx (95 %)", "target", "")


def file_rows(run):
    rows = [row_of(workload, run["files"][workload.name])
            for workload in FILES if run.get("files", {}).get(workload.name)]
    return [(f"{row.workload.title}, {row.workload.unit}", *(number(row.figures.get(name)) for name in FILE_SERVERS),
             ratio_text(row.ratio), target_text(row.workload), row.verdict) for row in rows]


STATIC_FILES = """CPU time of all processes of the server for one request, 64 connections that stay, each asking again when
it has its answer; every byte of it is checked. nginx and Limpet with 2 workers each get the same requests in turns.
nginx: `sendfile on; tcp_nopush on; open_file_cache max=1000; open_file_cache_valid 1s; access_log off`."""


def files_part(run):
    lines = file_rows(run)
    return f"\n## Static files, beside nginx\n\n{STATIC_FILES}\n\n{markdown_table(FILE_HEADINGS, lines)}\n" if lines else ""


BEFORE_HEADINGS = ("workload", "before", "now", "now : before (95 %)", "")


def against_before(run):
    """Of a run against an older build: (workload, figures before, figures now, ratio of the pairs) of each workload."""
    for workload in WORKLOADS + FILES:
        if answers := run["answers"].get(workload.name):
            before, now = (figures_of(answers[kind], workload.figure_key) for kind in ("before", "limpet"))
            yield workload, before, now, estimate([b / a for a, b in zip(before, now)])


def is_slower(ratio, limit):
    """More than noise, and more than is allowed."""
    return ratio.low > 1.0 and ratio.median > limit


def slower_workloads(run):
    return [f"{workload.name} {ratio_text(ratio)}" for workload, _, _, ratio in against_before(run)
            if is_slower(ratio, run["limit"])]


def before_rows(run):
    return [(f"{workload.title}, {workload.unit}", number(median(before)), number(median(now)), ratio_text(ratio),
             "slower" if is_slower(ratio, run["limit"]) else "good") for workload, before, now, ratio in against_before(run)]


def before_table(run):
    return aligned(BEFORE_HEADINGS, before_rows(run))


def before_markdown(run):
    facts = "\n".join(f"- {name}: {value}" for name, value in run["facts"].items())
    return (f"# Before and now\n\nMade by `{run['command']}`; do not edit. Two commits of Limpet, which take turns; what is "
            f"measured, and how: [RESULTS.md](RESULTS.md), but with {SHORT_PHASES.counted} s of the server's CPU time a pass. "
            f"\"Slower\": the interval lies above 1.00 and the median above {run['limit']}.\n\n{markdown_table(BEFORE_HEADINGS, before_rows(run))}\n\n{facts}\n")


COST_HEADINGS = ("what", "unit", "CPU time", "more than the base line above (95 %)")


def cost_rows(run):
    """A line for each variant; what it costs beyond its base line is the median of the differences of the rounds."""
    lines = []
    for comparison in COMPARISONS:
        answers = run.get("costs", {}).get(comparison.name)
        if not answers:
            continue
        figures = {name: figures_of(of_variant, "us_per_unit") for name, of_variant in answers.items()}
        base, *others = comparison.variants
        lines.append((base.title, comparison.unit, number(median(figures[base.name])), "base line"))
        for variant in others:
            more = estimate([a - b for a, b in zip(figures[variant.name], figures[base.name])])
            lines.append((variant.title, comparison.unit, number(median(figures[variant.name])),
                          f"{more.median:+.2f} ({more.low:+.2f} – {more.high:+.2f})"))
    return lines


COSTS = """A worker that gets a request for another worker's session gives it the connection (a handover), or, where further
requests stand behind this one, passes only this request's bytes both ways (a relay). A new session is placed by the
kernel before anybody reads a byte; where a proxy names the client, by the worker that has accepted the connection.
Limpet with 2 workers; each row and its base line take turns within the run."""


def costs_part(run):
    lines = cost_rows(run)
    return f"\n## What a detour costs\n\n{COSTS}\n\n{markdown_table(COST_HEADINGS, lines)}\n" if lines else ""


RING_TARGETS = """Targets: at most 0.05 µs per 64-byte message with 32 messages a flush; the median latency with a busy
reader at most twice the round trip of one cache line between the same two CPUs."""


def ring_row(row):
    extra = [f"{key} {number(value)}" for key, value in sorted(row.items())
             if isinstance(value, float) and key not in ("real_time", "cpu_time")]
    return (row.get("run_name", row["name"]), f"{number(row['real_time'])} {row['time_unit']}", ", ".join(extra))


def ring_part(ring):
    if not ring:
        return ""
    table = markdown_table(("benchmark", "median time", "counters"), [ring_row(row) for row in ring])
    return f"\n## The ring\n\n{RING_TARGETS}\n\n{table}\n"


def passes_text(run):
    counts = {kind: max((len(answers.get(kind, [])) for answers in run["answers"].values()), default=0)
              for kind in NAMES}
    return ", ".join(f"{NAMES[kind]} {count}" for kind, count in counts.items() if count)


HOW = """## How it was measured

- Each figure is the **CPU time, user and system, of all processes of the server** for one unit of work, read from the
  kernel's process clocks (memory: the growth of the tree's PSS from before the first client until 10,000 are connected
  and silent). The load generator's own time does not count.
- All servers run with 2 workers and get the same bytes from the same load generator: a 100-byte string argument,
  WebSocket transport, clients from 1,000 addresses of 127.0.0.0/8. The generator checks every packet that comes back,
  byte for byte and client for client; a pass with a message too many or too few fails.
- "raw loop" is the practical limit: a minimal epoll loop in 2 processes that sends pre-encoded frames, all that is
  queued for a socket in one send, and does nothing else that a server must do: no timers, no validation, no limits,
  no unmasking of what it need not read.
- Every pass runs on a freshly started server, after a warm-up. The servers take turns; within a pair the order
  alternates. The ratio is the median of the ratios of the pairs, its interval comes from their order statistics (at
  least 95 %, whatever the distribution). Figures of different runs are not comparable: machines drift.
- "broadcast": one client emits `b`, all receive it, then the next client emits. "16 queued": it emits 16 in one write.
  "echo": 100 clients emit `e` with an acknowledgement, 1 or 8 in one write, again once all are acknowledged.
  "connect": 64 clients connect, shake hands (WebSocket, Engine.IO, Socket.IO), close, and start again.
- "What a detour costs": 64 clients post a message of 100 bytes that no handler wants to polling sessions (placing:
  connect as above). The server's counters must say that all of a row went the way it names."""


# What scripts/soak writes.
BESIDE = """Reloads, upgrades and scaling again and again under load: [results-soak.md](results-soak.md).
What a reload costs the clients, beside nginx and pm2: [results-reload.md](results-reload.md).
Behind proxies, beside Node's cluster: [results-proxies.md](results-proxies.md).
What the code that moves connections costs those that stay: [results-before.md](results-before.md)."""


def chart_text(run):
    return "![The same as bars](results.svg)\n\n" if len(run["answers"]) > 1 else ""


def notes_part(notes):
    return f"\n## What misses its target, and why\n\n{notes.read_text().strip()}\n" if notes.exists() else ""


def results_markdown(run, notes: Path):
    rows = rows_of(run)
    table = markdown_table(HEADINGS, [cells(row) for row in rows])
    facts = "\n".join(f"- {name}: {value}" for name, value in run["facts"].items())
    return (f"# Results\n\nMade by `{run['command']}`; do not edit. What each server costs for the same work; "
            f"less is better.\n\n{BESIDE}\n\n{chart_text(run)}{table}\n\n{facts}\n- passes: {passes_text(run)}\n"
            f"{files_part(run)}{costs_part(run)}{ring_part(run.get('ring'))}{notes_part(notes)}\n{HOW}\n")
