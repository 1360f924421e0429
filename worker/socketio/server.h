// The Socket.IO 5 server of one worker: namespaces, sockets, rooms, handlers, acknowledgements, over
// Engine.IO sessions that others own. Owns all Socket.IO state and the handlers of events. Knows no
// processes: emits leave through an Adapter, and come in through deliver(). Knows of the application only its
// NamespaceHandlers, which run its code.
//
// A client's mistake closes its session (ParseError, or ForcedClose for a packet out of order). Nothing
// throws out of the SessionHandler functions. One thread; never destroyed from inside a handler.
//
// For the worker's loop: construct, set_adapter, add_namespace, then each turn the sessions' calls and
// deliver(), and tick() once next_deadline() has come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/log_gate.h"
#include "worker/engineio/session.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/loop/fifo.h"
#include "worker/loop/timer_queue.h"
#include "worker/socketio/broadcast.h"
#include "worker/socketio/charges.h"
#include "worker/socketio/client_image.h"
#include "worker/socketio/client_sockets.h"
#include "worker/socketio/delivery.h"
#include "worker/socketio/dispatch.h"
#include "worker/socketio/elsewhere.h"
#include "worker/socketio/event_handlers.h"
#include "worker/socketio/memberships.h"
#include "worker/socketio/namespace_handlers.h"
#include "worker/socketio/namespaces.h"
#include "worker/socketio/packet.h"
#include "worker/socketio/replies.h"
#include "worker/socketio/socket_table.h"
#include "worker/socketio/state.h"

namespace limpet::socketio {

struct Options {
  std::chrono::milliseconds connect_timeout{45'000};
  /// Of one packet with its attachments; a client that sends more is closed (parse error).
  std::size_t max_packet_bytes = 4'000'000;
};

/// Totals since the start, but for the gauge sockets_open. Copied out by the loop.
struct Stats {
  std::uint64_t packets_in = 0;
  std::uint64_t packets_out = 0;  ///< once per client
  std::uint64_t sockets_open = 0;
  std::uint64_t decode_errors = 0;  ///< sessions closed for an undecodable packet
  std::uint64_t out_of_order = 0;   ///< sessions closed for a packet they might not send then
};

/// Fills in a new socket's id: 20 unguessable characters of [A-Za-z0-9_-], never the same twice.
using IdSource = std::function<void(std::span<char, base::kIdBytes>)>;

class Server final : public engineio::SessionHandler {
 public:
  /// `clock` and `timers` outlive the server, which puts the time-outs of replies among these; somebody else
  /// runs them.
  Server(const loop::Clock& clock, loop::TimerQueue& timers, const Options& options, IdSource ids);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Null: there are no other workers. Outlives the server, or is set to null before.
  void set_adapter(Adapter* adapter) noexcept { adapter_ = adapter; }

  // Clients that move to and from other processes (moving.cpp).
  /// Null: nobody moves. Outlives the server, or is set to null before.
  void set_elsewhere(Elsewhere* elsewhere) noexcept { elsewhere_ = elsewhere; }
  /// Is everything that is known of its client in its image? Not while one of its sockets is being let in.
  [[nodiscard]] bool can_depart(const engineio::Session& session) const noexcept;
  /// Runs the handlers that let an application put into data() what it needs, once for each client.
  void announce_departure(engineio::Session& session);
  [[nodiscard]] bool announced_departure(const engineio::Session& session) const noexcept;
  /// Its sockets are Moved from now on, in no room, and reach their client through Elsewhere. No handler
  /// runs.
  [[nodiscard]] ClientImage depart(engineio::Session& session);
  /// Before arrive(), as often as it takes: joins the rooms of those sockets that are in very many, as far as
  /// the allowance goes. Nothing is delivered to them before they arrive. False: there are more.
  [[nodiscard]] bool join_ahead(const ClientImage& image, loop::Allowance& allowance);
  /// It will not arrive.
  void forget_ahead(const ClientImage& image);
  /// The inverse, in another process: no handler runs. False, and nothing has happened, if there is no such
  /// namespace here, or a socket of that id is here already.
  [[nodiscard]] bool arrive(engineio::Session& session, const ClientImage& image);
  /// Delivers what the sockets of these sessions missed, and nobody else.
  void deliver_late(const Broadcast& broadcast, std::span<engineio::Session* const> sessions);
  /// Runs the connection handlers of a client that has arrived.
  void announce_arrival(engineio::Session& session);
  /// The socket of that id, connected here; null without one.
  [[nodiscard]] SocketState* find_connected(std::string_view nsp, std::string_view id) const noexcept;
  /// From where the client is now: an answer for a socket that has moved.
  void take_reply(std::string_view nsp, std::string_view id, std::string_view packet,
                  std::span<const loop::Buffer> attachments);
  /// Callbacks of moved sockets that still wait for an answer.
  [[nodiscard]] std::size_t awaited_replies() const noexcept { return replies_.awaited_by_moved(); }
  /// They are given the error `moved`, all of them at once.
  void give_up_moved_replies();
  /// That, in this turn and the next ones, and what is left here of moved sockets ends: handles that know
  /// them are of no effect any more.
  void forget_moved();

  void on_open(engineio::Session& session) override;
  void on_text(engineio::Session& session, std::string_view text) override;
  void on_binary(engineio::Session& session, std::string_view bytes) override;
  void on_close(engineio::Session& session, engineio::CloseReason reason) override;

  /// An emit of another worker, to the sockets of this one.
  void deliver(const Broadcast& broadcast);

  /// Closes sessions that joined no namespace in time, goes on with what sockets have left behind.
  /// What `allowance` does not suffice for is done in the next turn.
  void tick(loop::Allowance& allowance);
  [[nodiscard]] std::optional<loop::TimePoint> next_deadline() const;

