// Broadcasts that this worker delivered lately, its own among them: kept, up to a limit, for sessions that
// arrive from another process and were given less of the rings than this one. Owns copies of the names and
// handles of the frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "worker/adapter/ring_position.h"
#include "worker/socketio/broadcast.h"

namespace limpet::adapter {

class Retained {
 public:
  explicit Retained(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  void keep(const ipc::Incarnation& writer, std::uint64_t sequence, const socketio::Broadcast& broadcast);
  /// Calls `deliver` for what lies beyond `given`, in the order in which it came. False: of what lies beyond,
  /// some is kept no more. What lies before all of `given` costs nothing.
  [[nodiscard]] bool replay(std::span<const RingPosition> given,
                            const std::function<void(const socketio::Broadcast&)>& deliver) const;

 private:
  struct Record {
    std::uint64_t generation;
    std::uint64_t sequence;
    std::string nsp;
    std::vector<std::string> rooms;
    std::vector<std::string> except;
    bool is_volatile;
    std::vector<loop::Buffer> frames;
    std::size_t bytes;
  };

  struct Place {
    std::uint64_t sequence;
    std::uint64_t number;  ///< counted from the first record that was ever kept
  };
  using Positions = std::unordered_map<std::uint64_t, std::uint64_t>;
  [[nodiscard]] std::size_t first_beyond(const Positions& up_to) const;

  std::size_t limit_bytes_;
  std::size_t bytes_ = 0;
  std::deque<Record> records_;
  std::uint64_t dropped_records_ = 0;
  /// By the writer's generation: where its records are, in their order.
  std::unordered_map<std::uint64_t, std::deque<Place>> places_;
  /// By the writer's generation, which no other has: the last sequence that is kept no more.
  Positions dropped_;
};

}  // namespace limpet::adapter
