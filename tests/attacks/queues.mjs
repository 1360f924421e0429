// Long queues and large memory in the hands of strangers (issue 8): queues that move and go over to a WebSocket, answers that are
// half read, messages just below and above max_payload, lengths that no number holds, and many clients just below every limit.
import net from "node:net";
import { Polling } from "../client/raw.mjs";
import { until } from "../system/process.mjs";
import { Hose, frame, get, many, packet, packets, repeat, webSocket } from "./hose.mjs";
import { Talker, joinPolling, kQuick, operate, polled } from "./talker.mjs";

const kMiB = 1024 * 1024;
const kMost = 1_000_000; // the default max_payload
const listed = (things) => (things.length ? things.slice(0, 6).join("; ") : undefined);
const wrongs = ({ refused = [], wrong }) => listed([...refused, ...wrong]);
const clean = { right: wrongs, replaces: true, seconds: 90 };
const kPath = "/socket.io/?EIO=4&transport=polling";
const leave = (sessions) => Promise.all(sessions.map((session) => session.post("1").catch(() => {})));

/// Numbered words to the room "r": each listener's are looked at.
const numbered = (from, count) => packets(count, (i) => `42["say","r",1,${from + i}]`);
class Order {
  next = 0;
  faults = 0;
  hear(text) {
    const [, number] = text.match(/^42\["say",1,(\d+)\]$/) ?? [];
    if (number === undefined) return;
    if (Number(number) === this.next) this.next += 1;
    else this.faults += 1;
  }
  wrong(who, count) {
    return this.next === count && this.faults === 0 ? [] : [`${who}: ${this.next} of ${count} words in order, ${this.faults} not`];
  }
}

async function flood(target, count) {
  const flooder = await webSocket(target, 9);
  for (let i = 0; i < count; i += 10_000) await flooder.pour(numbered(i, 10_000));
  if (!(await flooder.echo(60_000))) throw new Error(`the flooder was not served: ${flooder.end}`);
  return flooder;
}

/// The session goes over to a WebSocket, which `heard` listens to. A worker that had no CPU for too long is asked again.
async function upgraded(target, number, sid, heard) {
  for (let tries = 1; ; tries += 1) {
    const talker = new Talker(target, number, { query: `EIO=4&transport=websocket&sid=${sid}`, heard });
    await talker.until(({ received }) => received > 0);
    await talker.pour(packet("2probe"));
    if (await talker.until(({ tail }) => tail.includes("3probe"))) return talker;
    if (tries === 5 || !talker.tail.startsWith("HTTP/1.1 503")) throw new Error(`no answer to the probe: ${talker.end} ${talker.tail.slice(0, 200)}`);
  }
}

/// Two clients that do not poll have 60,000 words behind them when the workers are replaced; then one polls, the other upgrades.
async function queueMoves(target) {
  const count = 60_000;
  const sessions = await many(2, (i) => joinPolling(target, i));
  for (const session of sessions) await session.post('42["enter","r"]');
  await flood(target, count);
  const refused = await operate(target, ["reload", "scale 1", "scale 2"]);
  const orders = sessions.map(() => new Order());
  await sessions[0].post('421["echo",1]');
  const last = await polled(sessions[0], (text) => (orders[0].hear(text), text.startsWith("431[")));
  const talker = await upgraded(target, 1, sessions[1].sid, (text) => orders[1].hear(text));
  await talker.pour(packet("5"));
  const echoed = await talker.echo(20_000);
  await leave(sessions.slice(0, 1));
  return { refused, wrong: [...orders.flatMap((order, i) => order.wrong(`client ${i}`, count)), ...(last === "431[1]" ? [] : [`the last of the polls: ${last}`]), ...(echoed ? [] : [`no echo: ${talker.end} ${talker.code}`])] };
}

