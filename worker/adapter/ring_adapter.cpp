#include "worker/adapter/ring_adapter.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace limpet::adapter {
namespace {

/// Read from one ring in one turn: bounds a turn, so that clients get their share.
constexpr ipc::PollBudget kPollBudget{.records = 1024, .bytes = std::size_t{1} << 20};
/// Read before the allowance is asked again: each may go to all clients.
constexpr ipc::PollBudget kStepBudget{.records = 4, .bytes = std::size_t{256} << 10};
constexpr std::uint32_t kUnitsOfStep = 16;
/// Ends of rings remembered: more than the workers that can have died while a session was on its way.
constexpr std::size_t kEndedRingsKept = 256;

}  // namespace

/// Where one ring's messages go during a poll.
class RingAdapter::Sink final : public ipc::RingSink {
 public:
  Sink(RingAdapter& adapter, const ipc::Incarnation& writer) : adapter_(adapter), writer_(writer) {}

  void on_message(std::span<const std::byte> message, std::uint64_t sequence) override {
    if (const auto position = RecordReader::read_position(message)) return adapter_.catch_up({&*position, 1});
    const socketio::Broadcast* broadcast = adapter_.record_reader_.read(message);
    if (broadcast == nullptr) {
      base::log_at_most(adapter_.bad_records_, std::chrono::steady_clock::now(), base::LogLevel::Error, [&] {
        return fmt::format("ring: {} gen {}: record {} is no broadcast; it is dropped",
                           ipc::seat_name(writer_.slot), writer_.generation, sequence);
      });
      return;
    }
    adapter_.counters_.add(ipc::Counter::BroadcastsReceived);
    if (adapter_.retained_) adapter_.retained_->keep(writer_, sequence, *broadcast);
    adapter_.deliver_(*broadcast);
  }

  void on_gap(const ipc::Gap& gap) override {
    adapter_.counters_.add(ipc::Counter::RingGaps);
    base::log_at_most(adapter_.gaps_, std::chrono::steady_clock::now(), base::LogLevel::Warning, [&] {
      return fmt::format("ring: {} gen {}: at least {} broadcasts missed: this worker was too slow",
                         ipc::seat_name(gap.writer.slot), gap.writer.generation, gap.lost_at_least);
    });
    adapter_.on_gap_(gap);
  }

 private:
  RingAdapter& adapter_;
  const ipc::Incarnation& writer_;
};

RingAdapter::RingAdapter(const ipc::Incarnation& who, const ipc::RingOptions& options,
                         ipc::CounterBlock& counters, Deliver deliver, OnGap on_gap)
    : counters_(counters),
      deliver_(std::move(deliver)),
      on_gap_(std::move(on_gap)),
      writer_(ipc::RingWriter::create(who, options)),
      page_(ipc::ReaderPage::create(who, options.lanes)),
      doorbell_(base::require(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "create a doorbell")) {}

void RingAdapter::join(const ipc::Incarnation& peer, base::Descriptor ring, base::Descriptor page,
                       base::Descriptor doorbell) {
  std::string why;
  // Our ring first keeps records for the peer, then we read the peer's: in this order no record of ours that
  // the peer's start position covers can be overwritten.
  auto view = ipc::ReaderPageView::map(page, peer, &why);
  if (!view || !writer_.attach_reader(std::move(*view), std::move(doorbell), &why)) {
    base::log(base::LogLevel::Error,
              fmt::format("ring: join {} gen {}: {}; it may miss broadcasts of this worker",
                          ipc::seat_name(peer.slot), peer.generation, why));
  }
  auto reader = ipc::RingReader::attach(ring, peer, page_, &why);
  if (!reader) {
    base::log(base::LogLevel::Error, fmt::format("ring: join {} gen {}: {}; its broadcasts are not read",
                                                 ipc::seat_name(peer.slot), peer.generation, why));
    return;
  }
  peers_.push_back({std::move(*reader)});
}

void RingAdapter::leave(const ipc::Incarnation& peer) {
  writer_.detach_reader(peer.lane);
  for (Peer& known : peers_) {
    if (known.reader.writer() == peer) known.gone = true;
  }
}

socketio::EmitResult RingAdapter::publish(const socketio::Broadcast& broadcast) {
  // Nobody else is there to get it, and nobody will come back who missed it.
  if (writer_.readers() == 0 && !retained_) return socketio::EmitResult::Published;
  const auto parts = record_writer_.write(broadcast);
  const ipc::PublishResult result = parts.empty() ? ipc::PublishResult::TooLarge : writer_.publish(parts);
  const bool taken = result == ipc::PublishResult::Published || result == ipc::PublishResult::Deferred;
  if (retained_ && taken) retained_->keep(writer_.who(), writer_.sequence(), broadcast);
  switch (result) {
    case ipc::PublishResult::Published:
      counters_.add(ipc::Counter::BroadcastsPublished);
      return socketio::EmitResult::Published;
    case ipc::PublishResult::Deferred:
      counters_.add(ipc::Counter::BroadcastsDeferred);
      return socketio::EmitResult::Deferred;
    case ipc::PublishResult::TooLarge:
    case ipc::PublishResult::QueueFull:
      break;
  }
  counters_.add(ipc::Counter::BroadcastsLost);
  return socketio::EmitResult::Lost;
}

