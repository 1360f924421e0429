// WebSocket frames and Engine.IO and Socket.IO packets that are allowed, or nearly, and that nobody in his right mind would send.
import { Decoder } from "socket.io-parser";
import { client, leave } from "../client/official.mjs";
import { Polling, upgradeRequest } from "../client/raw.mjs";
import { Hose, frame, kHandshake, many, packet, packets, repeat, webSocket } from "./hose.mjs";

const both = ["node"];
const unserved = ({ served }) => (served ? undefined : "the attacker was not served to the end");
const kPlace = (num) => `{"_placeholder":true,"num":${num}}`;
const kLongestRoomName = 65_535; // bytes
const names = (count) => Array.from({ length: count }, (_, i) => (i + 50_000).toString(36));

/// One message in 3,000,000 empty fragments, with a ping and a pong behind each tenth.
async function emptyFragments(target) {
  const hose = await webSocket(target, 0);
  const chunk = repeat(Buffer.concat([repeat(frame(0x00, ""), 10), frame(0x89, ""), frame(0x8a, "")]), 1_000);
  await hose.pour(frame(0x01, '42["nothing",1'));
  await hose.pour(chunk, 300);
  await hose.pour(frame(0x80, "]"));
  return { served: await hose.echo() };
}

/// One event that goes to, or spares, so many rooms; listeners on both workers are in the last one.
async function manyRooms(target, count) {
  const rooms = JSON.stringify(names(count));
  const listeners = await many(6, (i) => webSocket(target, i + 1));
  await Promise.all(listeners.map((hose) => hose.pour(packet(`42["enter",${JSON.stringify(names(count).at(-1))}]`)).then(() => hose.echo())));
  const hose = await webSocket(target, 0);
  await hose.pour(Buffer.concat([packet(`42["word",[],${rooms},"spared"]`), packet(`42["word",${rooms},[],"chosen"]`)]));
  const served = await hose.echo(20_000);
  const heard = await Promise.all(listeners.map((each) => each.until(({ tail }) => tail.includes('["word","chosen"]'), 3_000)));
  return { served, deaf: heard.filter((each) => !each).length, spared: listeners.filter(({ tail }) => tail.includes('"spared"')).length };
}

async function withAuth(target, number, auth) {
  const hose = new Hose(target, number);
  await hose.pour(Buffer.concat([Buffer.from(upgradeRequest("EIO=4&transport=websocket")), packet(`40${auth}`)]));
  if (!(await hose.until(({ tail }) => tail.includes('40{"sid"')))) throw new Error(`no CONNECT: ${hose.end}`);
  return hose;
}

/// Small events whose handler looks at an auth of 320,000 empty arrays.
async function looksAtAuth(target, times) {
  const hose = await withAuth(target, 0, `{"a":[${"[],".repeat(320_000)}1]}`);
  await hose.pour(repeat(packet('42["whoami"]'), times));
  return { served: await hose.echo(50_000) };
}

async function heldAuth(target) {
  const hoses = await many(60, (i) => withAuth(target, i, `{"a":"${"x".repeat(990_000)}"}`));
  await Promise.all(hoses.map((hose) => hose.echo()));
  return { open: hoses.filter(({ end }) => !end).length, accounted: target.runtime && (await target.stats()).memory_accounted.total };
}

/// A socket in so many rooms ends whose names are as long as may be.
async function longNames(target, count) {
  const hose = await webSocket(target, 0);
  for (let i = 0; i < count; i += 1) await hose.pour(packet(`42["enter","${`${i}`.padEnd(kLongestRoomName, "n")}"]`));
  const served = await hose.echo();
  hose.destroy();
  await hose.closed;
  const other = await webSocket(target, 0); // of the same worker, which has begun with the end by now
  return { served: served && (await other.echo()) };
}

