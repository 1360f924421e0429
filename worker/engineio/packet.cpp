#include "worker/engineio/packet.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "worker/http/request.h"
#include "worker/websocket/frame.h"

namespace limpet::engineio {

namespace {

/// What each byte of a quoted text becomes: itself (kPlain), a backslash and this letter, `\u00` and its
/// digits (kCode), or it may begin a line separator (kMaybeLine).
constexpr char kPlain = 0, kCode = 1, kMaybeLine = 2;
constexpr char kFirstOfLine = '\xe2';

constexpr std::array<char, 256> make_escapes() {
  std::array<char, 256> escapes{};
  for (unsigned control = 0; control < 0x20; ++control) escapes[control] = kCode;
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  escapes[static_cast<unsigned char>(kFirstOfLine)] = kMaybeLine;
  return escapes;
}
constexpr std::array<char, 256> kEscapes = make_escapes();

/// The piece of a quoted text that is being made; goes to `text` when it is full.
class Quoted {
 public:
  explicit Quoted(std::string& text) : text_(text) {}
  ~Quoted() { flush(); }
  Quoted(const Quoted&) = delete;
  Quoted& operator=(const Quoted&) = delete;

  /// So many bytes are going to be put.
  void need(std::size_t bytes) {
    if (size_ + bytes > piece_.size()) flush();
  }
  void put(char c) noexcept { piece_[size_++] = c; }
  void put(std::string_view bytes) noexcept {
    bytes.copy(piece_.data() + size_, bytes.size());
    size_ += bytes.size();
  }

 private:
  void flush() {
    text_.append(piece_.data(), size_);
    size_ = 0;
  }

  std::string& text_;
  std::array<char, 4096> piece_;
  std::size_t size_ = 0;
};

constexpr std::size_t kRun = 8;      ///< bytes that are looked at together
constexpr std::size_t kLongest = 6;  ///< what one byte becomes

/// None of these bytes is escaped.
bool is_plain(const char* bytes) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, kRun);
  const auto has_less_than = [&](std::uint64_t of, std::uint64_t n) {
    return (of - kOnes * n) & ~of & (kOnes << 7);
  };
  const auto has = [&](char c) { return has_less_than(word ^ (kOnes * static_cast<unsigned char>(c)), 1); };
  return (has_less_than(word, 0x20) | has('"') | has('\\') | has(kFirstOfLine)) == 0;
}

/// Escapes what stands at the front of `rest`; gives how many bytes that was.
std::size_t put_escaped(Quoted& quoted, std::string_view rest) noexcept {
  constexpr std::string_view kHex = "0123456789abcdef";
  const char c = rest.front();
  const char escape = kEscapes[static_cast<unsigned char>(c)];
  switch (escape) {
    case kPlain:
      quoted.put(c);
      return 1;
    case kCode:
      quoted.put("\\u00");
      quoted.put(c < 0x10 ? '0' : '1');
      quoted.put(kHex[static_cast<unsigned char>(c) & 15U]);
      return 1;
    case kMaybeLine:
      // U+2028 and U+2029 end a line in older JavaScript, also inside a string.
      if (rest.size() >= 3 && rest[1] == '\x80' && (rest[2] == '\xa8' || rest[2] == '\xa9')) {
        quoted.put(rest[2] == '\xa8' ? "\\u2028" : "\\u2029");
        return 3;
      }
      quoted.put(c);
      return 1;
    default:
      quoted.put('\\');
      quoted.put(escape);
      return 1;
  }
}

/// As a string of JSON, and of any JavaScript. A large text is quoted for whoever polls: run by run.
void append_quoted(std::string& text, std::string_view plain) {
  Quoted quoted(text);
  quoted.put('"');
  for (std::size_t at = 0; at < plain.size();) {
    quoted.need(kRun * kLongest + 1);
    if (at + kRun <= plain.size() && is_plain(plain.data() + at)) {
      quoted.put(plain.substr(at, kRun));
      at += kRun;
      continue;
    }
    for (const std::size_t end = std::min(at + kRun, plain.size()); at < end;)
      at += put_escaped(quoted, plain.substr(at));
  }
  quoted.put('"');
}

constexpr std::size_t base64_size(std::size_t bytes) noexcept { return (bytes + 2) / 3 * 4; }

constexpr std::array<std::int8_t, 256> make_digits() {
  std::array<std::int8_t, 256> digits{};
  for (auto& digit : digits) digit = -1;
  for (int i = 0; i < 26; ++i) {
    digits['A' + static_cast<unsigned>(i)] = static_cast<std::int8_t>(i);
    digits['a' + static_cast<unsigned>(i)] = static_cast<std::int8_t>(26 + i);
  }
  for (int i = 0; i < 10; ++i) digits['0' + static_cast<unsigned>(i)] = static_cast<std::int8_t>(52 + i);
  digits['+'] = digits['-'] = 62;
  digits['/'] = digits['_'] = 63;
  return digits;
}
constexpr std::array<std::int8_t, 256> kDigits = make_digits();

