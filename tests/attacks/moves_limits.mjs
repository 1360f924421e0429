// Limits and time-outs of strangers in the moment in which an operator replaces the workers: they are totals, and counts stay
// right. And the operator's own socket, when a broken program of this machine has it.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { Polling } from "../client/raw.mjs";
import { Hose, frame, get, kHandshake, many, packet, repeat } from "./hose.mjs";
import { Talker, joinPolling, kOperations, kQuick, operate } from "./talker.mjs";

const listed = (things) => (things.length ? things.slice(0, 5).join("; ") : undefined);
const wrongs = ({ refused, wrong }) => listed([...refused, ...wrong]);
const clean = { right: wrongs, replaces: true, seconds: 90 };

/// Every kind of client that owes something, over one reload after the other: each is ended by its time-out, as without them.
async function debtors(target) {
  const half = (bytes) => async (i) => {
    const hose = new Hose(target, i);
    await hose.pour(Buffer.from(bytes));
    return hose;
  };
  const sids = await many(30, (i) => joinPolling(target, i));
  const kinds = {
    head: await many(30, half("GET /worker HTTP/1.1\r\nX-Slow: ")),
    "silent WebSocket": await many(30, (i) => Talker.join(target, i, { answers: false, heard: () => {} })),
    "WebSocket without a namespace": await many(30, async (i) => new Talker(target, i)),
    "idle connection": await many(30, half(get("/worker"))),
    "upgrade without its end": await many(30, (i) => new Talker(target, i, { query: `EIO=4&transport=websocket&sid=${sids[i].sid}` })),
  };
  const begun = performance.now();
  const ended = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, 0]));
  for (const [kind, hoses] of Object.entries(kinds)) for (const hose of hoses) hose.closed.then(() => (ended[kind] = Math.max(ended[kind], performance.now() - begun)));
  const refused = [];
  while (performance.now() - begun < 9_000) refused.push(...(await operate(target, ["reload"])));
  const open = Object.entries(kinds).map(([kind, hoses]) => [kind, hoses.filter(({ end }) => !end).length]);
  return { refused, ended, wrong: open.filter(([, count]) => count > 0).map(([kind, count]) => `${count} of 30 still open after 9 s: ${kind}`) };
}
const kShort = { pingInterval: 3_000, pingTimeout: 3_000, connectTimeout: 3_000, upgradeTimeout: 3_000, "limits.header_timeout": "3s", "limits.body_timeout": "3s", "limits.idle_timeout": "3s" };

/// Ten connections of one address are allowed. After each move the count is still right: no more, and as many as end may come.
async function countedAddress(target) {
  const wrong = [];
  const open = [];
  const tries = async (count) => {
    const hoses = [];
    for (let i = 0; i < count; i += 1) {
      const talker = new Talker(target, 0);
      await talker.pour(packet("40"));
      await talker.until(({ tail }) => tail.includes('40{"sid"') || tail.includes("HTTP/1.1 503"), 5_000);
      if (talker.tail.includes('40{"sid"')) open.push(talker);
      else hoses.push(talker);
    }
    return count - hoses.length;
  };
  const expect = (what, is, want) => is === want || wrong.push(`${what}: ${is} served, not ${want}`);
  expect("at first", await tries(15), 10);
  // Not over a scale: the address may belong to another worker then, which has its own count.
  const operations = ["reload", "upgrade", "reload"];
  const refused = await operate(target, operations, async (i) => {
    if (i === 0) return;
    const after = operations[i - 1];
    expect(`${after}, full`, await tries(5), 0);
    for (const talker of open.splice(0, 4)) {
      talker.destroy();
      await talker.closed;
    }
    expect(`${after}, four have left`, await tries(8), 4);
    if (open.some(({ end }) => end)) wrong.push(`${after}: one of those inside was ended`);
  });
  return { refused, wrong };
}

