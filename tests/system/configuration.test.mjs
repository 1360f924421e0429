// Mistakes in limpet.toml and on the command line: one line with file and line number that says what would be right, and
// exit code 1 (a wrong command line: 2). Nothing is started.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "./build.mjs";
import { Cluster } from "./cluster.mjs";
import { run } from "./process.mjs";

describe("a configuration with a mistake is refused", () => {
  let directory;
  before(() => (directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-toml-"))));
  after(() => fs.rmSync(directory, { recursive: true, force: true }));

  const serve = (...words) => run(build("limpet"), ["serve", build("probe_app"), "--runtime-dir", path.join(directory, "run"), ...words], { deadlineMs: 10_000 });

  // what, text, line of the mistake, what the message must name
  const mistakes = [
    ["an unknown key", "\nworker = 2\n", 2, /worker.*workers/],
    ["an unknown table", "workers = 2\n[sockets]\nx = 1\n", 2, /sockets/],
    ["an unknown key of a table", "[socketio]\npath = '/x'\nping_intervall = '3s'\n", 3, /ping_intervall.*ping_interval/],
    ["a key in the wrong table", "[limits]\nping_interval = '3s'\n", 2, /socketio\.ping_interval/],
    ["a duration without its unit", "[socketio]\nping_interval = 25\n", 2, /25.*(ms|s)/],
    ["a negative duration", "[socketio]\nping_interval = '-1s'\n", 2, /-1s/],
    ["a duration that is too short", "[socketio]\nping_interval = '1ms'\n", 2, /100ms/],
    ["a duration that is too long", "[socketio]\nping_interval = '1000h'\n", 2, /3600s|1h/],
    ["a size that is no size", "[socketio]\nmax_payload = 'big'\n", 2, /big.*MiB/],
    ["a size that is too large", "[socketio]\nmax_payload = '1GiB'\n", 2, /16MiB/],
    ["no workers", "workers = 0\n", 1, /from 1 to 256/],
    ["too many workers", "workers = 100000\n", 1, /from 1 to 256/],
    ["workers in words", "workers = 'many'\n", 1, /many.*auto/],
    ["a fraction of a worker", "workers = 1.5\n", 1, /1\.5/],
    ["a list of workers", "workers = [1, 2]\n", 1, /one/],
    ["a switch that is no switch", "pin = 'yes'\n", 1, /true.*false|false.*true/],
    ["an address without scheme", "listen = '127.0.0.1:3000'\n", 1, /tcp:\/\//],
    ["an address without port", "listen = 'tcp://127.0.0.1'\n", 1, /port/i],
    ["a port that is too large", "listen = 'tcp://127.0.0.1:70000'\n", 1, /65535/],
    ["an address that is none", "listen = ['tcp://300.1.2.3:80']\n", 1, /300\.1\.2\.3/],
    ["no address", "listen = []\n", 1, /empty|one/],
    ["an unknown transport", "[socketio]\ntransports = ['polling', 'pigeon']\n", 2, /pigeon.*websocket/],
    ["a path without slash", "[socketio]\npath = 'socket.io'\n", 2, /\//],
    ["an unknown log level", "log_level = 'loud'\n", 1, /loud.*info/],
    ["a table where a value is due", "[workers]\nx = 1\n", 1, /workers/],
    ["a value where a table is due", "socketio = 3\n", 1, /\[socketio\]/],
    ["an [app] that is no table", "app = 3\n", 1, /\[app\]/],
    ["a key that comes twice", "workers = 1\nworkers = 2\n", 2, /workers/],
    ["no TOML", "workers = \n", 1, /./],
    ["a string without its end", 'log_level = "info\n', 1, /./],
    ["a ring that is no power of two", "[ring]\ncapacity = '100KiB'\n", 2, /power of two/],
  ];
  for (const [what, text, line, named] of mistakes) {
    test(`${what}: line ${line} is named, and what would be right`, async () => {
      const file = path.join(directory, "limpet.toml");
      fs.writeFileSync(file, text);
      const { code, signal, text: said } = await serve("-c", file, "--listen", "tcp://127.0.0.1:0");
      assert.equal(signal, null, said);
      assert.equal(code, 1, said);
      const told = said.split("\n").find((each) => each.includes(`${file}:${line}:`));
      assert.ok(told, `line ${line} is not named:\n${said}`);
      assert.match(told.slice(told.indexOf(file) + file.length), named);
      assert.doesNotMatch(said, /serving|spawned/);
      assert.equal(fs.existsSync(path.join(directory, "run")) ? fs.readdirSync(path.join(directory, "run")).length : 0, 0);
    });
  }

  test("every mistake of a file is told at once", async () => {
    const file = path.join(directory, "limpet.toml");
    fs.writeFileSync(file, "worker = 1\n[socketio]\nping_interval = 1\nping_timeout = 'x'\n");
    const { text } = await serve("-c", file);
    for (const line of [1, 3, 4]) assert.ok(text.includes(`${file}:${line}:`), text);
  });

  test("a file that is not there is named", async () => {
    const { code, text } = await serve("-c", path.join(directory, "nowhere.toml"));
    assert.equal(code, 1);
    assert.match(text, /nowhere\.toml.*No such file/);
  });

  test("a flag beats the file", async () => {
    const cluster = await Cluster.start({ workers: 1, settings: { workers: 3, listen: ["tcp://127.0.0.1:1"] } });
    assert.equal((await cluster.status()).slots.length, 1);
    await cluster.close();
  });

  test("an unknown flag is a wrong command line", async () => {
    const { code, text } = await serve("--wrokers", "2");
    assert.equal(code, 2, text);
    assert.match(text, /--wrokers/);
  });

  test("a bad value of a flag names the flag, and what would be right", async () => {
    const { code, text } = await serve("--workers", "0");
    assert.ok(code === 1 || code === 2, `${code}`);
    assert.match(text, /--workers.*from 1 to 256/);
  });

  test("an application that is not there is told at the start", async () => {
    const { code, text } = await run(build("limpet"), ["serve", path.join(directory, "no_such_app"), "--listen", "tcp://127.0.0.1:0", "--runtime-dir", path.join(directory, "run")], { deadlineMs: 10_000 });
    assert.equal(code, 1, text);
    assert.match(text, /no_such_app/);
  });

  test("ctl without a supervisor: exit code 3; with an unknown verb: 2", async () => {
    const ctl = (...words) => run(build("limpet"), ["ctl", "--runtime-dir", path.join(directory, "run"), ...words]);
    assert.equal((await ctl("status")).code, 3);
    assert.equal((await ctl("stop")).code, 3);
    assert.equal((await ctl("dance")).code, 2);
  });

  for (const [words, named] of [
    [[], /needs a command: serve or ctl/],
    [["./app"], /\.\/app: no command of limpet; did you mean `\S+\/limpet serve \.\/app`\?/],
    [["serv"], /did you mean `\S+\/limpet serve`\?/],
    [["ctl"], /ctl needs a verb: .*status/],
    [["status"], /did you mean `\S+\/limpet ctl status`\?/],
    [["ctl", "start"], /`\S+\/limpet serve` starts a server/],
    [["ctl", "restart"], /did you mean reload\?/],
    [["ctl", "scale", "010"], /'010' is no number of workers; 1 to 256 is right/],
    [["ctl", "reload", "--timeout", "nan"], /'nan' is no number of seconds; 0\.001 to 1000000 is right/],
    [["ctl", "scale"], /scale: a number of workers is missing, 1 to 256: `\S+\/limpet ctl scale 4`/],
    [["ctl", "scale", "--no-wait"], /scale: a number of workers is missing/],
    [["ctl", "scale", "300"], /'300' is no number of workers; 1 to 256 is right/],
    [["ctl", "scale", "3", "4"], /scale: '4' means nothing to it; it takes .*N/],
    [["ctl", "reload", "now"], /reload: 'now' means nothing to it; it takes --runtime-dir DIR, --no-wait, --timeout SECONDS\n/],
    [["ctl", "stop", "now"], /stop: 'now' means nothing to it; did you mean --now\?/],
    [["ctl", "status", "--jsn"], /status: '--jsn' means nothing to it; did you mean --json\?/],
    [["ctl", "reload", "--timeout"], /--timeout needs a value: --timeout SECONDS\n/],
    [["ctl", "stop", "--runtime-dir"], /--runtime-dir needs a value: --runtime-dir DIR\n/],
    [["serve", "-c"], /--config needs a value: --config FILE\n/],
    [["serve", "--workers"], /--workers needs a value: --workers N\|auto\n/],
    [["serve", "--wokers=3"], /serve: '--wokers' means nothing to it; did you mean --workers\?/],
    [["serve", "--frobnicate"], /serve: '--frobnicate' means nothing to it; options of the application come after --/],
    [["--frobnicate"], /'--frobnicate' means nothing to limpet; it needs a command: serve or ctl/],
    [["help"], /help: no command of limpet; did you mean `\S+\/limpet --help`\?/],
    [["ctl", "sttus"], /sttus: no verb of ctl; did you mean status\?/],
    [["ctl", "--runtime-dir", "/nowhere", "dance"], /dance: no verb of ctl; it has .*status/],
  ]) {
    test(`limpet ${words.join(" ")}: what is missing is told, exit code 2`, async () => {
      const { code, text } = await run(build("limpet"), words);
      assert.equal(code, 2, text);
      assert.match(text, named);
    });
  }

  test("hints name limpet as it was called", async () => {
    const folder = path.dirname(build("limpet"));
    const inPath = { env: { PATH: `${folder}:${process.env.PATH}` } };
    assert.match((await run("limpet", ["status"], inPath)).text, /did you mean `limpet ctl status`\?\nlimpet: `limpet --help` says more/);
    assert.match((await run("bash", ["-c", 'cd "$0" && ./limpet ctl stop now', folder])).text, /limpet: `\.\/limpet ctl --help` says more/);
    assert.match((await run("bash", ["-c", 'exec -a other "$0" ctl stop now', build("limpet")])).text, new RegExp(`limpet: \`${fs.realpathSync(build("limpet"))} ctl --help\` says more`));
  });

  test("a configuration in the place of the application: the missing flag is told", async () => {
    const file = path.join(directory, "limpet.toml");
    fs.writeFileSync(file, "");
    const { code, text } = await run(build("limpet"), ["serve", file, "--listen", "tcp://127.0.0.1:0", "--runtime-dir", path.join(directory, "run")]);
    assert.equal(code, 1, text);
    assert.match(text, /did you mean -c .*limpet\.toml\?/);
  });

  test("an option without a value gets none", async () => {
    for (const flag of ["--pin=maybe", "--proxy-protocol=false", "--no-move=0"]) {
      const { code, text } = await run(build("limpet"), ["serve", "--check", flag]);
      assert.equal(code, 2, text);
      assert.match(text, new RegExp(`limpet: ${flag.split("=")[0]} takes no value: it is there, or it is not`));
    }
    assert.match((await run(build("limpet"), ["ctl", "status", "--json=no"])).text, /--json takes no value/);
  });

  test("one address written twice in different ways, words of an application that are no text", async () => {
    const check = (toml) => {
      const file = path.join(directory, "limpet.toml");
      fs.writeFileSync(file, toml);
      return run(build("limpet"), ["serve", "-c", file, "--check"]);
    };
    assert.match((await check('listen = ["tcp://[::1]:3450", "tcp://[0:0:0:0:0:0:0:1]:3450"]\n')).text, /tcp:\/\/\[0:0:0:0:0:0:0:1\]:3450 stands twice in listen/);
    assert.match((await check("application = [1, 2]\n")).text, /limpet\.toml:1: 'application' is no program/);
    assert.match((await check('[socketio]\npath = "/"\n')).text, /'\/' is no path; \/ and a name is one, as \/socket\.io/);
  });

  test("an application that the file names is told with its line; one of the command line is without", async () => {
    const file = path.join(directory, "limpet.toml");
    fs.writeFileSync(file, 'workers = 1\n\napplication = ["./gone", "--level", "3"]\n');
    const check = (...more) => run(build("limpet"), ["serve", "-c", file, "--check", ...more]);
    const { code, text } = await check();
    assert.equal(code, 1, text);
    assert.match(text, /limpet\.toml:3: application \S*gone: cannot be executed: No such file or directory/);
    assert.match((await check("/no/such/app")).text, /^limpet: application \/no\/such\/app: cannot be executed/m);
  });

  test("an application's name without a slash is one in PATH, and nothing else", async () => {
    const { code, text } = await run(build("limpet"), ["serve", "probe_app", "--listen", "tcp://127.0.0.1:0", "--runtime-dir", path.join(directory, "run")], { cwd: path.dirname(build("probe_app")) });
    assert.equal(code, 1, text);
    assert.match(text, /probe_app: no executable file of this name is in PATH; \.\/probe_app names the file here/);
  });

  test("an answer that cannot be written is no success", async () => {
    const cluster = await Cluster.start({ workers: 1 });
    try {
      const { code, text } = await run("sh", ["-c", 'exec "$@" >/dev/full', "sh", build("limpet"), "ctl", "--runtime-dir", cluster.runtime, "status"]);
      assert.equal(code, 1, text);
      assert.match(text, /the answer cannot be written: No space left on device/);
    } finally {
      await cluster.close();
    }
  });

  test("a reload with a mistake in the file is refused, the old workers go on, and the next good one works", async () => {
    const cluster = await Cluster.start({ workers: 2 });
    try {
      const before = (await cluster.seated()).map((worker) => worker.generation);
      const good = fs.readFileSync(cluster.configuration, "utf8");
      fs.writeFileSync(cluster.configuration, `${good}\nnonsense = 1\n`);
      const refused = await cluster.ctl("reload");
      assert.equal(refused.code, 1, refused.text);
      assert.match(refused.text, /limpet\.toml:\d+: .*nonsense/);
      assert.deepEqual((await cluster.seated()).map((worker) => worker.generation), before);
      fs.writeFileSync(cluster.configuration, good);
      assert.equal((await cluster.ctl("reload")).code, 0);
      await cluster.allServe({ after: before });
    } finally {
      await cluster.close();
    }
  });
});