/// What stands in a payload for that frame: a text is the same as in a WebSocket's. Its own rendering goes to
/// `alone` if nobody else has the frame.
std::string_view packet_of(const loop::Buffer& frame, loop::Buffer& alone) {
  if (websocket::opcode_of(frame) == websocket::Opcode::Text) return frame.payload();
  const std::span<const loop::Buffer> message(&frame, 1);
  if (frame.shared()) return loop::rendering_of(message, render_binary_packet).view();
  alone = render_binary_packet(message);
  return alone.view();
}

std::size_t packet_size(const loop::Buffer& frame) {
  const std::size_t bytes = frame.payload().size();
  return websocket::opcode_of(frame) == websocket::Opcode::Text ? bytes : 1 + base64_size(bytes);
}

}  // namespace

Packet parse_packet(std::string_view text) noexcept {
  if (text.empty()) return {};
  const char type = text.front();
  const std::string_view data = text.substr(1);
  if (type == 'b') return {PacketType::Binary, data};
  if (type < '0' || type > '6') return {};
  return {static_cast<PacketType>(type - '0'), data};
}

std::string_view next_packet(const Dialect& dialect, std::string_view& payload, bool& more) noexcept {
  const auto end = payload.find(dialect.separator);
  const std::string_view packet = payload.substr(0, end);
  more = end != std::string_view::npos;
  payload.remove_prefix(more ? end + 1 : payload.size());
  return packet;
}

std::string make_payload(const Dialect& dialect, std::span<const loop::Buffer> frames,
                         std::string_view last) {
  std::size_t size = last.size();
  for (const auto& frame : frames) size += packet_size(frame) + 1;
  std::string payload;
  payload.reserve(size);
  for (const auto& frame : frames) {
    if (!payload.empty()) payload += dialect.separator;
    loop::Buffer alone;
    payload += packet_of(frame, alone);
  }
  if (!last.empty() && !payload.empty()) payload += dialect.separator;
  payload += last;
  return payload;
}

loop::Buffer render_binary_packet(std::span<const loop::Buffer> frame) {
  const std::string_view bytes = frame.front().payload();
  const std::size_t size = 1 + base64_size(bytes.size());
  // EVP_EncodeBlock adds a terminating zero.
  loop::Buffer packet = loop::Buffer::allocate(size + 1);
  packet.data()[0] = 'b';
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(packet.data() + 1),
                  reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  packet.narrow(0, size);
  return packet;
}

std::string from_base64(std::string_view text) {
  std::string decoded(text.size() / 4 * 3 + 3, '\0');
  char* to = decoded.data();
  std::uint32_t word = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const int digit = kDigits[static_cast<unsigned char>(c)];
    if (digit < 0) continue;
    word = word << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    *to++ = static_cast<char>(word >> bits & 0xffu);
  }
  decoded.resize(static_cast<std::size_t>(to - decoded.data()));
  return decoded;
}

std::string wrap_jsonp(std::string_view index, std::string_view payload) {
  std::string script = "___eio[";
  for (const char c : index) {
    if (c >= '0' && c <= '9') script += c;
  }
  script += "](";
  script.reserve(script.size() + payload.size() + payload.size() / 8 + 4);
  append_quoted(script, payload);
  script += ");";
  return script;
}

std::string unwrap_jsonp(std::string_view form) {
  std::string data = http::query_value(form, "d").value_or(std::string());
  // The client escapes a line break as `\n` and a `\n` of its own as `\\n`. What comes out is never longer.
  char* to = data.data();
  for (const char *from = data.data(), *const end = from + data.size(); from < end;) {
    if (*from != '\\') {
      *to++ = *from++;
    } else if (const std::string_view rest(from, end); rest.starts_with("\\n")) {
      *to++ = '\n';
      from += 2;
    } else {
      *to++ = '\\';
      from += rest.starts_with("\\\\n") ? 2 : 1;
    }
  }
  data.resize(static_cast<std::size_t>(to - data.data()));
  return data;
}

std::string make_open_packet(const Handshake& handshake) {
  std::string packet = R"(0{"sid":")";
  packet += handshake.sid;
  packet += handshake.offer_websocket ? R"(","upgrades":["websocket"],"pingInterval":)"
                                      : R"(","upgrades":[],"pingInterval":)";
  packet += std::to_string(handshake.ping_interval.count());
  packet += R"(,"pingTimeout":)" + std::to_string(handshake.ping_timeout.count());
  packet += R"(,"maxPayload":)" + std::to_string(handshake.max_payload_bytes) + "}";
  return packet;
}

std::string make_error_body(int code, std::string_view message) {
  std::string body = R"({"code":)" + std::to_string(code) + R"(,"message":)";
  append_quoted(body, message);
  return body += "}";
}

}  // namespace limpet::engineio
