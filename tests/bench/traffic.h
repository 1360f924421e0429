// The bytes of the benchmark's traffic, so that every server under measurement gets and gives the same ones.
// Owns nothing. Knows only frames with a 2-byte header (payloads up to 125 bytes): all that the benchmark
// needs. A longer packet is our own bug and throws std::logic_error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace limpet::bench {

/// Length of the one string argument of both events.
inline constexpr std::size_t kArgumentLength = 100;
/// Header of a server's text frame (RFC 6455, 5.2: FIN, opcode 1, no mask, 7-bit length).
inline constexpr std::size_t kServerHeaderLength = 2;
/// Header of a client's text frame: the same and a 4-byte mask.
inline constexpr std::size_t kClientHeaderLength = 6;
inline constexpr std::array<unsigned char, 4> kMask = {0x37, 0xfa, 0x21, 0x3d};
inline constexpr unsigned char kTextFrame = 0x81;
inline constexpr std::size_t kLongestPayload = 125;

/// The 100 bytes.
std::string argument();
/// `42["b","…"]`: what a client sends to have it broadcast, and what every client then receives.
std::string broadcast_packet();
/// `42<id>["e","…"]`: wants an acknowledgement.
std::string echo_packet(std::uint64_t id);
/// What stands before and after the id in an acknowledgement: `43` and `["…"]`.
inline constexpr std::string_view kAckPrefix = "43";
std::string ack_suffix();

/// `packet` as an unmasked text frame.
std::string server_frame(std::string_view packet);
/// Appends `packet` as a text frame masked with kMask.
void append_client_frame(std::string& out, std::string_view packet);

}  // namespace limpet::bench
