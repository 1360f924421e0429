// The door of a worker: who a connection's client is, and what becomes of each HTTP request. A request for
// another slot's session leaves, a handshake that belongs elsewhere as well; Engine.IO's go to the engine;
// all others to the application's routes.
#pragma once

#include "base/log_gate.h"
#include "worker/client/admission.h"
#include "worker/client/clients.h"
#include "worker/engineio/server.h"
#include "worker/http/server.h"
#include "worker/migration/messages.h"
#include "worker/process/settings.h"
#include "worker/slot/handovers.h"
#include "worker/slot/placement.h"

namespace limpet::socketio {
class Server;
}

namespace limpet::slot {

class Front final : public http::RequestHandler {
 public:
  /// `handovers` and `placement` may be null (an application that runs alone). All are borrowed for life.
  Front(client::Clients& clients, engineio::Server& engine, socketio::Server& socketio, Handovers* handovers,
        Placement* placement, client::Admission& admission, const process::Settings& settings,
        const loop::Clock& clock, ipc::CounterBlock& counters);

  /// A fresh connection: HTTP from its first byte on, or a PROXY protocol header if its listener wants one.
  void welcome(base::Descriptor socket, const client::PeerAddress& peer, std::uint16_t listener);
  /// A connection or a request that another slot handed over.
  void take_in(ipc::ReceivedHandover arrival);
  /// The same for one that comes on a migration stream. Null if the kernel refuses it.
  client::ClientConnection* take_in(base::Descriptor socket, const migration::ConnectionImage& image);
  /// One that has come from another process, as one of its address.
  void count_arrived(client::ClientConnection& client);
  [[nodiscard]] http::Server& http() noexcept { return http_; }
  /// While sessions are on their way here: a connection with a request for one of our slot's that is not here
  /// yet goes to kGiver, unless all givers up to `last` have been asked. 0: none are on their way.
  void expect_sessions(std::uint32_t last) { last_giver_ = last; }
  /// Requests wait for what the supervisor has to say, unread, about buckets that are new here: read it, then
  /// ask_again().
  [[nodiscard]] bool waits_for_supervisor() const noexcept { return waits_for_supervisor_; }
  void ask_again();
  /// While sessions and connections leave for another process: only requests for sessions that are here are
  /// served, the others wait until they travel as well. Behind false they are served.
  void give_away(bool giving);

  Route route(loop::Stream& stream, const http::RequestHead& head, std::size_t bytes_after_head) override;
  std::size_t body_limit(const http::RequestHead& head) override;
  std::unique_ptr<http::AwaitedBody> on_body_awaited(const http::RequestHead& head) override;
  void on_request(http::Exchange exchange, const http::Request& request) override;

 private:
  /// Reads the header in front of HTTP. Keeps nothing of a connection: unread bytes stay in the stream.
  struct ProxyReader final : loop::StreamReceiver {
    explicit ProxyReader(Front& owner) : front(owner) {}
    std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
    void on_closed(loop::Stream&, int) override {}
    Front& front;
  };
  /// Where a request is to be served, if not here.
  struct Elsewhere {
    std::uint16_t slot;
    bool opens_session;
    bool pooled;  ///< the connection is a proxy's, and carries other clients' requests too
  };
  [[nodiscard]] const client::ListenerSettings& listener_of(
      const client::ClientConnection& client) const noexcept;
  [[nodiscard]] std::optional<client::PeerAddress> named_by_proxy(const client::ClientConnection& client,
                                                                  const http::RequestHead& head) const;
  [[nodiscard]] Route route_unknown(client::ClientConnection& client, const http::RequestHead& head,
                                    std::string_view sid);
  [[nodiscard]] std::optional<Elsewhere> elsewhere(const client::ClientConnection& client,
                                                   const http::RequestHead& head);
  [[nodiscard]] std::optional<std::uint16_t> chosen_slot(const client::ClientConnection& client,
                                                         const std::optional<client::PeerAddress>& named);
  [[nodiscard]] bool is_lost(const http::RequestHead& head);
  void refuse_connection(client::ClientConnection& client, const char* why);
  [[nodiscard]] bool counts_for_its_address(const client::ClientConnection& client) const;
  [[nodiscard]] bool asks_for_session(std::string_view request) const;
  [[nodiscard]] bool admits_one_more_of(client::ClientConnection& client);
  void refuse_as_busy(client::ClientConnection& client);
  [[nodiscard]] bool admits_handshake(const http::Exchange& exchange, const http::RequestHead& head);
  [[nodiscard]] bool relay(client::ClientConnection& client, const Elsewhere& to,
                           const http::RequestHead& head);

  client::Clients& clients_;
  engineio::Server& engine_;
  socketio::Server& socketio_;
  Handovers* handovers_;
  Placement* placement_;
  client::Admission& admission_;
  const process::Settings& settings_;
  const loop::Clock& clock_;
  client::ListenerSettings other_listener_;
  base::LogGate refusals_;
  ipc::CounterBlock& counters_;
  std::size_t header_bytes_;
  ProxyReader proxy_reader_{*this};
  std::uint64_t descriptor_limit_;
  http::Server http_;
  std::uint32_t last_giver_ = 0;
  bool waits_for_supervisor_ = false;
  bool giving_ = false;
};

}  // namespace limpet::slot
