// HTTP/1.1 and Engine.IO over polling in the hands of strangers (issue 8): bodies in every form, many requests for sessions of
// another worker, upgrades that are left half-way, files under many names, connections that end as soon as they begin.
import { upgradeRequest } from "../client/raw.mjs";
import { until } from "../system/process.mjs";
import { Hose, get, kHandshake, many, packet, repeat } from "./hose.mjs";

const kClose = "Connection: close\r\n";
const kBye = Buffer.from(get("/worker", kClose));
const pathOf = (sid) => `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
const headOf = (path, more) => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n${more}\r\n`;
const post = (sid, body) => `${headOf(pathOf(sid), `Content-Length: ${Buffer.byteLength(body)}\r\n`)}${body}`;
const last = (request) => request.replace("\r\n\r\n", `\r\n${kClose}\r\n`);
const unserved = ({ served }) => (served ? undefined : "the attacker was not served to the end");
const count = (text, words) => text.split(words).length - 1;

/// The answer to one request on a connection of its own: {status, body, hose}.
async function answer(target, number, request) {
  const hose = new Hose(target, number);
  const parts = [];
  hose.socket.on("data", (data) => parts.push(data));
  await hose.pour(Buffer.from(last(request)));
  await hose.until(() => false);
  const [head, ...rest] = Buffer.concat(parts).toString("latin1").split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), body: rest.join("\r\n\r\n") };
}

/// Session ids of `sessions` polling sessions, each from an address of its own; with `join`, in the namespace "/".
const polling = (target, sessions, join = true) =>
  many(sessions, async (i) => {
    const [, sid] = (await answer(target, i, kHandshake)).body.match(/"sid":"([^"]+)"/);
    if (join) await answer(target, i, post(sid, "40")), await answer(target, i, get(pathOf(sid)));
    return sid;
  });

const connections = (target, number) => many(number, (i) => new Hose(target, i).connected);
const ended = (hoses, deadlineMs = 20_000) => Promise.all(hoses.map((hose) => hose.until(() => false, deadlineMs)));

/// The packets of a session's polls, up to the poll with one that `look` is true of.
async function heard(target, sid, look) {
  const packets = [];
  for (let polls = 0; polls < 200; polls += 1) {
    const { status, body } = await answer(target, 0, get(pathOf(sid)));
    packets.push(...body.split("\x1e"));
    if (status !== 200 || packets.some(look)) break;
  }
  return packets;
}

/// An event whose body comes in chunks of one byte.
async function tinyChunks(target) {
  const [sid] = await polling(target, 1);
  const text = `42["echo","${"x".repeat(900_000)}"]`;
  const chunks = [...text].map((byte) => `1\r\n${byte}\r\n`).join("");
  const { status } = await answer(target, 0, `${headOf(pathOf(sid), "Transfer-Encoding: chunked\r\n")}${chunks}0\r\n\r\n`);
  const packets = await heard(target, sid, (packet) => packet.startsWith('42["echo"'));
  return { served: status === 200 && packets.includes(text) };
}

/// Bodies of few bytes and many chunk extensions: how much of that one connection may send.
async function chunkExtensions(target) {
  const sids = await polling(target, 10, false);
  const hoses = await connections(target, sids.length);
  const extended = Buffer.from(`1;a="${"x".repeat(4_000)}"\r\n6\r\n`.repeat(250));
  await Promise.all(hoses.map((hose, i) => hose.pour(Buffer.from(headOf(pathOf(sids[i]), "Transfer-Encoding: chunked\r\n")))));
  const poured = await Promise.all(hoses.map((hose) => hose.pour(extended, 20, 2_000)));
  await ended(hoses, 2_000);
  return { mostMB: Math.max(...poured), open: hoses.filter(({ end }) => !end).length };
}

/// Bodies that lack their last bytes, a few at a time: a slow attacker's connections would time out. Back when nothing of them is
/// on its way any more.
async function halfBodies(target, pathFor) {
  const hoses = [];
  const body = Buffer.alloc(900_000, "x");
  for (let i = 0; i < kHalfBodies; i += 10) {
    const few = Array.from({ length: 10 }, (_, j) => new Hose(target, i + j));
    await Promise.all(few.map((hose, j) => hose.pour(Buffer.concat([Buffer.from(headOf(pathFor(i + j), "Content-Length: 950000\r\n")), body]), 1, 5_000)));
    hoses.push(...few);
  }
  const { memory_accounted } = await target.stats();
  return { accounted: memory_accounted.total, open: hoses.filter(({ end }) => !end).length };
}

const kHalfBodies = 100;
const kLittle = { "limits.memory": "16MiB" };