/// As many large pings as are taken of one that does not read, 100,000 words behind their pongs, and a reload. Then it reads.
async function pongsBeforeWords(target) {
  const count = 100_000;
  const order = new Order();
  let [pongs, faults] = [0, 0];
  const ponged = (payload) => (payload.readUInt32BE(0) === pongs ? (pongs += 1) : (faults += 1));
  const talker = await Talker.join(target, 0, { heard: (text) => order.hear(text), ponged });
  await talker.pour(packet('42["enter","r"]'));
  await talker.echo();
  talker.socket.pause();
  const pings = Buffer.concat(Array.from({ length: 10_000 }, () => frame(0x89, Buffer.alloc(125))));
  let sent = 0;
  for (let going = true; going && sent < 400_000; sent += 10_000) {
    for (let i = 0; i < 10_000; i += 1) pings.writeUInt32BE(sent + i, i * 131 + 6);
    going = (await talker.pour(Buffer.from(pings), 1, 1_000)) === 1;
  }
  await flood(target, count);
  const { memory_accounted } = await target.stats();
  const reload = operate(target, ["reload"]);
  talker.socket.resume();
  const refused = await reload;
  const echoed = await talker.echo(30_000);
  const wrong = order.wrong("the reader", count);
  if (pongs !== sent || faults > 0) wrong.push(`${pongs} of ${sent} pongs in order, ${faults} not`);
  if (!echoed) wrong.push(`no echo: ${talker.end} ${talker.code}`);
  return { refused, wrong, accounted: memory_accounted.total, sent };
}

/// A client's frame of that length, of which only the head comes.
function headOf(first, length) {
  const head = Buffer.alloc(14);
  head.set([first, 0xff]);
  head.writeBigUInt64BE(length, 2);
  return head;
}

/// Messages of exactly, and one byte more than, max_payload in every form; frames, bodies and chunks of lengths that nothing holds.
async function lengths(target) {
  const text = (bytes) => `42["nothing","${"x".repeat(bytes - 16)}"]`;
  const pieces = (bytes, parts) => {
    const whole = Buffer.from(text(bytes));
    const at = (i) => Math.floor((i * bytes) / parts);
    return Buffer.concat(Array.from({ length: parts }, (_, i) => frame((i === 0 ? 1 : 0) | (i === parts - 1 ? 0x80 : 0), whole.subarray(at(i), at(i + 1)))));
  };
  const attached = (bytes) => Buffer.concat([packet('451-["nothing",{"_placeholder":true,"num":0}]'), frame(0x82, Buffer.alloc(bytes))]);
  const behind = frame(0x01, "x".repeat(500_000));
  const pad = repeat("x", 4_096);
  const large = [2n ** 31n, 2n ** 32n, 2n ** 32n + 10n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];
  const wrapped = [2n ** 64n - 500_000n, 2n ** 64n - 499_990n, 2n ** 63n, 2n ** 32n - 500_000n, 2n ** 32n - 499_990n];
  const served = [[text(kMost).length === kMost && packet(text(kMost)), "a whole message"], ...[2, 3, 1_000].map((parts) => [pieces(kMost, parts), `${parts} fragments`]), [Buffer.concat([frame(0x01, text(kMost)), frame(0x80, "")]), "one and nothing"], [attached(kMost), "an attachment"]];
  const tooLarge = [[packet(text(kMost + 1)), "a whole message"], ...[2, 3, 1_000].map((parts) => [pieces(kMost + 1, parts), `${parts} fragments`]), [Buffer.concat([frame(0x01, text(kMost)), frame(0x80, "x")]), "one byte behind"], [attached(kMost + 1), "an attachment"]];
  const unheld = [
    ...large.flatMap((length) => [0x81, 0x82, 0x01].map((first) => [Buffer.concat([headOf(first, length), pad]), `a frame ${first} of ${length}`])),
    ...wrapped.map((length) => [Buffer.concat([behind, headOf(0x80, length), pad]), `500,000 bytes and ${length}`]),
    ...[0x89, 0x8a, 0x88].flatMap((first) => [126n, ...large].map((length) => [Buffer.concat([headOf(first, length), pad]), `a control frame ${first} of ${length}`])),
  ];
  const wrong = [];
  const one = async ([bytes, what], i, codes, probes) => {
    const session = probes && (await joinPolling(target, i));
    const talker = session ? await upgraded(target, i, session.sid, () => {}) : await Talker.join(target, i);
    await talker.pour(bytes);
    if (codes) await talker.until(() => false, 10_000);
    const echoed = !codes && (await talker.echo(20_000));
    if (codes ? !talker.end || !codes.includes(talker.code) : !echoed) wrong.push(`${what}${probes ? " of one that probes" : ""}: code ${talker.code}, ${talker.end}`);
    talker.destroy();
    if (!session) return;
    const { status } = await session.post('421["echo",1]');
    if (status !== 200 || (await polled(session, (said) => said.startsWith("43"))) !== "431[1]") wrong.push(`${what} of one that probes: its session is gone: ${status}`);
    await leave([session]);
  };
  const all = [...served.map((each) => [each]), ...tooLarge.map((each) => [each, [1009]]), ...unheld.map((each) => [each, [1002, 1009]]), ...unheld.filter((_, i) => i % 5 === 0).map((each) => [each, [1002, 1009, undefined], true])];
  for (let i = 0; i < all.length; i += 16) await Promise.all(all.slice(i, i + 16).map(([each, codes, probes], j) => one(each, i + j, codes, probes)));
  const session = await joinPolling(target, 0);
  const post = async (more, body) => {
    const hose = new Hose(target, 0);
    await hose.pour(Buffer.from(`POST ${kPath}&sid=${session.sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}\r\n\r\n${body}`), 1, 5_000);
    await hose.until(({ tail }) => tail.includes("\r\n\r\n"), 5_000);
    return Number(hose.tail.slice(9, 12));
  };
  const expect = (what, is, want) => want.includes(is) || wrong.push(`${what}: ${is}, not ${want}`);
  for (const [more, want] of [[0, 200], [1, 413]]) {
    expect(`a post of ${kMost + more}`, await post(`Content-Length: ${kMost + more}`, text(kMost + more)), [want]);
    expect(`a chunked post of ${kMost + more}`, await post("Transfer-Encoding: chunked", `${(kMost + more).toString(16)}\r\n${text(kMost + more)}\r\n0\r\n\r\n`), [want]);
  }
  for (const length of [...large, 2n ** 64n, 2n ** 64n + 5n, 10n ** 40n]) {
    expect(`Content-Length: ${length}`, await post(`Content-Length: ${length}`, "42[1]"), [400, 413]);
    expect(`a chunk of ${length}`, await post("Transfer-Encoding: chunked", `5\r\n42[1]\r\n${length.toString(16)}\r\n42[1]\r\n0\r\n\r\n`), [400, 413]);
  }
  expect("chunks that wrap around", await post("Transfer-Encoding: chunked", `5\r\n42[1]\r\n${(2n ** 64n - 5n).toString(16)}\r\n42[1]\r\n0\r\n\r\n`), [400, 413]);
  await leave([session]);
  return { wrong };
}

