// More connections, sessions and handshakes than the limits allow (issue 8, B): 503 with Retry-After for what is new, and
// nothing for what is there already, also when it moves.
import { Hose, get, kHandshake, many } from "./hose.mjs";

const kClose = "Connection: close\r\n";

/// How `count` requests, each on a connection that stays open, are answered: {served, refused, told}. `told`: refusals with Retry-After.
async function answers(target, count, from, request) {
  const hoses = await many(count, (i) => new Hose({ ...target, from: () => target.from(from(i)) }, 0));
  for (const hose of hoses) await hose.pour(Buffer.from(request)); // in turn: who comes late is refused
  await Promise.all(hoses.map((hose) => hose.until(({ tail }) => tail.includes("\r\n\r\n"), 5_000)));
  const is = (status) => hoses.filter(({ tail }) => tail.startsWith(`HTTP/1.1 ${status}`));
  const refused = is(503);
  return { hoses, served: is(200).length, refused: refused.length, told: refused.filter(({ tail }) => /\r\nRetry-After: \d+\r\n/i.test(tail)).length };
}

/// Over the cap, then everybody moves.
async function overTheCap(target, request) {
  const { hoses, ...result } = await answers(target, 200, (i) => i, request);
  const codes = [];
  for (const words of [["reload"], ["scale", "3"], ["scale", "1"]]) codes.push((await target.ctl(...words)).code);
  const gone = hoses.filter(({ end, tail }) => end && tail.startsWith("HTTP/1.1 200")).length;
  return { ...result, codes, gone };
}

const wrong = (counter, most) => ({ served, refused, told, codes = [] }, { moved }) => {
  if (served > most || served + refused !== 200) return `${served} of at most ${most} served, ${refused} refused of 200`;
  if (told !== refused) return `${told} of ${refused} refusals have Retry-After`;
  if (moved(counter) < refused) return `${moved(counter)} of ${refused} refusals are counted`;
  return codes.every((code) => code === 0) ? undefined : `exit codes of reload, scale 3, scale 1: ${codes}`;
};

const quick = { "reload.probation": "100ms", "reload.drain_window": "200ms" };
const kWorker = get("/worker");
const oneAddress = () => 0;

export const kCaps = [
  // Of each worker. Its share of the bystanders is in there; polls of theirs would be connections too many.
  { name: "200 connections, limits.connections = 50, then reload and scale", settings: { ...quick, "limits.connections": 50 }, transports: ["websocket"], probed: false, attack: (target) => overTheCap(target, kWorker), right: wrong("refused_connections", 100), moves: { refused_connections: 1 }, replaces: true, seconds: 60 },
  { name: "200 handshakes, limits.sessions = 50, then reload and scale", settings: { ...quick, "limits.sessions": 50 }, attack: (target) => overTheCap(target, kHandshake), right: wrong("refused_sessions", 80), moves: { refused_sessions: 1 }, replaces: true, keepsSessions: true, seconds: 60 },
  { name: "200 connections of one address, limits.connections_per_address = 10", settings: { "limits.connections_per_address": 10 }, attack: async (target) => ({ ...(await answers(target, 200, oneAddress, kWorker)), hoses: undefined }), right: wrong("refused_addresses", 10), moves: { refused_addresses: 190 } },
  { name: "200 handshakes of one address, limits.handshakes_per_second = 10", settings: { connectTimeout: 3_000, "limits.handshakes_per_second": 10 }, attack: async (target) => ({ ...(await answers(target, 200, oneAddress, get("/socket.io/?EIO=4&transport=polling", kClose))), hoses: undefined }), right: wrong("refused_addresses", 60), moves: { refused_addresses: 140 } },
];