const heldOrShed = ({ accounted, open }, { moved }) => {
  if (moved("shed_for_memory") + moved("refused_for_memory") === 0) return `${open} of ${kHalfBodies} bodies of 900,000 bytes are held, ${accounted} bytes accounted: nobody was shed or refused`;
};

const halfBodiesOfSessions = async (target) => {
  const sids = await polling(target, kHalfBodies, false);
  return halfBodies(target, (i) => pathOf(sids[i]));
};

/// Requests in a row, in turn for one of 20 sessions of both workers, so that most connections have to change hands again and
/// again: nobody gets fewer answers than requests, and the server's descriptors are in proportion to the connections.
async function manyOwners(target) {
  const [clients, times] = [1_000, 60];
  const sids = await polling(target, 20, false);
  const hoses = await connections(target, clients);
  let open = 0;
  let over = false;
  const watched = until(async () => (open = Math.max(open, (await target.stats()).connections_open.total)) && over, "the end", 60_000, 100);
  const requests = Array.from({ length: times }, (_, i) => post(sids[i % sids.length], "6")).join("");
  const answers = hoses.map((hose) => {
    let seen = 0;
    let rest = "";
    hose.socket.on("data", (data) => {
      const text = rest + data.toString("latin1");
      seen += count(text, "HTTP/1.1 ");
      rest = text.slice(-8); // a part of the words at most
    });
    return () => seen;
  });
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.concat([Buffer.from(requests), kBye]))));
  await ended(hoses, 40_000);
  over = true;
  await watched;
  return { open, clients, whole: answers.filter((seen) => seen() === times + 1).length };
}

const owned = ({ open, clients, whole }) => {
  if (whole !== clients) return `${whole} of ${clients} clients got all answers`;
  // Each client has one relay at a time, of two ends, and another one that is ending.
  return open <= 5 * clients ? undefined : `${open} connections were open in the workers for ${clients} clients`;
};

/// Posts of nothing but the shortest packets there are; an event behind each shows that it was read to its end.
async function tinyPackets(target) {
  const [sid] = await polling(target, 1);
  for (const one of ["6", "3"]) await answer(target, 0, post(sid, `${`${one}\x1e`.repeat(490_000)}42["echo",${one}]`));
  await answer(target, 0, post(sid, `${"40/no,\x1e".repeat(120_000)}42["echo",9]`));
  const packets = await heard(target, sid, (packet) => packet === '42["echo",9]');
  return { echoes: ["6", "3", "9"].filter((one) => packets.includes(`42["echo",${one}]`)).length, refused: packets.filter((packet) => packet.startsWith("44/no,")).length };
}

