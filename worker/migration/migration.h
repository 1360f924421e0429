// Sessions and connections that travel between two workers (docs/design.md, "How a reload goes", "Scaling").
// In a reload, giver is the worker that leaves, taker the one that follows it in its slot; everything
// travels. With another number of slots, giver is whoever has lost buckets to the taker's slot; only their
// sessions travel. Both sit on one end of a migration stream.
//
// What is on its way belongs to the giver until the taker has said `took`, which it does before it touches a
// byte: if the taker dies, the giver takes back what was not taken, as if it had come from elsewhere. If it
// lives and says what cannot be, nobody knows who has what is on its way: those connections end, for no
// client may be in two places. What the rings brought meanwhile is retained on both sides, and each batch
// says how far its sessions have been given the rings; so nothing is lost and nothing comes twice.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ipc/messages/control.h"
#include "ipc/messages/frame_stream.h"
#include "ipc/shared/counters.h"
#include "worker/adapter/ring_adapter.h"
#include "worker/application/application.h"
#include "worker/client/clients.h"
#include "worker/engineio/server.h"
#include "worker/loop/allowance.h"
#include "worker/loop/watch.h"
#include "worker/migration/messages.h"
#include "worker/slot/front.h"
#include "worker/slot/handovers.h"
#include "worker/slot/router.h"
#include "worker/socketio/elsewhere.h"

namespace limpet::migration {

/// The parts of a worker that have to do with it; borrowed for life.
struct MigrationParts {
  boost::asio::io_context& context;
  client::Clients& clients;
  engineio::Server& engine;
  application::Application& application;
  adapter::RingAdapter& rings;
  slot::Router& router;
  slot::Front& front;
  slot::Handovers& handovers;
  ipc::CounterBlock& counters;
  const loop::Clock& clock;

  [[nodiscard]] socketio::Server& socketio() const noexcept { return application.socketio(); }
};

/// What of broadcasts is retained for sessions on their way.
inline constexpr std::size_t kRetainedBytes = 16u << 20;

class Giver {
 public:
  /// `to_slot`: gives only sessions whose bucket the table gives to that slot, and connections only when the
  /// own slot has no bucket any more; begins when the taker says that it expects them. Without: everything.
  Giver(const MigrationParts& parts, base::Descriptor stream,
        std::optional<std::uint16_t> to_slot = std::nullopt);
  ~Giver();

  /// Once per turn, behind the rings: sends what can leave and fits, hears what was taken.
  void turn(loop::Allowance& allowance);
  /// Has work that waits for nothing but the next turn.
  [[nodiscard]] bool busy() const noexcept;
  /// turn() is to be called then at the latest.
  [[nodiscard]] loop::TimePoint next_deadline() const noexcept;
  /// How many sessions there were to give that could not leave, as of the last round. Nothing before the
  /// first one is over, or if others have come since it began.
  [[nodiscard]] std::optional<std::size_t> left() const;
  /// Says that no more comes. Whoever cannot leave has been drained.
  void finish();
  /// Is it for this giver to give?
  [[nodiscard]] bool wants(const engineio::Session& session) const;
  /// A connection with a request for a session that the taker has, or that is nowhere.
  void pass_on(base::Descriptor socket, const client::ClientConnection& from, std::string_view unread);
  /// The taker is there, and does not know yet that all was given.
  [[nodiscard]] bool passes_on() const noexcept { return !waits_for_taker_ && !broken_ && !given(); }
  [[nodiscard]] bool given() const noexcept { return finished_ && settled(); }
  [[nodiscard]] std::uint64_t sessions_taken() const noexcept { return sessions_taken_; }
  /// The taker is gone; what it had not taken is here again.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  /// Nothing is on its way.
  [[nodiscard]] bool settled() const noexcept { return on_their_way_.empty(); }
  [[nodiscard]] std::uint64_t sessions_on_their_way() const noexcept { return sessions_on_their_way_; }
  /// What the taker has said so far, its end among it: to be heard before another takes its place.
  void hear();

  void send(const SocketAct& act);

 private:
  struct Parcel {
    std::vector<std::byte> frame;
    std::vector<base::Descriptor> descriptors;
    std::size_t sessions = 0;
    std::vector<SocketAct> acts;  ///< sent behind it
  };

  struct Load {
    SessionBatch batch;
    std::vector<base::Descriptor> descriptors;
    std::size_t weight = 0;  ///< bytes, about
  };

