// Much work in little input (issue 8, A): what one client, or many, can make a worker do in one turn.
import { execFileSync } from "node:child_process";
import { Polling, upgradeRequest } from "../client/raw.mjs";
import { build } from "../system/build.mjs";
import { Hose, frame, get, kHandshake, many, packet, packets, repeat, webSocket } from "./hose.mjs";

const kPing = frame(0x89, "");
const both = ["node"];
/// For an attack whose attacker and worker wait for each other some thousand times: beside others each of them is a wait for a CPU.
const kPatience = 150_000;
const unserved = ({ served }) => (served ? undefined : "the attacker was not served to the end");
const unasked = ({ served, questions }, { moved }) => {
  if (questions !== 200_000 || moved("handler_exceptions") > 0) return `${questions} questions came, ${moved("handler_exceptions")} handlers failed`;
  return unserved({ served });
};

/// So many `times` of one request on each of `connections`, and all answers; each answer has the length of the first.
async function pipelined(target, connections, times, request) {
  const first = new Hose(target, 0);
  await first.pour(Buffer.from(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")));
  await first.closed;
  const hoses = await many(connections, (i) => new Hose(target, i).connected);
  await Promise.all(hoses.map((hose) => hose.pour(repeat(request, times))));
  const head = hoses[0];
  await head.until(({ received }) => received > 0);
  // All end with the answer to a request that closes, so nobody has to know how long the others are.
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.from(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")))));
  await Promise.all(hoses.map((hose) => hose.until(() => false, kPatience)));
  const whole = hoses.filter(({ end, received }) => end === "end" && received >= times * first.received * 0.8).length;
  return { served: whole === connections, whole, received: hoses.reduce((sum, { received }) => sum + received, 0) };
}

async function pingsThenRead(target) {
  const hose = await webSocket(target, 0, { reading: false });
  const [chunk, times] = [repeat(kPing, 10_000), 900];
  const done = await hose.pour(chunk, times, 1_000); // taken without reading, until nothing is taken any more
  hose.read();
  await hose.pour(chunk, Math.max(0, times - done - 1));
  return { served: await hose.echo(), unread: done * 10_000, received: hose.received };
}

async function backlogThenRead(target) {
  const count = 1_100_000;
  const reader = await webSocket(target, 0);
  await reader.pour(packet('42["enter","r"]'));
  await reader.echo();
  reader.socket.pause();
  const flooder = await webSocket(target, 1);
  await flooder.pour(repeat(packet('42["say","r",1,1]'), 10_000), count / 10_000);
  const served = await flooder.echo(60_000);
  reader.socket.resume();
  const whole = await reader.until(({ received }) => received >= count * '..42["say",1,1]'.length, 20_000);
  return { served, whole, end: reader.end };
}

/// A client that polls does not, has 200,000 broadcasts behind it, and goes on over a WebSocket.
async function upgradesWithQueue(target) {
  const count = 200_000;
  const slow = await Polling.connect(target.port, { from: target.from(0) });
  await slow.post('42["enter","r"]');
  const flooder = await webSocket(target, 1);
  await flooder.pour(repeat(packet('42["say","r",1,1]'), 10_000), count / 10_000);
  const served = await flooder.echo(60_000);
  const hose = new Hose(target, 0);
  await hose.pour(Buffer.concat([Buffer.from(upgradeRequest(`EIO=4&transport=websocket&sid=${slow.sid}`)), packet("2probe")]));
  const probed = await hose.until(({ tail }) => tail.includes("3probe"));
  await hose.pour(packet("5"));
  const whole = await hose.until(({ received }) => received >= count * '..42["say",1,1]'.length, 20_000);
  return { served: served && probed && whole && (await hose.echo()), received: hose.received };
}

async function floodRoom(target) {
  const behind = await many(3, (i) => webSocket(target, i));
  for (const hose of behind) {
    await hose.pour(packet('42["enter","r"]'));
    await hose.echo();
    hose.socket.pause();
  }
  const flooder = await webSocket(target, 9);
  await flooder.pour(repeat(packet('42["say","r",1,1]'), 10_000), 140);
  return { served: await flooder.echo(60_000) };
}

async function flooders(target) {
  const hoses = await many(60, (i) => webSocket(target, i));
  const chunk = repeat(packet('42["x"]'), 2_500);
  await Promise.all(hoses.map((hose) => hose.pour(chunk, 10, 60_000)));
  const served = await Promise.all(hoses.map((hose) => hose.echo(60_000)));
  return { served: served.every(Boolean) };
}

async function throwing(target) {
  const hoses = await many(300, (i) => webSocket(target, i));
  const chunk = repeat(packet('42["throw"]'), 1_000);
  await Promise.all(hoses.map((hose) => hose.pour(chunk)));
  const served = await Promise.all(hoses.map((hose) => hose.echo(60_000)));
  return { served: served.every(Boolean) };
}

async function singleBytes(target) {
  const hose = await webSocket(target, 0);
  const bytes = frame(0x81, `42["nothing","${"x".repeat(966_000)}"]`);
  await hose.pour(bytes.subarray(0, 900_000));
  for (let at = 900_000; at < bytes.length && !hose.end; at += 1) {
    if (at % 64 === 0) await hose.pour(bytes.subarray(at, at + 1));
    else hose.socket.write(bytes.subarray(at, at + 1));
  }
  return { served: await hose.echo() };
}

async function largeMessage(target) {
  const hose = await webSocket(target, 0);
  const bytes = frame(0x81, `42["nothing","${"x".repeat(15_000_000)}"]`);
  for (let at = 0; at < bytes.length; at += 65_536) await hose.pour(bytes.subarray(at, at + 65_536));
  return { served: await hose.echo() };
}

async function enterRooms(hose, count, nameOf) {
  for (let i = 0; i < count; i += 10_000) await hose.pour(packets(Math.min(10_000, count - i), (j) => `42["enter",${JSON.stringify(nameOf(i + j))}]`));
  return hose.echo(60_000);
}

/// It is in all of them afterwards: the last one is heard.
async function movesWithRooms(target) {
  const hose = await webSocket(target, 0);
  await enterRooms(hose, 140_000, (i) => `room ${i}`);
  const { code } = await target.ctl("reload");
  return { served: code === 0 && (await hose.echo()) };
}

/// One leaves; the other is still heard and served.
async function sameRooms(target) {
  const two = await many(2, () => webSocket(target, 0));
  for (const hose of two) await enterRooms(hose, 140_000, (i) => `room ${i}`);
  two[0].destroy();
  const served = await two[1].echo(60_000);
  return { served };
}

async function joins(target) {
  const hose = await webSocket(target, 0);
  return { served: await enterRooms(hose, 120_000, (i) => `room ${i}`) };
}

async function collidingRooms(target) {
  const names = execFileSync(build("colliding_names"), ["45000"], { maxBuffer: 1 << 26 }).toString("latin1").trim().split("\n").map((hex) => Buffer.from(hex, "hex").toString("latin1"));
  const hose = await webSocket(target, 0);
  return { served: names.length === 45_000 && (await enterRooms(hose, names.length, (i) => names[i])) };
}

/// Each event makes the worker ask a question, which nobody answers.
async function openAcknowledgements(target) {
  const hose = await webSocket(target, 0);
  let [questions, rest] = [0, ""];
  hose.socket.prependListener("data", (data) => {
    const parts = (rest + data.toString("latin1")).split('["question","?"]');
    questions += parts.length - 1;
    rest = parts.at(-1).slice(-20);
  });
  await hose.pour(repeat(packet('42["ask me","?"]'), 10_000), 20);
  const served = await hose.until(() => questions === 200_000, 60_000); // an echo's answer would look like one of these
  hose.destroy();
  const other = await webSocket(target, 0); // of the same worker
  return { served: served && (await other.echo(60_000)), questions };
}

async function handshakes(target, connections, times) {
  const hoses = await many(connections, (i) => new Hose(target, i).connected);
  await Promise.all(hoses.map((hose) => hose.pour(repeat(kHandshake, times))));
  await Promise.all(hoses.map((hose) => hose.pour(Buffer.from(get("/worker", "Connection: close\r\n")))));
  await Promise.all(hoses.map((hose) => hose.until(() => false, 60_000)));
  return { served: hoses.every(({ end, tail }) => end === "end" && tail.includes("worker: ")) };
}

async function scaleManySessions(target) {
  const before = await target.stats();
  await handshakes(target, 80, 1_000);
  const { sessions_opened } = await target.stats();
  const codes = [];
  for (const workers of ["1", "3"]) codes.push((await target.ctl("scale", workers)).code);
  return { served: codes.every((code) => code === 0), opened: sessions_opened.total - before.sessions_opened.total };
}

async function largeFile(target) {
  const hose = new Hose(target, 0);
  const times = 200;
  await hose.pour(Buffer.from(get("/1MB").repeat(times - 1) + get("/1MB", "Connection: close\r\n")));
  await hose.until(() => false, kPatience);
  return { served: hose.end === "end" && hose.received > times * 1_000_000, received: hose.received };
}

export const kTurns = [
  { name: "9,000,000 empty pings on one WebSocket, unread, then read", attack: pingsThenRead, right: unserved, rssMiB: 64, peers: both },
  {
    name: "a slow reader with a backlog of 1,100,000 small broadcasts reads on",
    attack: backlogThenRead,
    right: ({ served, whole }, { moved }) => (served && (whole || moved("dropped_stalled") + moved("dropped_overfull") > 0) ? undefined : "the reader was neither served nor dropped and counted"),
    peers: both,
  },
  { name: "an upgrade to WebSocket with 200,000 small broadcasts queued", attack: upgradesWithQueue, right: unserved, peers: both },
  // Each of those behind may hold 4 × send_queue; one worker may have all of them.
  { name: "1,400,000 small events of one client to a room of three that do not read", attack: floodRoom, right: unserved, rssMiB: 3 * 64 + 32, peers: both },
  { name: "60 clients flood 25,000 small events each", attack: flooders, right: unserved, cpu: { elements: 1_500_000, each: 5 }, peers: both },
  // Here more than a turn's worth is there at once; with a flood a worker may keep up.
  { name: "60 connections with 64 KB of pipelined GET / each", app: "chat", attack: (target) => pipelined(target, 60, 2_400, get("/")), right: unserved, moves: { turns_cut_short: 1 }, seconds: kPatience / 1_000, peers: ["node", "nginx"] },
  { name: "60 connections with 64 KB of pipelined GET of what is not there", app: "chat", attack: (target) => pipelined(target, 60, 1_800, get("/nothing")), right: unserved, moves: { turns_cut_short: 1, http_errors: 60 * 1_800 }, seconds: kPatience / 1_000, peers: ["node", "nginx"] },
  { name: "300 clients with 1,000 events each whose handler throws", attack: throwing, right: unserved, moves: { handler_exceptions: 300_000 }, seconds: 60, peers: both },
  // Nobody joins a namespace, so connect_timeout ends 50,000 sessions at about the same time.
  { name: "200 connections with 250 pipelined handshakes each", settings: { connectTimeout: 3_000 }, attack: (target) => handshakes(target, 200, 250), right: unserved, moves: { sessions_opened: 50_000 }, peers: both },
  { name: "a frame of 966,000 bytes, the last 66,000 one by one", attack: singleBytes, right: unserved, cpu: { elements: 66_000, each: 12 }, peers: both },
  // One packet is parsed in one piece: 15 times what the default max_payload allows.
  { name: "a message of 15 MB", settings: { maxHttpBufferSize: 16_000_000 }, attack: largeMessage, right: unserved, turnUs: 20_000, cpu: { elements: 15, each: 100_000 / 15 }, peers: both },
  { name: "two sockets in the same 140,000 rooms, one leaves", attack: sameRooms, right: unserved, cpu: { elements: 3 * 140_000, each: 5 }, rssMiB: 256, peers: both },
  // The names of one client's rooms are written down, and read, in one piece: some 0.4 µs each. It joins them over many turns.
  { name: "a client in 140,000 rooms, and a reload", attack: movesWithRooms, right: unserved, turnUs: 70_000, replaces: true, rssMiB: 256 },
  { name: "120,000 joins of one socket", attack: joins, right: unserved, cpu: { elements: 120_000, each: 5 }, rssMiB: 128, peers: both },
  { name: "45,000 room names with the same std::hash", attack: collidingRooms, right: unserved, cpu: { elements: 45_000, each: 10 }, peers: both },
  { name: "200,000 acknowledgements open, and the socket ends", attack: openAcknowledgements, right: unasked, cpu: { elements: 200_000, each: 8 }, rssMiB: 128, peers: both },
  {
    name: "scale 2 -> 1 -> 3 with 80,000 sessions",
    settings: { connectTimeout: 20_000 },
    attack: scaleManySessions,
    right: ({ served, opened }) => (served && opened === 80_000 ? undefined : "scale failed, or not all sessions were there"),
    replaces: true,
    seconds: 60,
    afterSeconds: 30,
    rssMiB: 256,
  },
  { name: "200 pipelined GET of a file of 1 MB", app: "chat", attack: largeFile, right: unserved, cpu: { elements: 200, each: 1_500 }, rssMiB: 32, seconds: kPatience / 1_000, peers: ["nginx"] },
];