/// Many clients of every kind, each just below its own limit; all of them are far above limits.memory.
async function justBelow(target) {
  const most = [];
  let over = false;
  const watching = until(async () => (most.push(...Object.values((await target.stats()).memory_accounted.by_slot)), over), "the end", 85_000, 100).catch(() => {});
  const body = (sid) => `POST ${kPath}&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: ${kMost}\r\n\r\n${"x".repeat(kMost - 1)}`;
  const places = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`).join(",");
  const poured = async (hose, ...parts) => {
    for (const part of parts) await hose.pour(Buffer.from(part), 1, 2_000);
    return hose;
  };
  const [hoses, sessions] = [[], []];
  const polling = async (i) => {
    const session = await joinPolling(target, i);
    sessions.push(session);
    return session;
  };
  const kinds = [
    (i) => poured(new Hose(target, i), `GET /worker HTTP/1.1\r\nX: ${"x".repeat(16_000)}`),
    async (i) => poured(new Hose(target, i), body((await polling(i)).sid)),
    async (i) => poured(await webSocket(target, i), frame(0x01, "x".repeat(kMost - 1))),
    async (i) => poured(await webSocket(target, i), frame(0x81, "x".repeat(kMost)).subarray(0, kMost)),
    async (i) => poured(await webSocket(target, i), packet(`4510-["nothing",${places}]`), ...Array(9).fill(frame(0x82, Buffer.alloc(kMost - 1)))),
    async (i) => {
      const hose = await webSocket(target, i);
      hose.socket.pause();
      return poured(hose, packet(`42["burst",15,"${"x".repeat(990_000)}"]`));
    },
    async (i) => {
      const session = await polling(i);
      await session.post(`42["burst",15,"${"x".repeat(990_000)}"]`).catch(() => {});
      return poured(new Hose(target, i, { reading: false }), get(`${kPath}&sid=${session.sid}`));
    },
  ];
  for (let i = 0; i < 5; i += 1) hoses.push(...(await Promise.all(kinds.map((kind, j) => kind(5 * j + i).catch(() => {})))));
  over = true;
  await watching;
  const open = hoses.filter((hose) => hose && !hose.end).length; // those that do not read do not see their end
  hoses.forEach((hose) => hose?.destroy());
  await leave(sessions);
  return { most: Math.max(...most), open };
}

/// What a client that has not polled gets over JSONP: 12,000 events with attachments and texts that have to be escaped twice.
async function jsonpQueue(target) {
  const [posts, each] = [12, 1_000];
  const odd = '\u2028\u2029</script>\\"\\n\u0000\ud83d\ude00é';
  const session = await joinPolling(target, 0);
  const wanted = [];
  for (let i = 0; i < posts; i += 1) {
    const events = Array.from({ length: each }, (_, j) => {
      const file = `b${Buffer.from([i, j & 255, j >> 8, 0xfb, 0xff]).toString("base64")}`;
      wanted.push(`452-["echo",${JSON.stringify(odd + j)},{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, file, "b");
      return wanted.slice(-3);
    });
    // A form's body, as JSONP's clients write it: each \n of the text is \\n.
    const form = `d=${encodeURIComponent(events.flat().join("\x1e").replaceAll("\\n", "\\\\n"))}`;
    const { status } = await session.post(form, { path: `${kPath}&sid=${session.sid}&j=7`, headers: { "Content-Type": "application/x-www-form-urlencoded" } });
    if (status !== 200) return { wrong: [`post ${i}: ${status}`] };
  }
  const wrong = [];
  const heard = [];
  for (let polls = 0; heard.length < wanted.length && polls < 200; polls += 1) {
    const { status, body } = await session.get({ path: `${kPath}&sid=${session.sid}&j=7` });
    if (status !== 200 || !body.startsWith("___eio[7](") || !body.endsWith(");") || /[\u2028\u2029]/.test(body)) wrong.push(`poll ${polls}: ${status} ${body.slice(0, 60)}`);
    if (wrong.length) break;
    heard.push(...JSON.parse(body.slice(10, -2)).split("\x1e").filter((text) => !text.startsWith('42["chat message"') && text !== "2"));
  }
  const normal = (text) => (text?.startsWith("45") ? text.slice(0, 4) + JSON.stringify(JSON.parse(text.slice(4))) : text);
  const first = wanted.findIndex((text, i) => normal(text) !== normal(heard[i]));
  if (first >= 0 || heard.length !== wanted.length) wrong.push(`${heard.length} of ${wanted.length}; packet ${first} is ${heard[first]?.slice(0, 80)}, not ${wanted[first]?.slice(0, 80)}`);
  await leave([session]);
  return { wrong };
}

