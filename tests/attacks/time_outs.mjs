// Clients that are slow on purpose (issue 8, C): every time-out is a total.
import { performance } from "node:perf_hooks";
import { Hose, get, many, packet, repeat, webSocket } from "./hose.mjs";

const kPost = (sid) => `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 900000\r\n\r\n`;

/// Session ids of polling sessions, one for each connection.
async function sessions(target, count) {
  return many(count, async (i) => {
    const hose = new Hose(target, i);
    await hose.pour(Buffer.from(get("/socket.io/?EIO=4&transport=polling", "Connection: close\r\n")));
    await hose.until(() => false);
    return hose.tail.match(/"sid":"([^"]+)"/)[1];
  });
}

/// A byte of each body every `everyMs`, until all connections have ended; or so long at most.
async function drip(hoses, everyMs, mostMs) {
  const drops = setInterval(() => hoses.forEach((hose) => hose.end ?? hose.socket.write("x")), everyMs);
  await Promise.all(hoses.map((hose) => hose.until(() => false, mostMs)));
  clearInterval(drops);
  return hoses.filter(({ end }) => end).length;
}

async function drippingBodies(target) {
  const hoses = (await sessions(target, 20)).map((sid, i) => Object.assign(new Hose(target, i), { sid }));
  for (const hose of hoses) await hose.pour(Buffer.from(kPost(hose.sid)));
  return { ended: await drip(hoses, 100, 10_000) };
}

/// The reload's verdict and the end of the dripping bodies, whatever comes first.
async function reloadOverDrip(target) {
  const hoses = (await sessions(target, 20)).map((sid, i) => Object.assign(new Hose(target, i), { sid }));
  for (const hose of hoses) await hose.pour(Buffer.from(kPost(hose.sid)));
  const dripping = drip(hoses, 1_000, 40_000);
  const { code, text } = await target.ctl("reload", "--timeout", "12");
  hoses.forEach((hose) => hose.destroy());
  await dripping;
  return { code, text: text.split("\n").slice(-2).join(" | ") };
}

async function drippingHeads(target) {
  const hoses = await many(20, (i) => new Hose(target, i).connected);
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.from("GET / HTTP/1.1\r\nX-Slow: "))));
  return { ended: await drip(hoses, 100, 10_000) };
}

/// A room's words that one does not read: more than send_queue of them, and less than four times as much.
async function notRead(target, bytes) {
  const reader = await webSocket(target, 0);
  await reader.pour(packet('42["enter","r"]'));
  await reader.echo();
  reader.socket.pause();
  const flooder = await webSocket(target, 0);
  const word = packet(`42["word","r",[],"${"x".repeat(10_000)}"]`);
  const begun = performance.now();
  await flooder.pour(repeat(word, 10), Math.ceil(bytes / 100_000));
  const served = await flooder.echo();
  reader.socket.resume = () => reader.socket; // never again
  const counted = async () => {
    const { dropped_stalled, dropped_overfull } = await target.stats();
    return dropped_stalled.total + dropped_overfull.total;
  };
  while ((await counted()) === 0 && performance.now() - begun < 15_000) await new Promise((resolve) => setTimeout(resolve, 100));
  return { served };
}

/// An answer that is taken at a byte now and then.
async function slowReader(target) {
  const hoses = await many(5, (i) => new Hose(target, i, { reading: false }).connected);
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.from(get("/16MB")))));
  const begun = performance.now();
  const count = async () => (await target.stats()).dropped_slow.total;
  while ((await count()) < 5 && performance.now() - begun < 15_000) await new Promise((resolve) => setTimeout(resolve, 100));
  return {};
}

const notAll = ({ ended }) => (ended === 20 ? undefined : `${ended} of 20 were ended`);
const unserved = ({ served }) => (served ? undefined : "the other client was not served to the end");

export const kTimeOuts = [
  { name: "20 bodies of one byte every 100 ms", settings: { "limits.body_timeout": "500ms" }, attack: drippingBodies, right: notAll, moves: { dropped_slow: 20 }, peers: ["node"] },
  { name: "20 heads of one byte every 100 ms", settings: { "limits.header_timeout": "500ms" }, attack: drippingHeads, right: notAll, moves: { connections_timed_out: 20 }, peers: ["node", "nginx"] },
  {
    name: "a reload, and 20 bodies of one byte a second",
    settings: { "reload.drain_window": "500ms", "reload.probation": "100ms" },
    attack: reloadOverDrip,
    right: ({ code, text }) => (code === 0 ? undefined : `exit code ${code}: ${text}`),
    replaces: true,
    seconds: 60,
  },
  { name: "1.5 × send_queue that one does not read", settings: { "limits.send_queue": "4MiB", "limits.send_stall": "500ms" }, attack: (target) => notRead(target, 12 * 1024 * 1024), right: unserved, moves: { dropped_stalled: 1 }, rssMiB: 48 },
  { name: "more than 4 × send_queue that one does not read", settings: { "limits.send_queue": "1MiB", "limits.send_stall": "30s" }, attack: (target) => notRead(target, 24 * 1024 * 1024), right: unserved, moves: { dropped_overfull: 1 }, rssMiB: 32 },
  { name: "five files of 16 MiB that nobody takes", app: "chat", settings: { "limits.body_timeout": "1s", "limits.idle_timeout": "1s", "limits.send_stall": "1s", "limits.min_rate": 10_000_000 }, attack: slowReader, moves: { dropped_slow: 5 }, rssMiB: 32 },
];
