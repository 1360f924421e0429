// This worker's place among the rings: writes its own, reads everybody else's. Owns the ring, the reader page
// and the doorbell that peers ring; maps what peers have sent. A peer whose memory is not what it should be
// is left out, and named in the log. What is read goes to the Socket.IO server as Broadcasts; what was missed
// as Gaps, before anything newer.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/descriptor.h"
#include "base/log_gate.h"
#include "ipc/birth/incarnation.h"
#include "ipc/ring/reader.h"
#include "ipc/ring/reader_page.h"
#include "ipc/ring/writer.h"
#include "ipc/shared/counters.h"
#include "worker/adapter/record.h"
#include "worker/adapter/retained.h"
#include "worker/adapter/ring_position.h"
#include "worker/loop/allowance.h"
#include "worker/socketio/broadcast.h"

namespace limpet::adapter {

class RingAdapter final : public socketio::Adapter {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Deliver = std::function<void(const socketio::Broadcast&)>;
  using OnGap = std::function<void(const ipc::Gap&)>;

  /// Throws std::system_error.
  RingAdapter(const ipc::Incarnation& who, const ipc::RingOptions& options, ipc::CounterBlock& counters,
              Deliver deliver, OnGap on_gap);

  /// For Hello: ring, reader page, doorbell.
  [[nodiscard]] int ring() const noexcept { return writer_.descriptor(); }
  [[nodiscard]] int reader_page() const noexcept { return page_.descriptor(); }
  [[nodiscard]] int doorbell() const noexcept { return doorbell_.get(); }

  /// Keeps our ring for `peer` from now on, and reads its ring from where it keeps it for us.
  void join(const ipc::Incarnation& peer, base::Descriptor ring, base::Descriptor page,
            base::Descriptor doorbell);
  /// The process of `peer` is gone: its ring is read to the end, and then forgotten.
  void leave(const ipc::Incarnation& peer);

  socketio::EmitResult publish(const socketio::Broadcast& broadcast) override;

  /// Reads a bounded number of records of each ring, as far as `allowance` goes. True if more may be waiting.
  bool poll(loop::Allowance& allowance);
  /// Rings the doorbells of sleeping peers, and retries what was deferred. Once per turn.
  void flush(TimePoint now);
  /// Something waits for room in the own ring: flush() again within a millisecond or so.
  [[nodiscard]] bool deferred() const noexcept { return writer_.deferred(); }

  // For sessions that move between workers.
  /// Keeps what is delivered from now on, up to `limit_bytes`. Nothing happens if it does already.
  void retain(std::size_t limit_bytes);
  void stop_retaining() { retained_.reset(); }
  /// How far this worker is in every ring, its own first, and in those that it read to their end lately.
  /// Not while deferred(): what waits to be written was delivered here and is in no ring.
  [[nodiscard]] std::vector<RingPosition> positions() const;
  /// Reads, or has read to its end, every ring of `positions` from which something may still come.
  [[nodiscard]] bool knows(std::span<const RingPosition> positions) const;
  /// The most records that it has to read of one ring until it is nowhere behind `positions`.
  [[nodiscard]] std::uint64_t behind(std::span<const RingPosition> positions) const;
  /// Reads on until it is nowhere behind `positions`, as far as the rings go, and not beyond.
  void catch_up(std::span<const RingPosition> positions);
  /// What is published from now on follows what stands in another ring up to `position`: who reads both gets
  /// that first. So what a client says stays in order when it moves.
  void follow(const RingPosition& position);
  /// What lies beyond `given` of all that was retained. False: some of it is kept no more.
  [[nodiscard]] bool replay(std::span<const RingPosition> given, const Deliver& deliver) const;

  /// Before a wait. False if a ring has something: do not wait.
  [[nodiscard]] bool fall_asleep();
  /// After the wait.
  void wake_up();

 private:
  struct Peer {
    ipc::RingReader reader;
    bool gone = false;  ///< its process has ended: once its ring is empty, it is forgotten
    bool being_read = false;
  };
  class Sink;
  ipc::PollResult read(Peer& peer, const ipc::PollBudget& budget);
  ipc::PollResult read_some(Peer& peer, loop::Allowance& allowance);

  ipc::CounterBlock& counters_;
  Deliver deliver_;
  OnGap on_gap_;
  ipc::RingWriter writer_;
  ipc::ReaderPage page_;
  base::Descriptor doorbell_;
  std::vector<Peer> peers_;
  std::size_t first_peer_ = 0;  ///< counts turns, so that each peer is first in some
  RecordWriter record_writer_;
  RecordReader record_reader_;
  std::optional<Retained> retained_;
  base::LogGate bad_records_;
  base::LogGate gaps_;
  RingPosition followed_;           ///< the last that was published
  std::deque<RingPosition> ended_;  ///< where the rings ended that were read to their end, the oldest first
  bool finished_ = false;           ///< a peer that is gone has been read to its end
};

}  // namespace limpet::adapter
