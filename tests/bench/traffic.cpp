#include "tests/bench/traffic.h"

#include <stdexcept>

namespace limpet::bench {
namespace {

void append_header(std::string& out, std::string_view packet, unsigned char mask_bit) {
  if (packet.size() > kLongestPayload) throw std::logic_error("traffic: a packet longer than 125 bytes");
  out += static_cast<char>(kTextFrame);
  out += static_cast<char>(packet.size() | mask_bit);
}

std::string quoted_argument() { return '"' + argument() + '"'; }

}  // namespace

std::string argument() { return std::string(kArgumentLength, 'x'); }

std::string broadcast_packet() { return "42[\"b\"," + quoted_argument() + ']'; }

std::string echo_packet(std::uint64_t id) {
  return "42" + std::to_string(id) + "[\"e\"," + quoted_argument() + ']';
}

std::string ack_suffix() { return '[' + quoted_argument() + ']'; }

std::string server_frame(std::string_view packet) {
  std::string frame;
  append_header(frame, packet, 0);
  return frame.append(packet);
}

void append_client_frame(std::string& out, std::string_view packet) {
  append_header(out, packet, 0x80);
  for (const unsigned char byte : kMask) out += static_cast<char>(byte);
  for (std::size_t at = 0; at < packet.size(); ++at) out += static_cast<char>(packet[at] ^ kMask[at % 4]);
}

}  // namespace limpet::bench