/// The workers are full while they are replaced, and strangers knock at them all the time: nobody inside is ended, and in the end
/// as many come in as have left.
async function knocks(target) {
  const wrong = [];
  const inside = [];
  const knock = async (i) => {
    const talker = new Talker(target, i);
    await talker.pour(packet("40"), 1, 5_000);
    await talker.until(({ tail }) => tail.includes('40{"sid"') || tail.includes("HTTP/1.1 503"), 5_000);
    return talker;
  };
  const isIn = ({ tail }) => tail.includes('40{"sid"');
  for (let i = 0; i < 150; i += 1) {
    const talker = await knock(i);
    if (isIn(talker)) inside.push(talker);
    else talker.destroy();
  }
  const full = inside.length;
  let [over, knocked] = [false, 0];
  const knocking = Array.from({ length: 6 }, async (_, i) => {
    for (let turn = 0; !over; turn += 1, knocked += 1) {
      const talker = await knock((i * 37 + turn) % 150);
      if (isIn(talker)) inside.push(talker);
      else talker.destroy();
    }
  });
  const refused = await operate(target, ["reload", "upgrade", "scale 1", "reload"]);
  over = true;
  await Promise.all(knocking);
  const ended = inside.filter(({ end }) => end).length;
  if (ended > 0) wrong.push(`${ended} of ${inside.length} inside were ended: ${[...new Set(inside.map(({ end, code }) => `${end} ${code}`))]}`);
  const { connections_open } = await target.stats();
  const deaf = (await Promise.all(inside.map((talker) => talker.echo(10_000)))).filter((echoed) => !echoed).length;
  if (deaf > 0) wrong.push(`${deaf} of ${inside.length} inside were not served`);
  // One worker has all of them, more than its limit. As long as that is so, nobody comes in.
  if (isIn(await knock(3))) wrong.push(`one more came in beside ${inside.length}`);
  const leaving = inside.splice(0, inside.length - 20);
  leaving.forEach((talker) => talker.destroy());
  await until(async () => (await target.stats()).connections_open.total <= 45, "they have left", 10_000, 50);
  const again = await many(60, (i) => knock(i));
  const came = again.filter(isIn).length;
  const { connections_open: now } = await target.stats();
  if (came < 15 || inside.length + came > 60) wrong.push(`${came} of 60 came in beside ${inside.length} and 20 bystanders, limit 60`);
  return { refused, wrong, full, knocked, most: connections_open.total, came, now: now.total };
}

