// Where the programs under test are, and how a limpet.toml says what the official server's options say.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const folder = path.resolve(process.env.LIMPET_BUILD ?? path.join(here, "../../build"));

/// The path of a built program; a path of another stays as it is. LIMPET_BUILD names the build folder.
export const build = (program) => path.resolve(folder, program);

/// A temporary folder that every user may enter and write to, with the programs of a cluster in it: the build folder may be
/// closed to them.
export function buildForEverybody(prefix) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), prefix));
  fs.chmodSync(directory, 0o777);
  for (const name of ["limpet", "probe_app"]) fs.copyFileSync(build(name), path.join(directory, name));
  return directory;
}

// The official server's options and ours. Durations are given in milliseconds.
const socketio = {
  pingInterval: ["ping_interval", (value) => `${value}ms`],
  pingTimeout: ["ping_timeout", (value) => `${value}ms`],
  upgradeTimeout: ["upgrade_timeout", (value) => `${value}ms`],
  connectTimeout: ["connect_timeout", (value) => `${value}ms`],
  maxHttpBufferSize: ["max_payload", (value) => value],
};

/// `settings` with the official server's names; any other is a key of ours: {"limits.header": "16KiB", workers: 2}.
/// A list of objects is a list of tables: {listen: [{address: "tcp://*:0"}]}.
export function limpetToml(settings) {
  const lists = Object.entries(settings).filter(([, value]) => Array.isArray(value) && typeof value[0] === "object");
  if (lists.length) {
    const rest = Object.fromEntries(Object.entries(settings).filter(([name]) => !lists.some(([other]) => other === name)));
    const table = (name, each) => `[[${name}]]\n${Object.entries(each).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join("")}`;
    return [limpetToml(rest), ...lists.flatMap(([name, values]) => values.map((each) => table(name, each)))].join("\n\n");
  }
  const tables = { "": [], socketio: [] };
  for (const [name, value] of Object.entries(settings)) {
    const [ours, convert] = socketio[name] ? [`socketio.${socketio[name][0]}`, socketio[name][1]] : [name, (same) => same];
    const [key, table = ""] = ours.split(".").reverse();
    (tables[table] ??= []).push(`${key} = ${JSON.stringify(convert(value))}`);
  }
  return Object.entries(tables)
    .map(([table, lines]) => (table ? `[${table}]\n` : "") + lines.join("\n"))
    .join("\n\n");
}