  [[nodiscard]] bool gives_connections() const;
  void give_connections(loop::Allowance& allowance);
  [[nodiscard]] bool gives_sessions() const noexcept { return !waits_for_taker_ && !finished_; }
  bool give_sessions(loop::Allowance& allowance);
  [[nodiscard]] bool can_leave(const engineio::Session& session) const;
  [[nodiscard]] std::vector<engineio::Session*> announced(loop::Allowance& allowance);
  void pack(const std::vector<engineio::Session*>& leaving);
  [[nodiscard]] bool goes_round();
  void end_round();
  [[nodiscard]] std::uint64_t newcomers() const;
  void give(const MigrationMessage& message, std::vector<base::Descriptor> descriptors, std::size_t sessions);
  void give(const HttpConnection& connection, base::Descriptor socket);
  void give(Load load);
  void close_too_large(Load load);
  std::pair<SessionRecord, base::Descriptor> take_out(
      engineio::Session& session, std::vector<std::pair<HttpConnection, base::Descriptor>>& polls);
  static void add(std::pair<SessionRecord, base::Descriptor> leaving, Load& load, Load& too_large);
  void receive(loop::Allowance& allowance);
  void obey(MigrationMessage message, std::vector<base::Descriptor> descriptors);
  void take_back();
  void give_up(const std::string& why);
  void break_off();
  [[nodiscard]] bool has_room() const noexcept;

  /// One look at all sessions here, so that those that stay cost once and not once per batch.
  struct Search {
    engineio::Round round{.over = true};
    std::size_t left = 0;                    ///< were to be given, and could not leave
    std::optional<std::uint64_t> newcomers;  ///< when it began
    loop::TimePoint again_at{};              ///< once it is over
    bool is_wanted = false;                  ///< again, as soon as may be
  };

  MigrationParts parts_;
  std::optional<std::uint16_t> to_slot_;
  Search search_;
  bool first_round_is_over_ = false;  ///< then heavy sessions, and idle connections, leave too
  loop::TimePoint connections_again_at_{};
  ipc::FrameStream stream_;
  loop::Watch watch_;
  std::deque<Parcel> on_their_way_;
  std::size_t bytes_on_their_way_ = 0;
  std::uint64_t parcels_taken_ = 0;
  std::uint64_t sessions_on_their_way_ = 0;
  std::uint64_t sessions_taken_ = 0;
  bool waits_for_taker_;
  bool begins_ = false;
  bool writes_later_ = false;  // what is queued waits for room, and is told of it
  bool readable_ = true;
  bool finished_ = false;
  bool broken_ = false;
};

class Taker {
 public:
  using OnAct = std::function<void(const SocketAct&)>;
  /// The giver gives what cannot be understood: it has kept it.
  using OnRefusal = std::function<void(const std::string& why)>;

  /// From now on broadcasts are retained. `number`: grows from each of them, and each giver, to the next.
  Taker(const MigrationParts& parts, std::uint32_t number, base::Descriptor stream, OnAct on_act,
        OnRefusal on_refusal);

  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  /// Tells the giver, which waits for it.
  void say_expecting();

  /// Once per turn, behind the rings.
  void turn(loop::Allowance& allowance);
  [[nodiscard]] bool busy() const noexcept {
    if (over_) return false;
    if (stream_.queued_bytes() > 0) return !writes_later_;
    return held_ ? joins_ahead_ : readable_ || next_.has_value();
  }
  /// turn() is to be called then at the latest.
  [[nodiscard]] loop::TimePoint next_deadline() const noexcept {
    return held_ ? held_until_ : loop::TimePoint::max();
  }
  /// Everything has come that will, or the giver is gone.
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  /// The giver is gone.
  [[nodiscard]] bool over() const noexcept { return over_; }

  void send(const SocketReply& reply);
  /// A connection with a request for a session that is not here yet.
  void give_back(base::Descriptor socket, const client::ClientConnection& from, std::string_view unread);

 private:
  struct Frame {
    MigrationMessage message;
    std::vector<base::Descriptor> descriptors;
  };

  [[nodiscard]] ipc::ReceiveStatus receive_out_of_reserve(ipc::Datagram* into);
  [[nodiscard]] bool receive_next(loop::Allowance& allowance);
  bool take_next(loop::Allowance& allowance);
  void take(Frame frame, loop::Allowance& allowance);
  [[nodiscard]] bool joins_ahead(const Frame& frame, loop::Allowance& allowance);
  [[nodiscard]] bool is_early(const Frame& frame);
  void obey(MigrationMessage message, std::vector<base::Descriptor> descriptors);
  /// No more is heard of the giver, and it hears no more of this: what was not taken is its own.
  void end();
  void refuse(const std::string& why);