/// A client of files that reads one byte after the other, until it is told to read all: {received, whole, faster}.
function sipping(target, number, request) {
  const self = { received: 0, fast: false, size: 1 };
  const large = Buffer.alloc(256 * 1024);
  const small = Buffer.alloc(1);
  const socket = net.connect({
    port: target.port,
    host: "127.0.0.1",
    localAddress: target.from(number),
    onread: {
      buffer: () => (self.fast ? large : small),
      callback: (count) => {
        self.received += count;
        self.wake?.();
        return self.fast;
      },
    },
  });
  socket.on("error", (error) => (self.error = error.code));
  self.closed = new Promise((resolve) => socket.on("close", () => resolve((self.end = self.error ?? "end"))));
  const sip = setInterval(() => self.fast || socket.resume(), 5);
  self.begun = new Promise((resolve) => (self.wake = () => self.received > 20 && resolve()));
  self.faster = () => {
    clearInterval(sip);
    self.fast = true;
    socket.resume();
  };
  socket.write(request);
  return self;
}

/// Answers of 16 MiB are taken a byte at a time when the workers are replaced, and whole once the new ones serve.
async function sips(target) {
  const clients = await many(20, (i) => sipping(target, i, get("/16MB", "Connection: close\r\n")));
  await Promise.all(clients.map(({ begun }) => begun));
  const before = (await target.seated()).map(({ generation }) => generation);
  const reload = operate(target, ["reload"]);
  await until(async () => (await target.seated()).every((worker) => worker && !before.includes(worker.generation)), "new workers", 20_000, 50);
  const had = clients.map(({ received }) => received);
  clients.forEach((client) => client.faster());
  await Promise.race([Promise.all(clients.map(({ closed }) => closed)), new Promise((resolve) => setTimeout(resolve, 20_000))]);
  const refused = await reload;
  const wrong = clients.flatMap(({ received, end }, i) => (end === "end" && received > 16 * kMiB ? [] : [`client ${i}: ${received} bytes, ${end}`]));
  return { refused, wrong, had: Math.max(...had) };
}