/// Words to rooms with names of so many bytes: who joined is heard, whatever its worker, and after it has moved too; a name that is
/// too long is nobody's room, and joining it and speaking to it are errors of the handler.
async function longNamesHeard(target, lengths) {
  const wrong = [];
  const rooms = lengths.map((length) => `${length}`.padEnd(length, "n"));
  const listeners = await many(6, (i) => webSocket(target, i + 1));
  await Promise.all(listeners.map((hose) => hose.pour(Buffer.concat(rooms.map((room) => packet(`42["enter","${room}"]`)))).then(() => hose.echo())));
  for (const moved of [false, true]) {
    if (moved) await target.ctl("reload");
    const hose = await webSocket(target, 0);
    for (const [i, room] of rooms.entries()) await hose.pour(packet(`42["word","${room}",[],"${moved} ${lengths[i]}"]`));
    await hose.echo();
    await hose.pour(packet(`42["word",[],[],"${moved} the end"]`));
    await Promise.all(listeners.map((each) => each.until(({ tail }) => tail.includes(`["word","${moved} the end"]`), 3_000)));
    for (const length of lengths) {
      const heard = listeners.filter(({ tail }) => tail.includes(`["word","${moved} ${length}"]`)).length;
      if (heard !== (length <= kLongestRoomName ? 6 : 0)) wrong.push(`${heard} of 6 with ${length} bytes${moved ? " after a reload" : ""}`);
    }
  }
  const failures = target.runtime && (await target.stats()).handler_exceptions.total;
  return { wrong, failures, gone: listeners.filter(({ end }) => end).length };
}

/// An official client hears an event with so many arguments whole, or its sender was refused; it does not fail.
async function manyArguments(target, counts) {
  const failures = [];
  process.on("uncaughtException", ({ message }) => failures.push(message));
  const listener = client(`http://127.0.0.1:${target.port}`, { from: target.from(1), transports: ["websocket"] });
  await new Promise((resolve) => listener.once("connect", resolve));
  const heard = [];
  const accepted = [];
  listener.on("word", (...args) => heard.push(args.length));
  for (const count of counts) {
    const hose = await webSocket(target, 0);
    await hose.pour(packet(`42["word to others"${",1".repeat(count)}]`));
    if (await hose.echo()) accepted.push(count);
    hose.destroy();
  }
  const hose = await webSocket(target, 0);
  await hose.pour(packet('42["word to others"]'));
  await hose.echo();
  for (let i = 0; i < 100 && heard.at(-1) !== 0; i += 1) await new Promise((resolve) => setTimeout(resolve, 20)); // the last word, of none
  leave(listener);
  return { accepted, heard: heard.filter((count) => count > 0), failures };
}

const unheard = ({ accepted, heard, failures }) => {
  if (!accepted.includes(8_000)) return `accepted with ${accepted} arguments only`;
  if (failures.length > 0) return `an official client failed: ${failures[0]}`;
  return JSON.stringify(accepted) === JSON.stringify(heard) ? undefined : `accepted with ${accepted} arguments, heard with ${heard}`;
};

async function connectStorm(target) {
  const hoses = await many(4, (i) => webSocket(target, i));
  const chunk = repeat(Buffer.concat([packet('40/other,{"a":1}'), packet("41/other,"), packet("40/nowhere,")]), 2_500);
  await Promise.all(hoses.map((hose) => hose.pour(chunk, 10)));
  const served = await Promise.all(hoses.map((hose) => hose.echo()));
  return { served: served.every(Boolean) };
}

/// What the official parser makes of a packet and its attachments: its arguments, or undefined if it refuses.
function parsed(text, attachments) {
  let data;
  const decoder = new Decoder();
  decoder.on("decoded", (packet) => (data = packet.data.slice(1)));
  try {
    decoder.add(text);
    for (const each of attachments) decoder.add(Buffer.from(each));
  } catch {
    return undefined;
  }
  return data;
}

