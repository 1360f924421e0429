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
#include "worker/socketio/client_image.h"
#include "worker/socketio/elsewhere.h"
#include "worker/socketio/handler.h"
#include "worker/socketio/id_table.h"
#include "worker/socketio/many_sockets.h"
#include "worker/socketio/name_table.h"
#include "worker/socketio/namespace_handlers.h"
#include "worker/socketio/packet.h"
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
  [[nodiscard]] std::size_t awaited_replies() const noexcept { return awaited_moved_; }
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
  [[nodiscard]] std::size_t held_for_ended() const noexcept { return held_for_ended_; }

  /// Null: there is none of that name ("/", "/admin").
  [[nodiscard]] NamespaceState* find_namespace(std::string_view name) const noexcept {
    const auto found = namespaces_.find(name);
    return found == namespaces_.end() ? nullptr : found->second.get();
  }
  /// There is none of that name yet. It stays as long as the server.
  NamespaceState& add_namespace(std::string name, std::unique_ptr<NamespaceHandlers> handlers);

  /// Lives while code of the application may run (dispatch.h).
  class Dispatch;

  // What the public classes are made of.
  // ---------------------------------------------------------------------------

  /// Null: gone.
  [[nodiscard]] SocketState* find(std::uint32_t index, std::uint32_t epoch) const noexcept {
    SocketState* socket = index < sockets_.size() ? sockets_[index] : nullptr;
    return socket != nullptr && socket->epoch == epoch ? socket : nullptr;
  }
  void add_handler(SocketState& socket, std::uint32_t event, Handler handler, bool once);
  [[nodiscard]] std::uint32_t event_number(std::string_view name) { return names_.acquire(name); }
  bool remove_handlers(SocketState& socket, std::string_view event);
  bool remove_handlers(SocketState& socket, std::uint32_t event);
  void send(SocketState& socket, std::span<const loop::Buffer> frames);
  /// The id with which to send the event; none if the socket has moved: the answer would come to the new
  /// place, where nobody knows of the callback, so that is given the error `moved` in the next turn.
  std::optional<std::uint64_t> expect_reply(SocketState& socket, Handler handler,
                                            std::chrono::milliseconds timeout);
  bool join(SocketState& socket, std::string_view room);
  bool leave(SocketState& socket, std::string_view room);
  [[nodiscard]] static bool is_in(const SocketState& socket, std::string_view room) noexcept;
  void disconnect(SocketState& socket, bool close);
  /// To the sockets of this worker, and through the adapter unless `local`.
  EmitResult broadcast(const NamespaceState& nsp, const Broadcast& broadcast, bool local);
  SocketExtras& extras(SocketState& socket);
  /// Of a socket that has an auth. Kept: as many looks as there are cost one time of parsing.
  const boost::json::value& parsed_auth(SocketState& socket);
  /// Stays until the handler that runs has returned: it may have a reference into it.
  void lend(std::shared_ptr<const boost::json::value> auth) { graveyard_.auths.push_back(std::move(auth)); }

 private:
  struct Graveyard {
    std::vector<Handler> handlers;
    std::vector<std::unique_ptr<SocketState>> sockets;
    std::vector<std::unique_ptr<ClientState>> clients;
    std::vector<std::shared_ptr<const boost::json::value>> auths;
    [[nodiscard]] bool empty() const noexcept {
      return handlers.empty() && sockets.empty() && clients.empty() && auths.empty();
    }
  };

  [[nodiscard]] SocketHandle handle_of(const SocketState& socket) noexcept;

  void receive(ClientState& client, const Packet& packet, std::span<const loop::Buffer> attachments);
  void receive_connect(ClientState& client, const Packet& packet);
  void receive_event(SocketState& socket, const Packet& packet, std::span<const loop::Buffer> attachments);
  void receive_reply(SocketState& socket, const Packet& packet, std::span<const loop::Buffer> attachments);
  void refuse(ClientState& client, std::string_view nsp, const Error& error);
  void accept(SocketState& socket);

  // sockets_of_clients.cpp
  /// The one that is not ending; null: none.
  [[nodiscard]] SocketState* socket_of(const ClientState& client, std::string_view nsp) const noexcept;
  void link(ClientState& client, SocketState& socket);
  void unlink(ClientState& client, SocketState& socket) noexcept;
  void become_many(const ClientState& client);

  SocketState& create_socket(ClientState& client, NamespaceState& nsp, const SocketId& id);
  void give_index(SocketState& socket);
  void enter_namespace(SocketState& socket);
  void leave_namespace(SocketState& socket);
  void wait_for_connect(ClientState& client, loop::TimePoint deadline);
  void await_attachments(ClientState& client, std::string_view text, std::uint32_t expected);
  void keep_attachment(ClientState& client, loop::Buffer frame);
  std::unique_ptr<ClientState::Assembly> take_assembly(ClientState& client);
  void keep_auth(SocketState& socket, std::string_view auth);

  // endings.cpp
  void retire_socket(SocketState& socket, std::string_view reason);
  void cut_off(SocketState& socket);
  void end_socket(SocketState& socket, bool was_connected, std::string_view reason);
  void forget_socket(SocketState& socket);
  void go_on_with_endings(loop::Allowance& allowance);
  void go_on_forgetting(loop::Allowance& allowance);
  void close_unconnected(loop::Allowance& allowance);
  /// To its session, or once it has ended to the server itself.
  void charge(SocketState& socket, std::ptrdiff_t bytes) noexcept;
  [[nodiscard]] static std::ptrdiff_t held_without_rooms(const SocketState& socket) noexcept;
  void retire_all(ClientState& client, std::string_view reason);
  void close_client(ClientState& client, std::string_view reason, engineio::CloseReason session_reason);
  void stop_waiting(ClientState& client);

  // memberships.cpp
  void add_membership(SocketState& socket, RoomState& room);
  void remove_membership(SocketState& socket, std::uint32_t place);
  void become_many(SocketState& socket, std::size_t expected);
  void leave_room(const Membership& gone);
  void leave_rooms(SocketState& socket);
  [[nodiscard]] std::unique_ptr<SocketState> make_ahead(const SocketImage& image);
  [[nodiscard]] SocketState* take_ahead(ClientState& client, const SocketImage& image);
  [[nodiscard]] static bool has_rooms_to_leave(const SocketState& socket) noexcept;
  /// False: the allowance did not suffice.
  bool leave_more_rooms(SocketState& socket, loop::Allowance& allowance);
  void charge_rooms(SocketState& socket, std::ptrdiff_t bytes) noexcept;
  [[nodiscard]] static std::size_t held_by_rooms(const SocketState& socket) noexcept;

  // handlers.cpp
  /// False: the allowance did not suffice.
  bool give_up_replies(SocketState& socket, const char* why, loop::Allowance& allowance);

  void run_handlers(SocketState& socket, std::uint32_t event, Call& call, std::string_view name);
  void run_special(SocketState& socket, std::uint32_t event, std::string_view text);
  /// False: nobody waits for it (any more).
  bool resolve_reply(SocketState& socket, std::uint64_t id, Call& call);
  /// The same for what stayed behind when the socket of that id moved.
  bool resolve_moved_reply(std::string_view socket_id, const Packet& packet,
                           std::span<const loop::Buffer> attachments);
  [[nodiscard]] static bool has_handler(const SocketState& socket, std::uint32_t event) noexcept;
  [[nodiscard]] static std::span<const HandlerEntry> candidates(const SocketState& socket,
                                                                std::uint32_t event) noexcept;
  [[nodiscard]] static std::size_t handler_count(const SocketState& socket) noexcept;
  template <typename Predicate>
  bool remove_handlers_if(SocketState& socket, std::uint32_t event, Predicate matches);
  void drop_handler(const HandlerEntry& entry);
  void drop_handlers(SocketState& socket);
  static void destroy_callbacks(const SocketState& socket) noexcept;
  [[nodiscard]] bool is_for(const SocketState& socket, const Broadcast& broadcast) const noexcept;
  [[nodiscard]] SocketState* socket_with_id(const NamespaceState& nsp, std::string_view id) const noexcept;
  void deliver_in(const NamespaceState& nsp, const Broadcast& broadcast);
  std::uint32_t next_mark();
  void mark_members(const NamespaceState& nsp, std::string_view room, std::uint32_t mark);
  /// `mark` not 0: skips sockets that carry it, and gives it to the others.
  void deliver_to(std::span<const Member> members, const Broadcast& broadcast, const SocketState* left_out,
                  std::uint32_t mark);

  const loop::Clock& clock_;
  loop::TimerQueue& timers_;
  Options options_;
  IdSource ids_;
  Adapter* adapter_ = nullptr;
  Elsewhere* elsewhere_ = nullptr;
  Stats stats_;
  NameTable names_;
  IdTable by_id_;
  base::LogGate lost_data_;

  std::unordered_map<std::string, std::unique_ptr<NamespaceState>, NameHash, std::equal_to<>> namespaces_;
  std::unordered_map<const ClientState*, ManySockets> many_sockets_;
  std::vector<SocketState*> sockets_;  // by index; null: free
  std::vector<std::uint32_t> free_indices_;
  // By id: index. A client that had to come back and left again stands here more than once.
  using MovedSockets = std::unordered_multimap<std::string, std::uint32_t, NameHash, std::equal_to<>>;
  MovedSockets moved_;
  loop::Fifo<MovedSockets> forgotten_;  // to be given up, and to end
  std::size_t awaited_moved_ = 0;       // replies that moved sockets wait for
  std::uint32_t last_epoch_ = 0;
  std::uint32_t last_mark_ = 0;
  std::multimap<loop::TimePoint, ClientState*> unconnected_;

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
  std::unordered_map<std::string, Ahead, NameHash, std::equal_to<>> ahead_;  // by id
  static constexpr const char* kDisconnectedReply = "socket has been disconnected";
  static constexpr const char* kMovedReply = "moved";
  loop::Fifo<Ending> endings_;
  std::size_t held_for_ended_ = 0;
  std::size_t first_part_ = 0;  // of the next tick

  // What a running handler may still stand in is freed when the outermost dispatch ends.
  unsigned dispatch_depth_ = 0;
  Graveyard graveyard_;
};

}  // namespace limpet::socketio
