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
  for (const loop::Buffer& frame : record.frames) record.bytes += frame.size();
  for (const std::string& name : record.rooms) record.bytes += sizeof(std::string) + name.size();
  for (const std::string& name : record.except) record.bytes += sizeof(std::string) + name.size();
  bytes_ += record.bytes;
  places_[writer.generation].push_back({sequence, dropped_records_ + records_.size()});
  records_.push_back(std::move(record));
  while (bytes_ > limit_bytes_) {
    const Record& oldest = records_.front();
    dropped_[oldest.generation] = oldest.sequence;
    bytes_ -= oldest.bytes;
    const auto places = places_.find(oldest.generation);
    places->second.pop_front();
    if (places->second.empty()) places_.erase(places);
    records_.pop_front();
    ++dropped_records_;
  }
}

/// Index of the first record that somebody with these positions was not given; behind all if there is none.
std::size_t Retained::first_beyond(const Positions& up_to) const {
  std::uint64_t first = dropped_records_ + records_.size();
  for (const auto& [generation, places] : places_) {
    const auto position = up_to.find(generation);
    const std::uint64_t given = position == up_to.end() ? 0 : position->second;
    const auto beyond = std::ranges::upper_bound(places, given, {}, &Place::sequence);
    if (beyond != places.end()) first = std::min(first, beyond->number);
  }
  return static_cast<std::size_t>(first - dropped_records_);
}

bool Retained::replay(std::span<const RingPosition> given,
                      const std::function<void(const socketio::Broadcast&)>& deliver) const {
  Positions up_to;
  for (const RingPosition& position : given) up_to[position.writer.generation] = position.sequence;
  const bool whole = std::all_of(dropped_.begin(), dropped_.end(),
                                 [&](const auto& entry) { return entry.second <= up_to[entry.first]; });
  std::vector<std::string_view> rooms;
  std::vector<std::string_view> except;
  for (std::size_t i = first_beyond(up_to); i < records_.size(); ++i) {
    const Record& record = records_[i];
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