/// Of each session an answer of 8 MB is half read, as much is queued behind it, and a WebSocket has probed when the workers are
/// replaced. Then all is read: every message comes once, in order.
async function upgradesBehindHalfRead(target) {
  const text = "x".repeat(500_000);
  const burst = `42["burst",16,"${text}"]`;
  const wrong = [];
  const clients = await many(4, async (i) => {
    const session = await joinPolling(target, i);
    await session.post(burst);
    const poll = new Hose(target, i, { reading: false });
    let bytes = [];
    await poll.pour(Buffer.from(get(`${kPath}&sid=${session.sid}`)));
    await new Promise((resolve) => poll.socket.once("readable", resolve)); // it has begun
    poll.socket.on("data", (data) => bytes.push(data));
    poll.socket.pause();
    await session.post(burst);
    const heard = [];
    const talker = await upgraded(target, i, session.sid, (said) => heard.push(said));
    return { poll, talker, heard, session, answer: () => Buffer.concat(bytes).toString("latin1") };
  });
  const before = (await target.seated()).map(({ generation }) => generation);
  const reload = operate(target, ["reload"]);
  await until(async () => (await target.seated()).every((worker) => worker && !before.includes(worker.generation)), "new workers", 20_000, 50);
  const bursts = (texts) => texts.filter((said) => said.startsWith('42["burst"')).map((said) => `${said.slice(11, said.indexOf(",", 11))}${said.endsWith(`${text}"]`) ? "" : " cut"}`);
  const wanted = Array.from({ length: 16 }, (_, i) => String(i)).join();
  const taken = async ({ poll, talker, heard, session, answer }, i) => {
    poll.socket.resume();
    const polls = [];
    const whole = () => {
      const all = answer();
      const end = all.indexOf("\r\n\r\n");
      const length = Number(all.slice(0, Math.max(0, end)).match(/\r\nContent-Length: (\d+)/i)?.[1] ?? Infinity);
      return all.length >= end + 4 + length && all.slice(end + 4, end + 4 + length);
    };
    await until(() => poll.end || (poll.socket.bytesRead > 8_000_000 && whole()), "the poll's answer", 20_000, 50).catch(() => {});
    polls.push(...(whole() || "").split("\x1e"));
    if (talker.end) { // an upgrade that failed: the rest comes to polls
      const last = session.post('421["echo",1]');
      await polled(session, (said) => (polls.push(said), said.startsWith("431[")));
      await last;
    } else {
      await talker.pour(packet("5"));
      await talker.echo(20_000);
    }
    const got = bursts([...polls, ...heard]).join();
    if (got !== `${wanted},${wanted}`) wrong.push(`client ${i}: bursts ${got}; poll ${poll.end} ${answer().length} bytes, WebSocket ${talker.end} ${talker.code}`);
    if (talker.end) await leave([session]);
    return !talker.end;
  };
  const upgrades = await Promise.all(clients.map(taken));
  return { refused: await reload, wrong, upgrades: upgrades.filter(Boolean).length };
}

const kLittle = 48;
/// A session moves in one piece, 1-3 ms for each MB of its queue; several may do so in one turn.
const kOnePiece = 120_000;

export const kQueues = [
  { name: "two clients that do not poll, 60,000 words queued, move three times; one polls on, one upgrades", turnUs: kOnePiece, settings: { ...kQuick, pingTimeout: 60_000 }, attack: queueMoves, ...clean },
  { name: "large pings that nobody reads the pongs of, 100,000 words behind them, and a reload", settings: kQuick, attack: pongsBeforeWords, ...clean },
  { name: "messages of max_payload and one byte more, and lengths of 2^31 to 2^64 in heads of frames, bodies and chunks", attack: lengths, right: wrongs, rssMiB: 64, seconds: 90 },
  {
    name: "35 clients of seven kinds just below their own limits, limits.memory = 48MiB",
    settings: { "limits.memory": `${kLittle}MiB` },
    attack: justBelow,
    right: ({ most, open }) => (most <= (kLittle + 2) * kMiB && open > 0 ? undefined : `a worker had ${most} bytes accounted; ${open} clients left`),
    moves: { shed_for_memory: 1 },
    rssMiB: kLittle + 48,
    afterSeconds: 30,
    seconds: 90,
  },
  { name: "12,000 events with attachments over JSONP, queued for one that has not polled", attack: jsonpQueue, right: wrongs, cpu: { elements: 36_000, each: 20 }, rssMiB: 64 },
  { name: "full workers, limits.connections = 60, and strangers who knock, while workers are replaced", transports: ["websocket"], probed: false, settings: { ...kQuick, "limits.connections": 60 }, attack: knocks, ...clean },
  { name: "20 answers of 16 MiB read byte by byte, and a reload", app: "chat", settings: kQuick, attack: sips, ...clean },
  { name: "upgrades behind half-read polls of 8 MB and as much queued, and a reload", turnUs: kOnePiece, settings: kQuick, attack: upgradesBehindHalfRead, ...clean },
];