/// Requests in a pipeline on 40 connections: what is answered is answered in order, and once.
async function pipelines(target) {
  const wrong = [];
  let over = false;
  const round = repeat(get("/worker") + get("/nothing") + get("/throw"), 40);
  let answers = 0;
  const line = async (i) => {
    while (!over) {
      const hose = new Hose(target, i);
      let [rest, seen] = ["", 0];
      hose.socket.prependListener("data", (data) => {
        const parts = (rest + data.toString("latin1")).split(/HTTP\/1\.1 (\d{3})/);
        for (let at = 1; at < parts.length; at += 2, seen += 1) if (parts[at] !== ["200", "404", "500"][seen % 3]) wrong.push(`answer ${seen} is ${parts[at]}`);
        rest = parts.at(-1).slice(-14);
        answers = answers + (parts.length - 1) / 2;
      });
      let sent = 0;
      while (!over && !hose.end) {
        await hose.pour(round);
        sent += 120;
        if (!(await hose.until(() => seen >= sent, 10_000)) && !hose.end) wrong.push(`${seen} of ${sent} answers within 10 s`);
      }
      if (hose.end && !/Connection: close/i.test(hose.tail)) wrong.push(`ended (${hose.end}) without a word after ${seen} of ${sent}`);
      hose.destroy();
    }
  };
  const going = Array.from({ length: 40 }, (_, i) => line(i));
  const refused = await operate(target, [...kOperations, "reload", "reload"]);
  over = true;
  await Promise.all(going);
  return { refused, wrong, answers };
}

/// 20,000 handshakes of eight addresses when one worker may have 12,000 sessions and 32 MiB: all that there are move.
async function crowded(target) {
  const hoses = await many(80, (i) => new Hose(target, i % 8).connected);
  await Promise.all(hoses.map((hose) => hose.pour(repeat(kHandshake, 249))));
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.from(get("/socket.io/?EIO=4&transport=polling", "Connection: close\r\n")))));
  await Promise.all(hoses.map((hose) => hose.until(() => false, 20_000)));
  const before = await target.stats();
  const refused = await operate(target, ["scale 1", "reload", "scale 2", "upgrade"]);
  const after = await target.stats();
  // The last answers of some are refusals: there were enough sessions at that worker.
  const last = hoses.flatMap(({ tail }, i) => (tail.match(/.*"sid":"([^"]+)"/s) ?? []).slice(1).map((sid) => ({ sid, from: target.from(i % 8) })));
  const served = await Promise.all(last.map(async ({ sid, from }) => (await Object.assign(new Polling(target.port, { from }), { sid }).post("40")).status));
  const wrong = served.flatMap((status, i) => (status === 200 ? [] : [`session ${i}: ${status}`]));
  const [was, is] = [before.sessions_open.total, after.sessions_open.total];
  if (last.length === 0) wrong.push("nobody knows a sid");
  if (was < 13_000 || is < was) wrong.push(`${was} sessions before, ${is} after`);
  const shed = after.shed_for_memory.total;
  return { refused, wrong, was, is, shed };
}

/// Namespaces are joined and left, rooms entered and the client put out by thousands while everything moves.
async function comingsAndGoings(target) {
  let over = false;
  const wrong = [];
  const round = Buffer.concat([...["40/other,", '42/other,["echo",1]', "41/other,", '42["enter","r"]', "40/nowhere,"].map(packet), frame(0x89, "p")]);
  // Of the application's own namespace only now and then: it tells everybody of each who leaves that.
  const again = Buffer.concat(["41", "40", '42["enter","r"]'].map(packet));
  const one = async (i) => {
    for (let turn = 0; !over; turn += 1) {
      const talker = await Talker.join(target, i).catch((error) => wrong.push(error.message));
      if (!(talker instanceof Hose)) return;
      await talker.pour(Buffer.concat([repeat(round, 50 + ((i + turn) % 50)), again, round]));
      if (turn % 3 === 0) await talker.pour(packet('42["disconnect me",true]'));
      else if (turn % 3 === 1) talker.destroy();
      else if (!(await talker.echo(10_000))) wrong.push(`client ${i}: no echo; ${talker.end} ${talker.code}`);
      talker.destroy();
    }
  };
  const going = Array.from({ length: 20 }, (_, i) => one(i));
  const refused = await operate(target, [...kOperations, "reload"]);
  over = true;
  await Promise.all(going);
  const { sessions_open } = await target.stats();
  return { refused, wrong, open: sessions_open.total };
}

