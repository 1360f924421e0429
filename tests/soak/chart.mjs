// docs/results-reload.svg: for each server a strip, second by second: the 99th percentile of an echo as a line on a
// logarithmic scale, disconnects as bars with their number.
const width = 900;
const margin = { left: 78, right: 28, top: 84, bottom: 64 };
const strip = { height: 96, gap: 46 };
const scale = { least: 1, most: 10_000 }; // ms

const style = `
  .page { fill: #ffffff } .title { fill: #1b2733; font-size: 19px; font-weight: 650 } .text { fill: #3c4a57 } .quiet { fill: #6b7986; font-size: 12px }
  .rule { stroke: #e3e9ee } .line { stroke: #0f8b8d; fill: none; stroke-width: 1.8 } .dot { fill: #0f8b8d } .bar { fill: #d9534f; fill-opacity: 0.75 } .calm { fill: #6b7986; fill-opacity: 0.08 }
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 13px }
  .strong { font-weight: 650 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0f171e } .title { fill: #eef3f7 } .text { fill: #c6d1da } .quiet { fill: #8b9aa7 } .rule { stroke: #22303b }
    .line { stroke: #2fb5b0 } .dot { fill: #2fb5b0 } .bar { fill: #e0736f }
  }
`;

const text = (x, y, content, classes = "text", anchor = "start") => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" class="${classes}" text-anchor="${anchor}">${content.replace(/&/g, "&amp;").replace(/</g, "&lt;")}</text>`;

function stripOf({ name, operation, history, report }, top, { seconds, mostDisconnects, calmSeconds }) {
  const inner = width - margin.left - margin.right;
  const x = (second) => margin.left + (second / seconds) * inner;
  const bottom = top + strip.height;
  const y = (ms) => bottom - (Math.log10(Math.min(Math.max(ms, scale.least), scale.most) / scale.least) / Math.log10(scale.most / scale.least)) * strip.height;
  const parts = [text(margin.left, top - 10, name, "text strong"), text(width - margin.right, top - 10, `${operation}; ${report.disconnects.toLocaleString("en-US")} disconnects`, "quiet", "end")];
  parts.push(`<rect x="${margin.left}" y="${top}" width="${(x(calmSeconds) - margin.left).toFixed(1)}" height="${strip.height}" class="calm"/>`);
  for (let ms = scale.least; ms <= scale.most; ms *= 10) {
    parts.push(`<line x1="${margin.left}" x2="${width - margin.right}" y1="${y(ms).toFixed(1)}" y2="${y(ms).toFixed(1)}" class="rule"/>`);
    if (ms > scale.least) parts.push(text(margin.left - 8, y(ms) + 4, ms < 1000 ? `${ms} ms` : `${ms / 1000} s`, "quiet", "end"));
  }
  const shown = history.slice(0, seconds);
  shown.forEach(({ disconnects }, second) => {
    if (disconnects === 0) return;
    const height = (disconnects / mostDisconnects) * strip.height;
    parts.push(`<rect x="${(x(second) + 1).toFixed(1)}" y="${(bottom - height).toFixed(1)}" width="${(inner / seconds - 2).toFixed(1)}" height="${height.toFixed(1)}" class="bar"><title>${disconnects} disconnects</title></rect>`);
  });
  // A second in which no echo came back has no latency: the line has a gap there.
  let pen = "M";
  const line = [];
  shown.forEach(({ latencies }, second) => {
    const { count, p99 } = latencies.summary();
    if (count === 0) return (pen = "M");
    line.push(`${pen}${x(second + 0.5).toFixed(1)} ${y(p99).toFixed(1)}`);
    pen = "L";
  });
  parts.push(`<path d="${line.join(" ")}" class="line"/>`);
  return parts.join("");
}

/// run: as for writeReloads
export function reloadsSvg({ runs, calmSeconds, seconds, every }) {
  const shared = { calmSeconds: calmSeconds + 1, seconds: calmSeconds + 1 + seconds, mostDisconnects: Math.max(1, ...runs.flatMap(({ history }) => history.map(({ disconnects }) => disconnects))) };
  const height = margin.top + runs.length * (strip.height + strip.gap) + margin.bottom - strip.gap;
  const strips = runs.map((run, i) => stripOf(run, margin.top + 16 + i * (strip.height + strip.gap), shared));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>Reloads under load</title><style>${style}</style>` +
    `<rect width="${width}" height="${height}" rx="10" class="page"/>` +
    text(28, 36, "Reloads under load", "title") +
    text(28, 56, `Line: 99 % of the echoes of a second were back by then. Bars: sessions disconnected in that second, at most ${shared.mostDisconnects.toLocaleString("en-US")}.`, "quiet") +
    strips.join("") +
    text(28, height - 16, `${calmSeconds} s of load without an operation (shaded), then an operation every ${every} s, for ${seconds} s.`, "quiet") +
    "</svg>\n"
  );
}
