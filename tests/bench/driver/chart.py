"""docs/results.svg: for each workload three bars on a scale of its own, from zero."""

from html import escape

from report import number, rows_of

WIDTH, MARGIN, LABELS, VALUES = 900, 28, 296, 76
BAR, GAP, BETWEEN, TOP, BOTTOM = 13, 4, 20, 116, 54
ORDER = (("limpet", "Limpet"), ("raw", "raw epoll loop (the practical limit)"), ("node", "Node socket.io"))

STYLE = """
  .page { fill: #ffffff } .title { fill: #1b2733 } .text { fill: #3c4a57 } .quiet { fill: #6b7986 }
  .limpet { fill: #0f8b8d } .raw { fill: #a9b7c3 } .node { fill: #e0a458 } .rule { stroke: #e3e9ee }
  .target { stroke: #1b2733; stroke-width: 2 }
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 13px }
  .title { font-size: 19px; font-weight: 650 } .quiet { font-size: 12px } .value { font-variant-numeric: tabular-nums }
  .strong { font-weight: 650 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0f171e } .title { fill: #eef3f7 } .text { fill: #c6d1da } .quiet { fill: #8b9aa7 }
    .limpet { fill: #2fb5b0 } .raw { fill: #5d6d7a } .node { fill: #c98a3d } .rule { stroke: #22303b }
    .target { stroke: #eef3f7 }
  }
"""


def text(x, y, content, classes="text", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}" text-anchor="{anchor}">{escape(content)}</text>'


def bar(kind, value, scale, y, mark):
    """The bar and its number; the number stands clear of the target's mark."""
    length = max(value * scale, 1.5)
    x = MARGIN + LABELS
    end = length if mark is None or mark * scale > length + 48 else max(length, mark * scale)
    value_class = "text value strong" if kind == "limpet" else "quiet value"
    return (f'<rect x="{x}" y="{y:.1f}" width="{length:.1f}" height="{BAR}" rx="2.5" class="{kind}"/>'
            + text(x + end + 8, y + BAR - 2.5, number(value), value_class))


def target_value(row):
    if row.workload.target_figure is not None:
        return row.workload.target_figure
    if row.workload.target_ratio is not None and "raw" in row.figures:
        return row.workload.target_ratio * row.figures["raw"]
    return None


def target_mark(target, scale, y):
    x = MARGIN + LABELS + target * scale
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 2.5:.1f}" y2="{y + BAR + 2.5:.1f}" class="target"/>'


def group(row, top):
    """The bars of one workload and where the next may begin."""
    kinds = [kind for kind, _ in ORDER if kind in row.figures]
    scale = (WIDTH - 2 * MARGIN - LABELS - VALUES) / max(row.figures.values())
    height = len(kinds) * (BAR + GAP)
    parts = [f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{top - BETWEEN / 2:.1f}" y2="{top - BETWEEN / 2:.1f}" '
             'class="rule"/>',
             text(MARGIN, top + BAR + 2, row.workload.title, "text strong"),
             text(MARGIN, top + BAR + 20, row.workload.unit.split(" (")[0], "quiet")]
    for at, kind in enumerate(kinds):
        y = top + at * (BAR + GAP)
        mark = target_value(row) if kind == "limpet" else None
        parts.append(bar(kind, row.figures[kind], scale, y, mark))
        if mark is not None:
            parts.append(target_mark(mark, scale, y))
    return "".join(parts), top + height + BETWEEN


def legend(rows):
    parts, x = [], MARGIN
    for kind, name in ORDER:
        if any(kind in row.figures for row in rows):
            parts.append(f'<rect x="{x}" y="73" width="{BAR}" height="{BAR}" rx="2.5" class="{kind}"/>')
            parts.append(text(x + BAR + 7, 84, name))
            x += BAR + 7 + int(6.8 * len(name)) + 20
    parts.append(f'<line x1="{x}" x2="{x}" y1="71" y2="88" class="target"/>' + text(x + 8, 84, "Limpet's target"))
    return "".join(parts)


def results_svg(run):
    rows, parts, top = rows_of(run), [], TOP
    for row in rows:
        part, top = group(row, top)
        parts.append(part)
    height = top + BOTTOM - BETWEEN
    facts = f"{run['facts']['machine']}, {run['facts']['date']}. Each group has a scale of its own, from zero."
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img"><title>What each server costs for the same work</title><style>{STYLE}</style>'
            f'<rect width="{WIDTH}" height="{height}" rx="10" class="page"/>'
            + text(MARGIN, 36, "What the same work costs", "title")
            + text(MARGIN, 55, "CPU time of all processes of the server, 2 workers each; shorter is better", "quiet")
            + legend(rows) + "".join(parts) + text(MARGIN, height - 22, facts, "quiet") + "</svg>\n")
