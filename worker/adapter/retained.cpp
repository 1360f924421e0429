#include "worker/adapter/retained.h"

#include <algorithm>

namespace limpet::adapter {

void Retained::keep(const ipc::Incarnation& writer, std::uint64_t sequence,
                    const socketio::Broadcast& broadcast) {
  Record record{.generation = writer.generation,
                .sequence = sequence,
                .nsp = std::string(broadcast.nsp),
                .rooms = {broadcast.rooms.begin(), broadcast.rooms.end()},
                .except = {broadcast.except.begin(), broadcast.except.end()},
                .is_volatile = broadcast.is_volatile,
                .frames = {broadcast.frames.begin(), broadcast.frames.end()},
                .bytes = sizeof(Record)};
  for (const http::Buffer& frame : record.frames) record.bytes += frame.size();
  for (const std::string& name : record.rooms) record.bytes += sizeof(std::string) + name.size();
  for (const std::string& name : record.except) record.bytes += sizeof(std::string) + name.size();
  bytes_ += record.bytes;
  records_.push_back(std::move(record));
  while (bytes_ > limit_bytes_) {
    const Record& oldest = records_.front();
    dropped_[oldest.generation] = oldest.sequence;
    bytes_ -= oldest.bytes;
    records_.pop_front();
  }
}

bool Retained::replay(std::span<const RingPosition> given,
                      const std::function<void(const socketio::Broadcast&)>& deliver) const {
  std::unordered_map<std::uint64_t, std::uint64_t> up_to;
  for (const RingPosition& position : given) up_to[position.writer.generation] = position.sequence;
  const bool whole = std::all_of(dropped_.begin(), dropped_.end(),
                                 [&](const auto& entry) { return entry.second <= up_to[entry.first]; });
  std::vector<std::string_view> rooms;
  std::vector<std::string_view> except;
  for (const Record& record : records_) {
    if (record.sequence <= up_to[record.generation]) continue;
    rooms.assign(record.rooms.begin(), record.rooms.end());
    except.assign(record.except.begin(), record.except.end());
    deliver({.nsp = record.nsp,
             .rooms = rooms,
             .except = except,
             .is_volatile = record.is_volatile,
             .frames = record.frames});
  }
  return whole;
}

}  // namespace limpet::adapter