/// Each packet from a client of its own, to everybody: {packet, what} for those that official clients should not have heard, or
/// heard as something else. `strict`: one that the official parser takes must not be refused.
async function relayed(target, cases, strict) {
  const url = `http://127.0.0.1:${target.port}`;
  const listeners = ["websocket", "polling", "websocket", "polling"].map((transport, i) => client(url, { from: target.from(i), transports: [transport] }));
  const heard = listeners.map(() => []);
  const wrong = [];
  await Promise.all(listeners.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  listeners.forEach((socket, i) => {
    socket.on("disconnect", (reason) => wrong.push({ what: `an official client: ${reason}` }));
    socket.on("word", (...args) => heard[i].push(JSON.stringify(args)));
  });
  const wanted = [];
  const send = async ([text, ...attachments], number) => {
    const args = parsed(text, attachments);
    const hose = await webSocket(target, 9);
    await hose.pour(Buffer.concat([packet(`4${text}`), ...attachments.map((each) => frame(0x82, each))]));
    const taken = await hose.echo();
    hose.destroy();
    if (taken) wanted.push(JSON.stringify(args));
    if (taken && args === undefined) wrong.push({ packet: text.slice(0, 100), what: "taken" });
    if (!taken && args !== undefined && strict) wrong.push({ packet: text.slice(0, 100), what: "refused", number });
  };
  for (const [number, each] of cases.entries()) await send(each, number);
  await send(['2["word to others","the end"]']);
  const ended = () => heard.every((words) => words.at(-1) === '["the end"]');
  for (let i = 0; i < 250 && !ended(); i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  for (const words of heard) {
    const at = wanted.findIndex((each, i) => words[i] !== each);
    if (at >= 0) wrong.push({ packet: wanted[at].slice(0, 100), what: `heard as ${words[at]?.slice(0, 100)}` });
  }
  const result = { wrong: wrong.slice(0, 5), count: wrong.length, taken: wanted.length };
  leave(...listeners);
  return result;
}

const asParsed = ({ wrong, count, taken }) => (count === 0 && taken > 10 ? undefined : `${count} packets were wrong, ${taken} taken: ${JSON.stringify(wrong)}`);

/// Placeholders in odd places, orders, spellings and numbers.
function oddPlaceholders() {
  const key = "_placeholder";
  const one = [
    kPlace(0), kPlace(7), kPlace(-1), kPlace(0.5), kPlace('"0"'), kPlace("null"), kPlace("[0]"), kPlace("00"), kPlace("1e0"), kPlace("18446744073709551616"), kPlace(kPlace(0)),
    '{"num":0,"_placeholder":true}', '{"num":7,"_placeholder":true}', '{ "_placeholder" : true , "num" : 7 }', '{"_placeholder":true}', '{"_placeholder":true,"x":1,"num":7}',
    '{"\\u005fplaceholder":true,"num":7}', '{"_placeholder":true,"num":0,"num":7}', '{"_placeholder":true,"num":0,"n\\u0075m":7}', `{"${key}":false,"${key}":true,"num":7}`,
    `{"${key}":true,"${key}":false,"num":7}`, '{"_placeholder":1,"num":7}', '{"_placeholder":"true","num":7}', '{"__proto__":{"_placeholder":true,"num":7}}', `{"a":[{"b":${kPlace(7)}}]}`,
    `"_placeholder\\":true,\\"num\\":7"`, `${"[".repeat(3_000)}${kPlace(7)}${"]".repeat(3_000)}`, `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`,
  ];
  const cases = one.flatMap((odd) => [[`51-["word to others",${odd}]`, "A"], [`51-["word to others",${kPlace(0)},${odd}]`, "A"], [`51-["word to others",${odd},${kPlace(0)}]`, "A"], [`2["word to others",${odd}]`]]);
  const two = [[`${kPlace(1)},${kPlace(0)}`], [`${kPlace(1)},${kPlace(1)}`], ['"none"'], [`{"x":${kPlace(0)},"y":{"z":${kPlace(1)}}}`]];
  return [...cases, ...two.map(([args]) => [`52-["word to others",${args}]`, "A", "B"])].filter(([text]) => text.length < 200_000);
}

/// Texts that are JSON, or nearly; always the same.
function nearlyJson(count) {
  let seed = 8;
  const below = (n) => ((seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648), Math.floor((seed / 2_147_483_648) * n));
  const good = ['{"a":[1,-0.5e+7,true,null,"\\ud83d\\ude00é€"],"b":{"":{}},"a":2}', '["\\u001e","\\"\\\\\\/\\b\\f\\n\\r\\t\\ud800",[[[]]],{"__proto__":1}]', '[0,-0,1E5,1e999,123456789012345678901234567890,false]'];
  const pieces = ["\x1e", "\x00", "\x1f", "\u007f", "\u0085", "\u2028", "\ufeff", "\\", '"', "'", "\\u", "\\ud800", "\\x41", ",", ":", "{", "}", "[", "]", "0", "-", "+", ".", "e", "E", "nul", "true", "NaN", "Infinity", "/*", "//", " ", "\t", "\n", "\x0b", "\u00a0", "1", "x"];
  const texts = Array.from({ length: count }, () => {
    let text = good[below(good.length)];
    for (let changes = 1 + below(2); changes > 0; changes -= 1) {
      const at = below(text.length + 1);
      text = text.slice(0, at) + (below(4) === 0 ? "" : pieces[below(pieces.length)]) + text.slice(at + below(2));
    }
    return [`2["word to others",${text}]`];
  });
  return [...good.map((text) => [`2["word to others",${text}]`]), ...texts];
}

/// Large words to a room of four that poll, none before all words are said.
async function largeWords(target) {
  const listeners = await many(4, (i) => Polling.connect(target.port, { from: target.from(i + 1) }));
  for (const listener of listeners) await listener.post('42["enter","r"]');
  const hose = await webSocket(target, 0);
  for (let i = 0; i < 16; i += 1) await hose.pour(packet(`42["word","r",[],"${"x".repeat(900_000)}"]`));
  const served = await hose.echo();
  let [most, got] = [0, 0];
  for (const listener of listeners) {
    const begun = performance.now();
    for (let mine = 0; mine < 16 && performance.now() - begun < 15_000; ) {
      const answer = await listener.packets();
      const words = answer.filter((each) => each.startsWith('42["word"'));
      mine += words.length;
      most = Math.max(most, words.length);
      got += words.length;
    }
  }
  return { served: served && got === 4 * 16, got, most };
}

/// Sessions over polling that join and are never seen again; each end is told to those that are still there.
async function leftSessions(target, count) {
  const each = count / 40;
  const hoses = await many(40, (i) => new Hose(target, i).connected);
  const joined = await Promise.all(
    hoses.map(async (hose) => {
      let all = "";
      hose.socket.prependListener("data", (data) => (all += data.toString("latin1")));
      await hose.pour(repeat(kHandshake, each));
      await hose.until(() => all.split('"sid"').length > each);
      const sids = [...all.matchAll(/"sid":"([^"]+)"/g)].map(([, sid]) => sid);
      all = "";
      await hose.pour(Buffer.concat(sids.map((sid) => Buffer.from(`POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n40`))));
      await hose.until(() => all.split("200 OK").length > each);
      return all.split("200 OK").length - 1;
    }),
  );
  const begun = performance.now();
  const open = async () => (target.runtime ? (await target.stats()).sockets_open.total : 0);
  while ((await open()) > 20 && performance.now() - begun < 20_000) await new Promise((resolve) => setTimeout(resolve, 200));
  return { served: joined.reduce((sum, mine) => sum + mine, 0) === count && (await open()) <= 20 };
}

/// Clients that end in the middle of everything, half of them with a reset.
async function endsInTheMiddle(target) {
  const acts = [
    packet(`4510-["nothing",${kPlace(0)}]`),
    Buffer.concat([packet(`452-["nothing",${kPlace(0)},${kPlace(1)}]`), frame(0x82, Buffer.alloc(300_000))]),
    frame(0x01, `4${"x".repeat(5_000)}`),
    frame(0x82, Buffer.alloc(900_000)).subarray(0, 500_000),
    repeat(packet('42["ask me","what?"]'), 500),
    repeat(packet('42["ask me within",2147483647]'), 500),
    packets(500, (i) => `42["enter","room ${i}"]`),
    Buffer.concat([packet("40/other,{}"), repeat(packet('42/other,["disconnect me",true]'), 100)]),
    repeat(packet('42["disconnect me",true]'), 500),
    Buffer.concat([packet("41"), packet("40"), packet("41")]),
    repeat(packet('42["burst",100,"x"]'), 100),
    repeat(packet('42["word","a",[],"x"]'), 100),
    Buffer.concat([frame(0x88, ""), repeat(packet('42["word to all","after the end"]'), 100)]),
    Buffer.from([0x81]),
  ];
  let late = 0;
  for (let round = 0; round < 4; round += 1) {
    const hoses = await many(acts.length * 8, (i) => webSocket(target, i));
    await Promise.all(hoses.map((hose, i) => hose.pour(acts[i % acts.length])));
    late += hoses.filter(({ tail }) => tail.includes("after the end")).length;
    hoses.forEach((hose, i) => (Math.floor(i / acts.length) % 2 ? hose.socket.resetAndDestroy() : hose.destroy()));
    await Promise.all(hoses.map(({ closed }) => closed));
  }
  return { late };
}

/// Every socket is in every room, and each word goes to all rooms: once to each of them.
async function everyRoom(target) {
  const count = 300;
  const rooms = JSON.stringify(names(count));
  const hoses = await many(40, (i) => webSocket(target, i));
  await Promise.all(hoses.map((hose) => hose.pour(packets(count, (i) => `42["enter","${names(count)[i]}"]`)).then(() => hose.echo())));
  const heard = hoses.map(() => 0);
  hoses.forEach((hose, i) => hose.socket.on("data", (data) => (heard[i] += data.toString("latin1").split('42["word","x"]').length - 1))); // bystanders chat beside it
  await hoses[0].pour(repeat(packet(`42["word",${rooms},[],"x"]`), 50));
  const served = await hoses[0].echo();
  for (let i = 0; i < 250 && heard.some((words, j) => j > 0 && words < 50); i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  return { served, wrong: heard.filter((words, i) => words !== (i === 0 ? 0 : 50)).length };
}

export const kPackets = [
  { name: "one message in 3,000,000 empty fragments, with pings and pongs between them", attack: emptyFragments, right: unserved, cpu: { elements: 3_600_000, each: 0.5 }, rssMiB: 16, peers: both },
  {
    // One broadcast names at most 65,535 rooms, and is worked off in one piece: some 0.25 µs each.
    name: "one event that spares 40,000 rooms, and one to as many", turnUs: 30_000,
    attack: (target) => manyRooms(target, 40_000),
    right: ({ served, deaf, spared }) => (served && deaf === 0 && spared === 0 ? undefined : `served: ${served}; of 6 clients ${deaf} did not hear what they should, and ${spared} heard what they should not`),
    cpu: { elements: 80_000, each: 10 },
    rssMiB: 64,
    peers: both,
  },
  // A handler may take its time; others have theirs between two.
  { name: "300 small events whose handler looks at an auth of 320,000 arrays", attack: (target) => looksAtAuth(target, 300), right: unserved, cpu: { elements: 300, each: 20_000 }, seconds: 60, rssMiB: 64, peers: both },
  {
    name: "60 sockets with an auth of 990 KB each",
    attack: heldAuth,
    right: ({ open, accounted }) => (open === 60 && accounted >= 60 * 990_000 && accounted < 1.25 * 60 * 990_000 ? undefined : `${open} sockets, ${accounted} bytes accounted of ${60 * 990_000}`),
    rssMiB: 60 * 1.25,
  },
  { name: "a socket in 3,000 rooms with the longest names, and it ends", attack: (target) => longNames(target, 3_000), right: unserved, rssMiB: 200 * 1.25, peers: both },
  {
    name: "rooms with names of 1,000 to 500,000 bytes, and a reload",
    settings: { "reload.probation": "100ms", "reload.drain_window": "200ms" },
    attack: (target) => longNamesHeard(target, [1_000, 65_535, 65_536, 500_000]),
    // 6 that join two rooms with too long a name, and two words to these before and after the reload.
    right: ({ wrong, failures, gone }) => (wrong.length === 0 && failures === 16 && gone === 0 ? undefined : `heard by ${wrong.join(", ")}; ${failures} handlers failed; ${gone} were disconnected`),
    replaces: true,
    rssMiB: 64,
  },
  { name: "events with 1,000 to 300,000 arguments, and official clients that hear them", attack: (target) => manyArguments(target, [1_000, 8_000, 10_000, 40_000, 65_000, 300_000]), right: unheard },
  { name: "100,000 connects and disconnects of a namespace, and as many of none", attack: connectStorm, right: unserved, cpu: { elements: 300_000, each: 5 }, rssMiB: 64, peers: both },
  // Limpet may refuse what the official parser takes, never the other way round.
  { name: "placeholders in odd places, relayed to official clients", attack: (target) => relayed(target, oddPlaceholders(), false), right: asParsed, rssMiB: 16 },
  { name: "500 texts that are nearly JSON, relayed to official clients", attack: (target) => relayed(target, nearlyJson(500), true), right: asParsed, rssMiB: 16 },
  { name: "16 words of 900 KB to four clients that poll late", attack: largeWords, right: ({ served, got, most }) => (served ? undefined : `${got} words of 64 came, ${most} in one answer at most`), rssMiB: 64 },
  { name: "2,000 sessions that join and are left", settings: { pingInterval: 4_000, pingTimeout: 3_000 }, attack: (target) => leftSessions(target, 2_000), right: unserved, rssMiB: 64 },
  { name: "448 clients that end in the middle of everything", attack: endsInTheMiddle, right: ({ late }) => (late === 0 ? undefined : `${late} were heard after their close frame`), rssMiB: 128 },
  {
    name: "40 sockets, all in the same 300 rooms, and 50 words to all of these",
    attack: everyRoom,
    right: ({ served, wrong }) => (served && wrong === 0 ? undefined : `served: ${served}; ${wrong} of 40 heard another number of words`),
    cpu: { elements: 50 * 300 * 40, each: 1 },
    rssMiB: 32,
    peers: both,
  },
];
