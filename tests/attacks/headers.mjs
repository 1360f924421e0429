// What HTTP and WebSocket read in header lines, in the hands of strangers (issue 9): conditions, ranges, subprotocols, targets in
// absolute form; and heads that do not come, while workers are replaced.
import { upgradeRequest } from "../client/raw.mjs";
import { Hose, get, many } from "./hose.mjs";
import { kQuick, operate } from "./talker.mjs";

const kClose = "Connection: close\r\n";
const unserved = ({ wrong }) => (wrong.length ? wrong.slice(0, 6).join("; ") : undefined);

/// `requests` of one connection, the last of which ends it: how often `words` are in the answers.
async function pipelined(target, number, requests, words) {
  const hose = new Hose(target, number);
  let [found, rest] = [0, ""];
  hose.socket.on("data", (data) => {
    const text = rest + data.toString("latin1");
    found += text.split(words).length - 1;
    rest = text.slice(-(words.length - 1));
  });
  await hose.pour(Buffer.from(requests.join("")));
  await hose.until(() => false, 60_000);
  return found;
}

const asLast = (requests) => [...requests.slice(0, -1), requests.at(-1).replace("\r\n\r\n", `\r\n${kClose}\r\n`)];

/// Each of `connections` sends `each` requests at once; every one of them must be answered with `words`.
async function answered(target, connections, each, request, words) {
  const found = await many(connections, (i) => pipelined(target, i, asLast(Array.from({ length: each }, (_, j) => request(j))), words));
  return { wrong: found.filter((count) => count !== each).map((count) => `${count} of ${each} answers: ${words}`) };
}

/// A file of 16 MiB under 1,800 entity tags, all of which are others.
function conditions(target) {
  const tags = `${Array.from({ length: 1_800 }, (_, i) => `"t${i}"`).join(", ")}, "${"x".repeat(500)}"`;
  return answered(target, 20, 200, () => `HEAD /16MB HTTP/1.1\r\nHost: x\r\nIf-None-Match: ${tags}\r\n\r\n`, "HTTP/1.1 200 OK");
}

const ranges = (target) => answered(target, 30, 1_000, (i) => get("/16MB", `Range: bytes=${i * 16_000}-${i * 16_000}\r\n`), "HTTP/1.1 206 Partial Content");

const absolute = (target) => answered(target, 30, 1_000, () => "GET http://[::ffff:127.0.0.1]:80/worker HTTP/1.1\r\nHost: ignored\r\n\r\n", "HTTP/1.1 200 OK");

/// 400 handshakes offer as many subprotocols as are looked at, 400 one more.
async function subprotocols(target) {
  const offer = (count) => Array.from({ length: count }, (_, i) => `${"p".repeat(200)}${i}`).join(", ");
  const handshake = (count) => upgradeRequest("EIO=4&transport=websocket").replace("\r\n\r\n", `\r\nSec-WebSocket-Protocol: ${offer(count)}\r\n\r\n`);
  const status = async (i, count) => {
    const hose = new Hose(target, i);
    await hose.pour(Buffer.from(handshake(count)));
    await hose.until(({ tail }) => tail.includes("\r\n\r\n"));
    const first = hose.tail.startsWith("HTTP/1.1 101") && !hose.tail.includes(`Sec-WebSocket-Protocol: ${"p".repeat(200)}0\r\n`) ? " without the first" : "";
    hose.destroy();
    return `${hose.tail.slice(9, 12)}${first}`;
  };
  const statuses = [...(await many(400, (i) => status(i, 64))), ...(await many(400, (i) => status(i, 65)))];
  return { wrong: statuses.flatMap((is, i) => (is === (i < 400 ? "101" : "400") ? [] : [`handshake ${i}: ${is}`])) };
}

/// 500 connections that say nothing and 500 heads of which a part is here, while the workers are replaced; then all ask.
async function silence(target) {
  const request = get("/worker", kClose);
  const hoses = await many(1_000, (i) => new Hose(target, i).connected);
  await Promise.all(hoses.map((hose, i) => i % 2 && hose.pour(Buffer.from(request.slice(0, 20)))));
  const refused = await operate(target, ["reload", "scale 1", "scale 2"]);
  await Promise.all(hoses.map((hose, i) => hose.pour(Buffer.from(i % 2 ? request.slice(20) : request))));
  await Promise.all(hoses.map((hose) => hose.until(() => false, 20_000)));
  const lost = hoses.filter(({ tail }) => !tail.startsWith("HTTP/1.1 200"));
  return { wrong: [...refused, ...(lost.length ? [`${lost.length} of 1000 were not answered: ${lost[0].end} ${lost[0].tail.slice(0, 40)}`] : [])] };
}

export const kHeaders = [
  { name: "4,000 HEADs of a file with 15 KB of entity tags each", app: "chat", attack: conditions, right: unserved, cpu: { elements: 4_000, each: 150 }, rssMiB: 32, seconds: 60 },
  { name: "30,000 ranges of one byte of a file of 16 MiB", app: "chat", attack: ranges, right: unserved, cpu: { elements: 30_000, each: 100 }, rssMiB: 32, seconds: 60, peers: ["nginx"] },
  { name: "30,000 targets in absolute form", attack: absolute, right: unserved, cpu: { elements: 30_000, each: 60 }, rssMiB: 32, seconds: 60 },
  { name: "800 handshakes with 64 and 65 subprotocols", attack: subprotocols, right: unserved, rssMiB: 32 },
  { name: "1,000 connections that send nothing or half a head, while workers are replaced", settings: kQuick, attack: silence, right: unserved, replaces: true, seconds: 60 },
];