bool RingAdapter::poll(loop::Allowance& allowance) {
  bool more = false;
  // Another one first each time: the allowance may not reach all.
  const std::size_t first = peers_.empty() ? 0 : ++first_peer_ % peers_.size();
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    Peer& peer = peers_[(first + i) % peers_.size()];
    if (!peer.gone && !peer.reader.has_data()) continue;
    const ipc::PollResult result = read_some(peer, allowance);
    more = more || result == ipc::PollResult::More;
    finished_ = finished_ || (peer.gone && result != ipc::PollResult::More);
  }
  if (finished_ && !more) {
    for (const Peer& peer : peers_)
      if (peer.gone) ended_.push_back({peer.reader.writer(), peer.reader.last_sequence(), true});
    while (ended_.size() > kEndedRingsKept) ended_.pop_front();
    std::erase_if(peers_, [](const Peer& peer) { return peer.gone; });
    finished_ = false;
  }
  return more;
}

ipc::PollResult RingAdapter::read_some(Peer& peer, loop::Allowance& allowance) {
  for (std::uint64_t records = 0; records < kPollBudget.records; records += kStepBudget.records) {
    if (!allowance.take(kUnitsOfStep)) return ipc::PollResult::More;
    const ipc::PollResult result = read(peer, kStepBudget);
    if (result != ipc::PollResult::More) return result;
  }
  return ipc::PollResult::More;
}

ipc::PollResult RingAdapter::read(Peer& peer, const ipc::PollBudget& budget) {
  // In the middle of a record of its own: a cycle of records that follow each other.
  if (std::exchange(peer.being_read, true)) return ipc::PollResult::Empty;
  Sink sink(*this, peer.reader.writer());
  const ipc::PollResult result = peer.reader.poll(budget, sink);
  peer.being_read = false;
  if (result != ipc::PollResult::Corrupt) return result;
  base::log(base::LogLevel::Error, fmt::format("ring: {} gen {}: {}; its broadcasts are read no more",
                                               ipc::seat_name(peer.reader.writer().slot),
                                               peer.reader.writer().generation, peer.reader.why()));
  counters_.add(ipc::Counter::RingGaps);
  on_gap_({peer.reader.writer(), 1});
  peer.gone = true;
  return result;
}

void RingAdapter::retain(std::size_t limit_bytes) {
  if (!retained_) retained_.emplace(limit_bytes);
}

std::vector<RingPosition> RingAdapter::positions() const {
  std::vector<RingPosition> positions;
  positions.push_back({writer_.who(), writer_.sequence()});
  for (const RingPosition& end : ended_) positions.push_back(end);
  for (const Peer& peer : peers_)
    positions.push_back({peer.reader.writer(), peer.reader.last_sequence(), peer.gone});
  return positions;
}

bool RingAdapter::knows(std::span<const RingPosition> positions) const {
  return std::all_of(positions.begin(), positions.end(), [this](const RingPosition& position) {
    const auto is_writer = [&position](const auto& each) { return each == position.writer; };
    return position.ended || is_writer(writer_.who()) ||
           std::ranges::any_of(peers_, is_writer, [](const Peer& peer) { return peer.reader.writer(); }) ||
           std::ranges::any_of(ended_, is_writer, &RingPosition::writer);
  });
}

std::uint64_t RingAdapter::behind(std::span<const RingPosition> positions) const {
  std::uint64_t most = 0;
  for (const RingPosition& position : positions) {
    for (const Peer& peer : peers_) {
      if (peer.gone || !(peer.reader.writer() == position.writer)) continue;
      // One that has nothing to read is not behind, although it may not know yet at which number it is.
      if (!peer.reader.has_data()) continue;
      most = std::max(most, position.sequence - std::min(position.sequence, peer.reader.last_sequence()));
    }
  }
  return most;
}

void RingAdapter::catch_up(std::span<const RingPosition> positions) {
  for (const RingPosition& position : positions) {
    for (Peer& peer : peers_) {
      if (!(peer.reader.writer() == position.writer)) continue;
      // A record more could follow one of a ring whose turn has not come.
      ipc::PollBudget budget = kPollBudget;
      do {
        budget.records = position.sequence - std::min(position.sequence, peer.reader.last_sequence());
      } while (budget.records > 0 && read(peer, budget) == ipc::PollResult::More);
    }
  }
}

void RingAdapter::follow(const RingPosition& position) {
  const bool known = followed_.writer == position.writer && followed_.sequence == position.sequence;
  if (known || position.writer == writer_.who() || writer_.readers() == 0) return;
  followed_ = position;
  // No room for it: what comes next waits behind it, or is lost as well.
  (void)writer_.publish(record_writer_.write(position));
}

bool RingAdapter::replay(std::span<const RingPosition> given, const Deliver& deliver) const {
  return !retained_ || retained_->replay(given, deliver);
}

void RingAdapter::flush(TimePoint now) {
  if (writer_.deferred()) writer_.retry(now);
  writer_.flush();
}

bool RingAdapter::fall_asleep() {
  page_.fall_asleep();
  // Only after the epoch is odd: a writer that published before saw us awake (I8).
  return std::none_of(peers_.begin(), peers_.end(),
                      [](const Peer& peer) { return peer.gone || peer.reader.has_data(); });
}

void RingAdapter::wake_up() { page_.wake_up(); }

}  // namespace limpet::adapter
