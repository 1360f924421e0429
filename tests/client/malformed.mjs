// Requests that are to be refused, whoever reads them: [what, path => bytes, status]. Of `path` the well-formed one would be
// answered. http.test.mjs sends them to the worker that would answer, wrong_worker.test.mjs to one that would hand them over.
const post = (path, lines, body = "6") => `POST ${path} HTTP/1.1\r\nHost: x\r\n${lines}\r\n\r\n${body}`;
const get = (target, lines = "Host: x") => `GET ${target} HTTP/1.1\r\n${lines}\r\n\r\n`;
const chunks = "Transfer-Encoding: chunked";

export const malformed = [
  // RFC 9112 section 2.2
  ["a line feed alone behind the request line", (path) => `GET ${path} HTTP/1.1\nHost: x\r\n\r\n`, 400],
  ["a line feed alone behind a header", (path) => get(path, "Host: x\nA: b"), 400],
  ["line feeds alone and nothing else", (path) => `GET ${path} HTTP/1.1\nHost: x\n\n`, 400],
  ["a carriage return alone in a header", (path) => get(path, "Host: x\r\nA: b\rc"), 400],
  // section 3
  ["a blank in the target", (path) => get(`${path}&a b`), 400],
  ["two blanks in front of the version", (path) => get(`${path} `), 400],
  ["a tab in the target", (path) => get(`${path}\t`), 400],
  ["a fragment in the target", (path) => get(`${path}#a`), 400],
  ["a target that begins with no slash", (path) => get(path.slice(1)), 400],
  ["a target of another scheme", (path) => get(`ftp://x${path}`), 400],
  ["a target without a host", (path) => get(`http://${path}`), 400],
  ["a target with a user", (path) => get(`http://me@x${path}`), 400],
  ["GET of *", () => get("*"), 400],
  ["a method that is no word", (path) => get(path).replace("GET", "G@T"), 400],
  ["CONNECT to a path", (path) => get(path).replace("GET", "CONNECT"), 400],
  ["HTTP/2.0", (path) => get(path).replace("/1.1", "/2.0"), 505],
  ["the first words of an HTTP/2 client", () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["no version", (path) => `GET ${path}\r\nHost: x\r\n\r\n`, 400],
  // section 3.2
  ["no Host", (path) => get(path, "A: b"), 400],
  ["two Hosts", (path) => get(path, "Host: x\r\nHost: x"), 400],
  ["two Hosts of HTTP/1.0", (path) => get(path, "Host: x\r\nHost: x").replace("/1.1", "/1.0"), 400],
  ["a Host with a blank", (path) => get(path, "Host: x y"), 400],
  ["a Host with a path", (path) => get(path, "Host: x/y"), 400],
  ["a Host with a user", (path) => get(path, "Host: me@x"), 400],
  ["a Host whose port is no number", (path) => get(path, "Host: x:http"), 400],
  ["a Host that is an address without brackets", (path) => get(path, "Host: ::1"), 400],
  ["no Host beside an absolute target", (path) => get(`http://x${path}`, "A: b"), 400],
  // section 5
  ["a blank in front of a colon", (path) => get(path, "Host: x\r\nA : b"), 400],
  ["a folded line", (path) => get(path, "Host: x\r\nA: b\r\n c: d"), 400],
  ["a folded line behind the request line", (path) => get(path, " Host: x\r\nHost: x"), 400],
  ["a header without a name", (path) => get(path, "Host: x\r\n: b"), 400],
  ["a control character in a value", (path) => get(path, "Host: x\r\nA: \x01"), 400],
  ["a NUL in a value", (path) => get(path, "Host: x\r\nA: \0"), 400],
  // section 6
  ["the same length twice", (path) => post(path, "Content-Length: 1\r\nContent-Length: 1"), 400],
  ["the same length twice in a list", (path) => post(path, "Content-Length: 1, 1"), 400],
  ["a length with a sign", (path) => post(path, "Content-Length: +1"), 400],
  ["a length and chunks", (path) => post(path, `Content-Length: 1\r\n${chunks}`, "1\r\n6\r\n0\r\n\r\n"), 400],
  ["chunks and a length", (path) => post(path, `${chunks}\r\nContent-Length: 1`, "1\r\n6\r\n0\r\n\r\n"), 400],
  ["chunks twice", (path) => post(path, `${chunks}\r\n${chunks}`, "1\r\n6\r\n0\r\n\r\n"), 400],
  ["chunks that are not last", (path) => post(path, "Transfer-Encoding: chunked, gzip"), 400],
  ["chunks with an empty element in front", (path) => post(path, "Transfer-Encoding: , chunked", "1\r\n6\r\n0\r\n\r\n"), 501],
  ["chunks with an empty element behind", (path) => post(path, "Transfer-Encoding: chunked,", "1\r\n6\r\n0\r\n\r\n"), 400],
  ["chunks of gzip", (path) => post(path, "Transfer-Encoding: gzip, chunked"), 501],
  ["an encoding that is nearly chunked", (path) => post(path, "Transfer-Encoding: xchunked"), 400],
  ["chunks of HTTP/1.0", (path) => post(path, chunks, "1\r\n6\r\n0\r\n\r\n").replace("/1.1", "/1.0"), 400],
  // section 7.1
  ["a line feed alone behind the size of a chunk", (path) => post(path, chunks, "1\n6\r\n0\r\n\r\n"), 400],
  ["a line feed alone in an extension of a chunk", (path) => post(path, chunks, "1;a\nb\r\n6\r\n0\r\n\r\n"), 400],
  ["a chunk that is longer than its size", (path) => post(path, chunks, "1\r\n66\r\n0\r\n\r\n"), 400],
  ["a size with 0x", (path) => post(path, chunks, "0x1\r\n6\r\n0\r\n\r\n"), 400],
  ["a size of 68 bits", (path) => post(path, chunks, "10000000000000001\r\n6\r\n0\r\n\r\n"), 400],
  // RFC 9110 section 10.1.1
  ["an expectation that is no 100-continue", (path) => get(path, "Host: x\r\nExpect: a miracle"), 417],
];