  MigrationParts parts_;
  std::uint32_t number_;
  OnAct on_act_;
  OnRefusal on_refusal_;
  ipc::FrameStream stream_;
  loop::Watch watch_;
  std::uint64_t parcels_ = 0;
  std::deque<base::Descriptor> going_back_;  // until their frames are written
  std::optional<ipc::Datagram> next_;        // is whole, and waits for a turn that has time for it
  std::optional<Frame> held_;  // came before what the supervisor says of its rings, or is in very many rooms
  loop::TimePoint held_until_{};  // from the first such frame on
  bool writes_later_ = false;     // what is queued waits for room, and is told of it
  bool joins_ahead_ = false;      // held_ does: what it waits for is the next turn
  bool readable_ = true;
  bool complete_ = false;
  bool over_ = false;
};

class BucketMove;

/// All of them, and what they are for the Socket.IO server. A worker may be giver and taker at once, several
/// times.
///
/// All streams have numbers that grow. A session that came by one of them left by a later one; so replies on
/// their way back go only to earlier ones, acts on their way forth only to later ones, and none goes in
/// circles.
class Migration final : public socketio::Elsewhere, public slot::SessionStreams {
 public:
  using OnBucketsMoved = std::function<void(const ipc::BucketsMoved&)>;

  /// `on_refusal`: this worker cannot succeed the one before it.
  Migration(const MigrationParts& parts, OnBucketsMoved on_moved, Taker::OnRefusal on_refusal);
  ~Migration() override;

  // A reload.
  void succeed(base::Descriptor stream) { expect(std::move(stream), on_refusal_); }
  /// Again with another successor if the one before is gone.
  void begin_to_give(base::Descriptor stream);
  [[nodiscard]] Giver* giver() noexcept { return giver_ ? &*giver_ : nullptr; }

  // Buckets that change their slot.
  void expect_buckets(base::Descriptor stream);
  /// Again for the same slot if its worker before is gone.
  void move_buckets(const ipc::MoveBuckets& order, base::Descriptor stream);
  /// Nothing of what moves buckets is left to wait for: all is taken, and nobody here or before waits for a
  /// reply.
  [[nodiscard]] bool buckets_are_quiet() const;
  /// Connections that wait for their next request leave with them.
  [[nodiscard]] bool gives_connections() const;
  /// From a taker that is not complete.
  [[nodiscard]] bool expects_sessions() const noexcept { return last_expected_ != 0; }

  /// Whoever is still here stays.
  void stop_giving();

  /// Once per turn, behind the rings. What `allowance` does not suffice for is done in the next turn.
  void turn(loop::Allowance& allowance);
  [[nodiscard]] bool busy() const noexcept;
  [[nodiscard]] loop::TimePoint next_deadline() const;
  /// Somebody before waits for acknowledgements that come by way of this worker.
  [[nodiscard]] bool has_predecessor() const noexcept { return !takers_.empty(); }
  void give_back(base::Descriptor socket, const client::ClientConnection& from,
                 std::string_view unread) override;
  bool pass_on(base::Descriptor& socket, const client::ClientConnection& from, std::uint16_t to_slot,
               std::string_view unread) override;

  void emit(std::string_view nsp, std::string_view id, std::span<const loop::Buffer> frames) override;
  void join(std::string_view nsp, std::string_view id, std::string_view room) override;
  void leave(std::string_view nsp, std::string_view id, std::string_view room) override;
  void disconnect(std::string_view nsp, std::string_view id, bool close) override;
  void reply(std::string_view nsp, std::string_view id, std::string_view packet,
             std::span<const loop::Buffer> attachments) override;

 private:
  static constexpr std::uint32_t kAny = 0xffffffff;

  Taker& expect(base::Descriptor stream, Taker::OnRefusal on_refusal);
  void note_expectations();
  void give(loop::Allowance& allowance);
  void end_moves();
  void act(const SocketAct& act, std::uint32_t behind);
  [[nodiscard]] bool has_taker_before(std::uint32_t number) const noexcept;
  [[nodiscard]] bool is_over(const BucketMove& move) const;
  void forget_giver();

  MigrationParts parts_;
  OnBucketsMoved on_moved_;
  Taker::OnRefusal on_refusal_;
  std::list<Taker> takers_;  ///< in the order of their numbers
  std::list<BucketMove> moves_;
  std::optional<Giver> giver_;  ///< to a successor
  std::uint32_t giver_number_ = 0;
  std::uint32_t last_number_ = 0;
  std::uint32_t last_expected_ = 0;  ///< number of the last taker that is not complete; 0: all are
  std::uint32_t replies_before_ = kAny;
  base::Descriptor next_stream_;  ///< to the successor, while sessions still come
};

/// Does what `act` says to a socket that is here. False: it is not.
bool carry_out(const SocketAct& act, socketio::Server& socketio);

/// Puts sessions, and what they missed of the rings, into this worker, and runs their connection handlers.
/// One that has no place here (its namespace is gone) has its transport closed, so that its client comes
/// back.
void settle(const MigrationParts& parts, SessionBatch batch, std::vector<base::Descriptor> descriptors);

}  // namespace limpet::migration
