// scripts/soak: a cluster of its own under load while it is reloaded, upgraded or scaled again and again.
import { parseArgs } from "node:util";
import { Cluster } from "../system/cluster.mjs";
import { underLoad, wordsOf } from "./reloads.mjs";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    workers: { type: "string", default: "2" },
    "web-sockets": { type: "string", default: "1000" },
    pollers: { type: "string", default: "200" },
    echoes: { type: "string", default: "500" },
    operation: { type: "string", default: "reload" }, // or upgrade, or scale
  },
});

const cluster = await Cluster.start({ workers: Number(values.workers) });
try {
  const result = await underLoad(
    cluster.port,
    async (turn) => {
      const { code, text } = await cluster.ctl(...wordsOf(values.operation, turn));
      if (code !== 0) throw new Error(`${text}\n${cluster.process.tail()}`);
    },
    {
      seconds: Number(values.seconds),
      webSockets: Number(values["web-sockets"]),
      pollers: Number(values.pollers),
      echoes: Number(values.echoes),
      progress: (line) => console.log(line),
    },
  );
  const { operations, calm, busy, report } = result;
  console.log(`${operations.length} times ${values.operation}, ${(operations.reduce((sum, ms) => sum + ms, 0) / operations.length).toFixed(0)} ms each`);
  console.table({ "echo, calm": calm.echo, [`echo, ${values.operation}`]: busy.echo, "http, calm": calm.http, [`http, ${values.operation}`]: busy.http });
  console.log(report);
  const added = Math.max(busy.echo.p99 - calm.echo.p99, busy.http.p99 - calm.http.p99);
  console.log(`99th percentile: ${added.toFixed(1)} ms more with ${values.operation}`);
  const whole = report.failed_requests + report.failed_connects + report.disconnects + report.mistakes + report.missing === 0;
  process.exitCode = whole && added < 100 ? 0 : 1;
  if (!whole) {
    console.log(cluster.process.lines.filter((line) => /warn|error/.test(line)).slice(-40).join("\n"));
    const counters = Object.entries(await cluster.stats()).filter(([name, { total }]) => /^(broadcasts|ring|sessions|handovers|requests)_/.test(name) && total > 0);
    console.log(counters.map(([name, { total }]) => `${name} ${total}`).join(", "));
  }
} finally {
  await cluster.close();
}
