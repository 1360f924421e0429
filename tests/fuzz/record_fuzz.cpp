// Whatever stands in the ring of another worker: it is no record, or one that is written as it was read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "worker/adapter/record.h"
#include "worker/websocket/frame.h"

namespace {

using namespace limpet;
using Bytes = std::vector<std::byte>;

void require(bool condition) {
  if (!condition) std::abort();
}

Bytes joined(std::span<const std::span<const std::byte>> parts) {
  Bytes bytes;
  for (const auto part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

void check_broadcast(const socketio::Broadcast& broadcast, Bytes bytes) {
  require(!broadcast.frames.empty());
  for (const loop::Buffer& frame : broadcast.frames) {
    const websocket::Opcode opcode = websocket::opcode_of(frame);
    require(opcode == websocket::Opcode::Text || opcode == websocket::Opcode::Binary);
  }
  adapter::RecordWriter writer;
  bytes[1] &= std::byte{1};  // the flags that nobody knows are left out
  require(joined(writer.write(broadcast)) == bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto view = std::as_bytes(std::span(data, size));
  const Bytes bytes(view.begin(), view.end());
  adapter::RecordReader reader;
  const socketio::Broadcast* broadcast = reader.read(bytes);
  const auto position = adapter::RecordReader::read_position(bytes);
  require(broadcast == nullptr || !position);
  if (broadcast != nullptr) check_broadcast(*broadcast, bytes);
  adapter::RecordWriter writer;
  if (position) require(joined(writer.write(*position)) == bytes);
  return 0;
}
