// A ring record, and the one door through which the bytes of another worker's record become a Broadcast, or a
// place in a third one's ring. All numbers are little-endian.
//
//   u8 kind (1 = broadcast)   u8 flags (bit 0: volatile)   u16 rooms   u16 except   u16 frames
//   u16 length, bytes         namespace
//   u16 length, bytes         each room, then each exception
//   u8 opcode, u32 length     each frame (1 text, 2 binary)
//   bytes                     payloads of all frames, in order
//
//   u8 kind (2 = follows)   u16 slot   u16 lane   u64 generation   u64 sequence
//                             what stands behind it follows that: read that ring so far before you read on
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/adapter/ring_position.h"
#include "worker/socketio/broadcast.h"

namespace limpet::adapter {

/// Makes records. Keeps its scratch memory: one per worker.
class RecordWriter {
 public:
  /// The parts of the record, to be published as one message: views into this writer and into `broadcast`,
  /// good until the next call. Empty if a name is longer than 65,535 bytes or there are more than 65,535 of a
  /// kind.
  [[nodiscard]] std::span<const std::span<const std::byte>> write(const socketio::Broadcast& broadcast);
  /// That what comes next follows `position`. Good until the next call.
  [[nodiscard]] std::span<const std::span<const std::byte>> write(const RingPosition& position);

 private:
  std::string head_;
  std::vector<std::span<const std::byte>> parts_;
};

/// Reads records. Keeps its scratch memory: one per worker.
class RecordReader {
 public:
  /// Null if `bytes` is no such record. The broadcast's names point into `bytes`; its frames are new buffers,
  /// made once for all sockets of this worker. Good until the next call.
  [[nodiscard]] const socketio::Broadcast* read(std::span<const std::byte> bytes);
  /// What the record follows, if that is its kind.
  [[nodiscard]] static std::optional<RingPosition> read_position(std::span<const std::byte> bytes);

 private:
  socketio::Broadcast broadcast_;
  std::vector<std::string_view> names_;
  std::vector<loop::Buffer> frames_;
};

}  // namespace limpet::adapter