/// Attachments as base64, ten of an event, in one post; the last of the events comes back whole.
async function base64(target) {
  const [sid] = await polling(target, 1);
  const places = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`).join(",");
  const one = `b${Buffer.alloc(6, 0xa5).toString("base64")}`;
  const event = (name) => [`4510-["${name}",${places}]`, ...Array(10).fill(one)].join("\x1e");
  const body = [...Array(2_000).fill(event("nothing")), event("echo")].join("\x1e");
  const { status } = await answer(target, 0, post(sid, body));
  const packets = await heard(target, sid, (packet) => packet === one);
  return { served: status === 200 && packets.some((packet) => packet.startsWith('4510-["echo"')) && packets.includes(one) };
}

/// Large answers over JSONP, all asked for at once: each is escaped. What the bystanders have said comes before, perhaps alone.
async function jsonp(target) {
  const sids = await polling(target, 20);
  for (const [i, sid] of sids.entries()) await answer(target, i, post(sid, `42["echo","${"x".repeat(900_000)}"]`));
  const echoed = async (sid, i) => {
    for (let polls = 0; polls < 50; polls += 1) {
      const { status, body } = await answer(target, i, get(`${pathOf(sid)}&j=0`));
      if (status !== 200 || !body.startsWith("___eio[0](")) return false;
      if (body.length > 900_000) return true;
    }
    return false;
  };
  const heard = await Promise.all(sids.map(echoed));
  return { echoes: heard.filter(Boolean).length };
}

/// Half of a post for each of 20 sessions when the number of workers changes; what clients owe is due after drain_window.
async function scaleOverHalves(target) {
  const sids = await polling(target, 20, false);
  const hoses = await connections(target, sids.length);
  await Promise.all(hoses.map((hose, i) => hose.pour(Buffer.from(`${headOf(pathOf(sids[i]), "Content-Length: 90000\r\n")}${"x".repeat(30_000)}`))));
  const { code, text } = await target.ctl("scale", "1", "--timeout", "15");
  return { code, text: text.split("\n").slice(-2).join(" | "), told: hoses.filter(({ tail }) => tail.startsWith("HTTP/1.1 408 ")).length };
}

/// WebSockets that say `2probe` for sessions of polling, and go no further; the sessions are what they were.
async function probes(target, sessions, each) {
  const sids = await polling(target, sessions, false);
  const hoses = await connections(target, sessions * each);
  await Promise.all(hoses.map((hose, i) => hose.pour(Buffer.concat([Buffer.from(upgradeRequest(`EIO=4&transport=websocket&sid=${sids[i % sessions]}`)), packet("2probe")]))));
  await ended(hoses, 15_000);
  const sample = sids.filter((_, i) => i % Math.ceil(sessions / 50) === 0);
  const joined = await Promise.all(
    sample.map(async (sid, i) => {
      await answer(target, i, post(sid, "40"));
      return (await answer(target, i, get(pathOf(sid)))).body.startsWith("40{");
    }),
  );
  return { left: hoses.filter(({ end }) => !end).length, probed: hoses.filter(({ tail }) => tail.includes("3probe")).length, served: joined.every(Boolean) };
}

const probesEnd = (least) => ({ left, probed, served }) => {
  if (left > 0) return `${left} probes are open after upgrade_timeout`;
  if (probed < least) return `${probed} of at least ${least} probes were answered`;
  return served ? undefined : "a session was not what it was before its probe";
};

/// Half of the requests belong to the other worker; each client resets its connection as soon as it has asked.
async function resetAtOnce(target) {
  const sids = await polling(target, 50, false);
  for (let round = 0; round < 20; round += 1) {
    const hoses = await connections(target, 500);
    await Promise.all(hoses.map((hose, i) => hose.pour(Buffer.from(get(pathOf(sids[(i + round) % sids.length]))))));
    hoses.forEach(({ socket }) => socket.resetAndDestroy());
    await Promise.all(hoses.map(({ closed }) => closed));
  }
  const open = await until(async () => (await target.stats()).connections_open.total < 200, "connections end", 5_000, 100).catch(() => false);
  return { served: open && (await answer(target, 0, get("/worker"))).status === 200 };
}

/// One file under as many names as there are, and names of none.
async function manyNames(target) {
  const [clients, times] = [20, 3_000];
  const hoses = await connections(target, clients);
  const spelled = (text, bits) => [...text].map((letter, i) => ((bits >> i) & 1 ? `%${letter.charCodeAt(0).toString(16)}` : letter)).join("");
  const names = (client) => Array.from({ length: times }, (_, i) => (i % 3 === 0 ? `/${spelled("index.html", i % 1_024)}?${client}-${i}` : `/${"a".repeat(i % 200)}${client}-${i}`));
  await Promise.all(hoses.map((hose, i) => hose.pour(Buffer.concat([...names(i).map((name) => Buffer.from(`HEAD ${name} HTTP/1.1\r\nHost: x\r\n\r\n`)), kBye]))));
  await ended(hoses);
  return { served: hoses.every(({ end, tail }) => end === "end" && tail.includes("worker: ")) };
}

/// HEAD, OPTIONS and methods that nobody knows, one behind the other: an answer each, in order and no byte between them.
async function oddMethods(target) {
  const methods = ["HEAD", "OPTIONS", "TRACE", "PUT", "A".repeat(5_000), "get"];
  const hoses = await connections(target, 50);
  const seen = hoses.map((hose) => {
    const parts = [];
    hose.socket.on("data", (data) => parts.push(data));
    return parts;
  });
  const requests = Array.from({ length: 600 }, (_, i) => `${methods[i % methods.length]} /worker HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`).join("");
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.concat([Buffer.from(requests), kBye]))));
  await ended(hoses);
  const wrong = seen.map((parts) => outOfStep(Buffer.concat(parts).toString("latin1"), (i) => i < 600 && methods[i % methods.length] === "HEAD")).find(Boolean);
  return { wrong };
}

/// What is wrong with these answers, of which `bodiless(i)` have no body; the last one is of the 601st request.
function outOfStep(text, bodiless) {
  let at = 0;
  for (let i = 0; i <= 600; i += 1) {
    const end = text.indexOf("\r\n\r\n", at);
    const head = text.slice(at, end);
    if (end < 0 || !/^HTTP\/1\.1 (200|405|404|400|501) /.test(head)) return `answer ${i} begins with ${JSON.stringify(head.slice(0, 60))}`;
    at = end + 4 + (bodiless(i) ? 0 : Number(head.match(/\r\nContent-Length: (\d+)/i)[1]));
  }
  return at === text.length ? undefined : `${text.length - at} bytes behind the last answer`;
}

/// Handshakes whose headers name another client each; nobody trusts them.
async function forgedClients(target) {
  const hoses = await connections({ ...target, port: target.port, from: () => target.from(0) }, 200);
  for (const [i, hose] of hoses.entries()) await hose.pour(Buffer.from(get("/socket.io/?EIO=4&transport=polling", `X-Forwarded-For: 10.0.0.${i}\r\nForwarded: for=10.0.0.${i}\r\nX-Real-IP: 10.0.0.${i}\r\n${kClose}`)));
  await ended(hoses);
  return { opened: hoses.filter(({ tail }) => tail.includes('"sid"')).length, refused: hoses.filter(({ tail }) => tail.startsWith("HTTP/1.1 503")).length };
}

export const kRequests = [
  { name: "a polling POST of 900,000 chunks of one byte", attack: tinyChunks, right: unserved, cpu: { elements: 900_000, each: 1 }, rssMiB: 16, peers: ["node"] },
  {
    name: "10 bodies whose chunks have 4,000 bytes of extensions each",
    attack: chunkExtensions,
    right: ({ mostMB, open }) => (open === 0 ? undefined : `${open} of 10 bodies went on after ${mostMB} MB of extensions`),
    rssMiB: 16,
  },
  { name: "100 bodies of sessions that lack their last bytes, limits.memory = 16MiB", settings: kLittle, attack: halfBodiesOfSessions, right: heldOrShed, keepsSessions: true, rssMiB: 16 + 32, seconds: 60 },
  { name: "100 bodies for no route that lack their last bytes, limits.memory = 16MiB", settings: kLittle, attack: (target) => halfBodies(target, () => "/nothing"), right: (result, asked) => (result.open === 0 ? undefined : heldOrShed(result, asked)), rssMiB: 16 + 32, seconds: 60 },
  { name: "1,000 connections with 60 pipelined posts for sessions of both workers", attack: manyOwners, right: owned, rssMiB: 32, seconds: 60 },
  {
    name: "polling POSTs of 490,000 packets of one byte and of 120,000 CONNECTs that are refused",
    attack: tinyPackets,
    right: ({ echoes, refused }) => (echoes === 3 && refused === 120_000 ? undefined : `${echoes} of 3 echoes, ${refused} of 120,000 refusals`),
    cpu: { elements: 1_100_000, each: 1 },
    rssMiB: 48,
    peers: ["node"],
  },
  { name: "a polling POST of 20,000 base64 attachments", attack: base64, right: unserved, cpu: { elements: 20_000, each: 10 }, rssMiB: 32, peers: ["node"] },
  { name: "20 polls of 900 KB over JSONP at once", attack: jsonp, right: ({ echoes }) => (echoes === 20 ? undefined : `${echoes} of 20 large echoes came`), keepsSessions: true, rssMiB: 64, peers: ["node"] },
  {
    name: "scale 2 -> 1 with half a post of each of 20 sessions",
    settings: { "reload.drain_window": "500ms", "reload.drain_deadline": "8s" },
    attack: scaleOverHalves,
    right: ({ code, text, told }) => (code === 0 && told > 0 ? undefined : `exit code ${code}, ${told} of 20 told 408: ${text}`),
    replaces: true,
    keepsSessions: true,
    seconds: 60,
  },
  { name: "2,000 sessions, each with an upgrade that stops at its probe", settings: { upgradeTimeout: 2_000 }, attack: (target) => probes(target, 2_000, 1), right: probesEnd(2_000), moves: { sessions_opened: 2_000 }, keepsSessions: true, seconds: 60 },
  { name: "one session with 2,000 upgrades at once that stop at their probes", settings: { upgradeTimeout: 2_000 }, attack: (target) => probes(target, 1, 2_000), right: probesEnd(1), keepsSessions: true, seconds: 60 },
  { name: "10,000 connections that ask for a session of either worker, and are reset", attack: resetAtOnce, right: unserved, moves: { connections_accepted: 10_000 }, keepsSessions: true, rssMiB: 32, seconds: 60 },
  { name: "60,000 names of files, a third of them one file", app: "chat", attack: manyNames, right: unserved, moves: { http_errors: 40_000 }, cpu: { elements: 60_000, each: 40 }, rssMiB: 32, peers: ["nginx"] },
  { name: "30,000 pipelined HEAD, OPTIONS and unknown methods with bodies", attack: oddMethods, right: ({ wrong }) => wrong, rssMiB: 32 },
  {
    name: "200 handshakes of one address that name 200 clients in headers, limits.handshakes_per_second = 10",
    settings: { connectTimeout: 3_000, "limits.handshakes_per_second": 10 },
    attack: forgedClients,
    right: ({ opened, refused }) => (opened <= 60 && opened + refused === 200 ? undefined : `${opened} opened, ${refused} refused`),
    moves: { refused_addresses: 140 },
  },
];