/// Of a program that has the operator's socket: garbage, halves, more connections than there may be, and nobody who reads.
async function controlGarbage(target) {
  const file = path.join(target.runtime, "control");
  if ((fs.statSync(file).mode & 0o077) !== 0) return { refused: [], wrong: [`${file} is open to others: ${(fs.statSync(file).mode & 0o777).toString(8)}`] };
  const junk = [Buffer.alloc(100_000, "\xff", "latin1"), Buffer.from('{"verb":"sta'), Buffer.from("\n\n\n"), Buffer.from('{"verb":"stop"'), repeat('{"verb":"status"}\n', 2_000), Buffer.from(`${"[".repeat(90_000)}\n`), Buffer.alloc(0), repeat('{"verb":"reload","no_wait":true}\n', 200), Buffer.alloc(4, 0xff)];
  let over = false;
  let connects = 0;
  const intrude = async (i) => {
    for (let turn = 0; !over; turn += 1, connects += 1) {
      const socket = net.connect({ path: file }).on("error", () => {});
      socket.pause();
      const closed = new Promise((resolve) => socket.on("close", resolve));
      await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
      socket.write(junk[(i + turn) % junk.length]);
      const read = setTimeout(() => socket.destroy(), 100 + 10 * i);
      await closed;
      clearTimeout(read);
    }
  };
  const going = Array.from({ length: 40 }, (_, i) => intrude(i));
  const refused = await operate(target, [...kOperations, "status", "stats"]);
  over = true;
  await Promise.all(going);
  return { refused: refused.filter((word) => !word.includes("busy")), wrong: [], busy: refused, connects };
}

/// Nobody reads the log, everybody's handler throws, and workers are replaced.
async function throwingMoves(target) {
  let over = false;
  const wrong = [];
  const talkers = await many(20, (i) => Talker.join(target, i));
  const going = talkers.map(async (talker) => {
    while (!over && !talker.end) {
      await talker.pour(repeat(packet('42["throw"]'), 100));
      if (!(await talker.echo(20_000))) wrong.push(`no echo: ${talker.end} ${talker.code}`);
    }
  });
  const refused = await operate(target, kOperations);
  over = true;
  await Promise.all(going);
  return { refused, wrong };
}

export const kLimitsThatMove = [
  { name: "150 clients that owe something, and one reload after the other", settings: { ...kQuick, ...kShort }, attack: debtors, ...clean },
  { name: "ten connections of one address, limits.connections_per_address = 10, while workers are replaced", settings: { ...kQuick, "limits.connections_per_address": 10 }, attack: countedAddress, ...clean },
  { name: "40 pipelines of requests while workers are replaced", settings: kQuick, attack: pipelines, ...clean },
  { name: "20,000 handshakes of eight addresses, limits.sessions = 12,000, limits.memory = 32 MiB, while workers are replaced", settings: { ...kQuick, "limits.sessions": 12_000, "limits.memory": "32MiB" }, attack: crowded, ...clean, keepsSessions: true },
  { name: "namespaces joined and left by thousands while workers are replaced", settings: kQuick, attack: comingsAndGoings, ...clean },
  { name: "40 broken programs on the control socket while workers are replaced", settings: kQuick, attack: controlGarbage, ...clean },
  { name: "a log that nobody reads, handlers that throw, while workers are replaced", settings: kQuick, attack: throwingMoves, unread: true, ...clean, moves: { handler_exceptions: 2_000 } },
];
