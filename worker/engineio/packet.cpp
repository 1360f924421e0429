#include "worker/engineio/packet.h"

#include <openssl/evp.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include "worker/http/request.h"
#include "worker/websocket/frame.h"

namespace limpet::engineio {

namespace {

constexpr char kSeparator = '\x1e';

std::string json_string(std::string_view text) {
  return boost::json::serialize(
      boost::json::value(boost::json::string(boost::json::string_view(text.data(), text.size()))));
}

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

void append_frame(std::string& payload, const http::Buffer& frame) {
  if (websocket::opcode_of(frame) == websocket::Opcode::Binary) {
    payload += 'b';
    payload += base64(frame.payload());
  } else {
    payload += frame.payload();
  }
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

std::string_view next_packet(std::string_view& payload, bool& more) noexcept {
  const auto end = payload.find(kSeparator);
  const std::string_view packet = payload.substr(0, end);
  more = end != std::string_view::npos;
  payload.remove_prefix(more ? end + 1 : payload.size());
  return packet;
}

std::string make_payload(std::span<const http::Buffer> frames, std::string_view last) {
  std::size_t size = last.size();
  for (const auto& frame : frames) size += frame.size() + 1;
  std::string payload;
  payload.reserve(size);
  for (const auto& frame : frames) {
    if (!payload.empty()) payload += kSeparator;
    append_frame(payload, frame);
  }
  if (!last.empty() && !payload.empty()) payload += kSeparator;
  payload += last;
  return payload;
}

std::string base64(std::string_view bytes) {
  // EVP_EncodeBlock adds a terminating zero.
  std::string encoded((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  encoded.resize(static_cast<std::size_t>(size));
  return encoded;
}

std::string from_base64(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size() / 4 * 3 + 3);
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
    decoded.push_back(static_cast<char>(word >> bits & 0xffu));
  }
  return decoded;
}

std::string wrap_jsonp(std::string_view index, std::string_view payload) {
  std::string script = "___eio[";
  for (const char c : index) {
    if (c >= '0' && c <= '9') script += c;
  }
  script += "](";
  // U+2028 and U+2029 end a line in older JavaScript, also inside a string.
  const std::string quoted = json_string(payload);
  for (std::size_t i = 0; i < quoted.size(); ++i) {
    const std::string_view next = std::string_view(quoted).substr(i, 3);
    if (next == "\xe2\x80\xa8" || next == "\xe2\x80\xa9") {
      script += next.back() == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      script += quoted[i];
    }
  }
  script += ");";
  return script;
}

std::string unwrap_jsonp(std::string_view form) {
  const std::string data = http::query_value(form, "d").value_or(std::string());
  // The client escapes a line break as `\n` and a `\n` of its own as `\\n`.
  std::string payload;
  payload.reserve(data.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::string_view rest = std::string_view(data).substr(i);
    if (rest.starts_with("\\\\n")) {
      payload += "\\n";
      i += 2;
    } else if (rest.starts_with("\\n")) {
      payload += '\n';
      i += 1;
    } else {
      payload += data[i];
    }
  }
  return payload;
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
  return R"({"code":)" + std::to_string(code) + R"(,"message":)" + json_string(message) + "}";
}

}  // namespace limpet::engineio