  [[nodiscard]] const Stats& stats() const noexcept { return stats_; }
  /// Bytes kept for sockets that have ended or moved; for the others their sessions know (Session::hold).
  [[nodiscard]] std::size_t held_for_ended() const noexcept { return charges_.held_for_ended(); }

  [[nodiscard]] NamespaceState* find_namespace(std::string_view name) const noexcept {
    return namespaces_.find(name);
  }
  /// There is none of that name ("/", "/admin") yet. It stays as long as the server.
  NamespaceState& add_namespace(std::string name, std::unique_ptr<NamespaceHandlers> handlers) {
    return namespaces_.add(*this, std::move(name), std::move(handlers));
  }
  /// For a Dispatch, which lives while code of the application may run; and what must live as long.
  [[nodiscard]] Discarded& discarded() noexcept { return discarded_; }

  // What the public classes are made of.
  // ---------------------------------------------------------------------------

  /// Null: gone.
  [[nodiscard]] SocketState* find(std::uint32_t index, std::uint32_t epoch) const noexcept {
    return sockets_.find(index, epoch);
  }
  [[nodiscard]] EventHandlers& handlers() noexcept { return handlers_; }
  [[nodiscard]] Replies& replies() noexcept { return replies_; }
  [[nodiscard]] Charges& charges() noexcept { return charges_; }
  void send(SocketState& socket, std::span<const loop::Buffer> frames);
  bool join(SocketState& socket, std::string_view room);
  bool leave(SocketState& socket, std::string_view room);
  void disconnect(SocketState& socket, bool close);
  /// To the sockets of this worker, and through the adapter unless `local`.
  EmitResult broadcast(const NamespaceState& nsp, const Broadcast& broadcast, bool local);

 private:
  /// A socket that has ended, or moved, with rooms that it has not left or replies that are not given up.
  struct Ending {
    SocketState* socket = nullptr;  // ours, if it is not in sockets_
    std::string reason;
    bool is_awaited = false;  // there are replies, and behind these the disconnect handlers
    bool was_connected = false;
  };
  /// A socket that will arrive, and has joined some of its rooms.
  struct Ahead {
    std::unique_ptr<SocketState> socket;
    std::size_t joined = 0;  // of the image's rooms
  };
  // By id: index. A client that had to come back and left again stands here more than once.
  using MovedSockets = std::unordered_multimap<std::string, std::uint32_t, NameHash, std::equal_to<>>;
  static constexpr const char* kDisconnectedReply = "socket has been disconnected";
  static constexpr const char* kMovedReply = "moved";

  void receive(ClientState& client, const Packet& packet, std::span<const loop::Buffer> attachments);
  void receive_connect(ClientState& client, const Packet& packet);
  void receive_event(SocketState& socket, const Packet& packet, std::span<const loop::Buffer> attachments);
  void receive_reply(SocketState& socket, const Packet& packet, std::span<const loop::Buffer> attachments);
  void refuse(ClientState& client, std::string_view nsp, const Error& error);
  void accept(SocketState& socket);

  SocketState& create_socket(ClientState& client, NamespaceState& nsp, const SocketId& id);
  void enter_namespace(SocketState& socket);
  void leave_namespace(SocketState& socket);
  void wait_for_connect(ClientState& client, loop::TimePoint deadline);
  void await_attachments(ClientState& client, std::string_view text, std::uint32_t expected);
  void keep_attachment(ClientState& client, loop::Buffer frame);
  std::unique_ptr<ClientState::Assembly> take_assembly(ClientState& client);

  // endings.cpp
  void retire_socket(SocketState& socket, std::string_view reason);
  void cut_off(SocketState& socket);
  void end_socket(SocketState& socket, bool was_connected, std::string_view reason);
  void forget_socket(SocketState& socket);
  void go_on_with_endings(loop::Allowance& allowance);
  void go_on_forgetting(loop::Allowance& allowance);
  void close_unconnected(loop::Allowance& allowance);
  void retire_all(ClientState& client, std::string_view reason);
  void close_client(ClientState& client, std::string_view reason, engineio::CloseReason session_reason);
  void stop_waiting(ClientState& client);

  // moving.cpp
  [[nodiscard]] std::unique_ptr<SocketState> make_ahead(const SocketImage& image);
  [[nodiscard]] SocketState* take_ahead(ClientState& client, const SocketImage& image);
  /// A reply for what stayed behind when the socket of that id moved. False: nobody waits for it.
  bool resolve_moved_reply(std::string_view socket_id, const Packet& packet,
                           std::span<const loop::Buffer> attachments);

  const loop::Clock& clock_;
  const Options options_;
  IdSource ids_;
  Adapter* adapter_ = nullptr;
  Elsewhere* elsewhere_ = nullptr;
  Stats stats_;
  base::LogGate lost_data_;

  Namespaces namespaces_;
  SocketTable sockets_;
  ClientSockets client_sockets_{namespaces_};
  Charges charges_;
  Discarded discarded_;
  EventHandlers handlers_{charges_, discarded_};
  Replies replies_;
  Memberships memberships_{charges_, stats_.packets_out};
  Delivery delivery_{sockets_, stats_.packets_out};

  std::multimap<loop::TimePoint, ClientState*> unconnected_;
  loop::Fifo<Ending> endings_;
  MovedSockets moved_;
  loop::Fifo<MovedSockets> forgotten_;                                       // to be given up, and to end
  std::unordered_map<std::string, Ahead, NameHash, std::equal_to<>> ahead_;  // by id
  std::size_t first_part_ = 0;                                               // of the next tick
};

}  // namespace limpet::socketio
