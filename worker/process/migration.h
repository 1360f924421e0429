// Sessions and connections that travel between the workers of one slot during a reload (DESIGN.md, "How a
// reload goes"). Giver: the worker that leaves. Taker: the one that follows it. Both sit on one end of a
// migration stream.
//
// What is on its way belongs to the giver until the taker has said `took`, which it does before it touches a
// byte: if the taker dies, the giver takes back what was not taken, as if it had come from elsewhere. What
// the rings brought meanwhile is retained on both sides, and each batch says how far its sessions have been
// given the rings; so nothing is lost and nothing comes twice.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ipc/counters.h"
#include "ipc/frame_stream.h"
#include "worker/adapter/ring_adapter.h"
#include "worker/engineio/server.h"
#include "worker/process/clients.h"
#include "worker/process/front.h"
#include "worker/process/migration_messages.h"
#include "worker/process/watch.h"
#include "worker/socketio/elsewhere.h"
#include "worker/socketio/server.h"

namespace limpet::process {

/// The parts of a worker that have to do with it; borrowed for life.
struct MigrationParts {
  boost::asio::io_context& context;
  Clients& clients;
  engineio::Server& engine;
  socketio::Server& socketio;
  adapter::RingAdapter& rings;
  Front& front;
  ipc::CounterBlock& counters;
};

/// What of broadcasts is retained for sessions on their way.
inline constexpr std::size_t kRetainedBytes = 16u << 20;

class Giver {
 public:
  Giver(const MigrationParts& parts, ipc::Descriptor stream);
  ~Giver();

  /// Once per turn, behind the rings: sends what can leave and fits, hears what was taken.
  void turn();
  /// Has work that waits for nothing but the next turn.
  [[nodiscard]] bool busy() const noexcept;
  /// Says that no more comes. Whoever cannot leave has been drained.
  void finish();
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
    std::vector<ipc::Descriptor> descriptors;
    std::size_t sessions = 0;
    std::vector<SocketAct> acts;  ///< sent behind it
  };

  struct Load {
    SessionBatch batch;
    std::vector<ipc::Descriptor> descriptors;
    std::size_t weight = 0;  ///< bytes, about
  };

  void give_connections();
  bool give_sessions();
  void give(const MigrationMessage& message, std::vector<ipc::Descriptor> descriptors, std::size_t sessions);
  void give(const HttpConnection& connection, ipc::Descriptor socket);
  void give(Load load);
  void close_too_large(Load load);
  std::pair<SessionRecord, ipc::Descriptor> take_out(
      engineio::Session& session, std::vector<std::pair<HttpConnection, ipc::Descriptor>>& polls);
  static void add(std::pair<SessionRecord, ipc::Descriptor> leaving, Load& load, Load& too_large);
  void receive();
  void obey(MigrationMessage message, std::vector<ipc::Descriptor> descriptors);
  void take_back();
  [[nodiscard]] bool has_room() const noexcept;

  MigrationParts parts_;
  ipc::FrameStream stream_;
  Watch watch_;
  std::deque<Parcel> on_their_way_;
  std::size_t bytes_on_their_way_ = 0;
  std::uint64_t parcels_taken_ = 0;
  std::uint64_t sessions_on_their_way_ = 0;
  bool readable_ = true;
  bool finished_ = false;
  bool broken_ = false;
};

class Taker {
 public:
  /// From now on broadcasts are retained.
  Taker(const MigrationParts& parts, ipc::Descriptor stream);

  /// Once per turn, behind the rings.
  void turn();
  [[nodiscard]] bool busy() const noexcept { return readable_ && !over_; }
  /// Everything has come that will, or the giver is gone.
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  /// The giver is gone.
  [[nodiscard]] bool over() const noexcept { return over_; }

  void send(const SocketReply& reply);
  /// A connection with a request for a session that is not here yet.
  void give_back(ipc::Descriptor socket, const ClientConnection& from, std::string_view unread);

 private:
  void obey(MigrationMessage message, std::vector<ipc::Descriptor> descriptors);
  void become_complete();
  /// No more is heard of the giver, and it hears no more of this: what was not taken is its own.
  void end();

  MigrationParts parts_;
  ipc::FrameStream stream_;
  Watch watch_;
  std::uint64_t parcels_ = 0;
  std::deque<ipc::Descriptor> going_back_;  // until their frames are written
  bool readable_ = true;
  bool complete_ = false;
  bool over_ = false;
};

/// Both, and what they are for the Socket.IO server. A worker may be giver and taker at once: its predecessor
/// lives until its acknowledgements have come.
class Migration final : public socketio::Elsewhere {
 public:
  explicit Migration(const MigrationParts& parts) : parts_(parts) {}

  void succeed(ipc::Descriptor stream) { taker_.emplace(parts_, std::move(stream)); }
  /// Again with another successor if the one before is gone.
  void begin_to_give(ipc::Descriptor stream);
  /// Whoever is still here stays.
  void stop_giving();

  void turn();
  [[nodiscard]] bool busy() const noexcept;
  [[nodiscard]] Giver* giver() noexcept { return giver_ ? &*giver_ : nullptr; }
  /// The predecessor waits for acknowledgements that come by way of this worker.
  [[nodiscard]] bool has_predecessor() const noexcept { return taker_ && !taker_->over(); }
  /// A connection for kPredecessor.
  void give_back(ipc::Descriptor socket, const ClientConnection& from, std::string_view unread);

  void emit(std::string_view nsp, std::string_view id, std::span<const http::Buffer> frames) override;
  void join(std::string_view nsp, std::string_view id, std::string_view room) override;
  void leave(std::string_view nsp, std::string_view id, std::string_view room) override;
  void disconnect(std::string_view nsp, std::string_view id, bool close) override;
  void reply(std::string_view nsp, std::string_view id, std::string_view packet,
             std::span<const http::Buffer> attachments) override;

 private:
  void act(const SocketAct& act);
  void forget_giver();

  MigrationParts parts_;
  std::optional<Taker> taker_;
  std::optional<Giver> giver_;
  ipc::Descriptor next_stream_;  ///< to the successor, while sessions still come from the predecessor
};

/// Does what `act` says to a socket that is here. Nothing happens if it is gone, or has moved on.
void carry_out(const SocketAct& act, socketio::Server& socketio);

/// Puts sessions, and what they missed of the rings, into this worker, and runs their connection handlers.
/// One that has no place here (its namespace is gone) has its transport closed, so that its client comes
/// back.
void settle(const MigrationParts& parts, SessionBatch batch, std::vector<ipc::Descriptor> descriptors);

}  // namespace limpet::process
