// The door of a worker: who a connection's client is, whether it is let in, and what becomes of each HTTP
// request that is served here (router.h): Engine.IO's go to the engine, all others to the application's
// routes.
#pragma once

#include "base/log_gate.h"
#include "worker/client/admission.h"
#include "worker/client/clients.h"
#include "worker/client/connection_image.h"
#include "worker/client/listeners.h"
#include "worker/engineio/server.h"
#include "worker/http/server.h"
#include "worker/slot/router.h"

namespace limpet::application {
class Application;
}

namespace limpet::slot {

class Front final : public http::RequestHandler {
 public:
  /// All are borrowed for life.
  Front(client::Clients& clients, engineio::Server& engine, application::Application& application,
        Router& router, client::Admission& admission, const client::Limits& limits,
        const client::Listeners& listeners, const loop::Clock& clock, ipc::CounterBlock& counters);

  /// A fresh connection: what its listener says is spoken on it, from the first byte on, or from behind a
  /// PROXY protocol header if that listener wants one.
  void welcome(base::Descriptor socket, const client::PeerAddress& peer, std::uint16_t listener);
  /// A connection or a request that another slot handed over.
  void take_in(ipc::ReceivedHandover arrival);
  /// The same for one that comes on a migration stream. Null if the kernel refuses it.
  client::ClientConnection* take_in(base::Descriptor socket, const client::ConnectionImage& image);
  /// One that has come from another process, as one of its address.
  void count_arrived(client::ClientConnection& client);
  [[nodiscard]] http::Server& http() noexcept { return http_; }
  /// Requests that had to wait are asked again where they are served.
  void ask_again();
  /// While sessions and connections leave for another process: Router::set_giving(). Behind false those that
  /// waited are served.
  void give_away(bool giving);

  Route route(loop::Stream& stream, const http::RequestHead& head, std::size_t bytes_after_head) override;
  std::size_t body_limit(const http::RequestHead& head) override;
  std::unique_ptr<http::AwaitedBody> on_body_awaited(const http::RequestHead& head) override;
  void on_request(http::Exchange exchange, const http::Request& request) override;

 private:
  /// Reads the header in front of all else. Keeps nothing of a connection: unread bytes stay in the stream.
  struct ProxyReader final : loop::StreamReceiver {
    explicit ProxyReader(Front& owner) : front(owner) {}
    std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
    void on_closed(loop::Stream&, int) override {}
    Front& front;
  };
  void refuse_connection(client::ClientConnection& client, const char* why);
  [[nodiscard]] bool counts_for_its_address(const client::ClientConnection& client) const;
  [[nodiscard]] bool asks_for_session(std::string_view request) const;
  [[nodiscard]] bool admits_one_more_of(client::ClientConnection& client);
  /// Unless its address has too many.
  void let_in(client::ClientConnection& client);
  void serve(client::ClientConnection& client);
  void refuse_as_busy(client::ClientConnection& client);
  [[nodiscard]] bool admits_handshake(const http::Exchange& exchange, const http::RequestHead& head);
  [[nodiscard]] Route send_away(client::ClientConnection& client, const Router::Decision& decision,
                                const http::RequestHead& head, std::size_t bytes_after_head);
  [[nodiscard]] bool relay(client::ClientConnection& client, const client::Destination& to,
                           const http::RequestHead& head);

  client::Clients& clients_;
  engineio::Server& engine_;
  application::Application& application_;
  Router& router_;
  client::Admission& admission_;
  const client::Limits& limits_;
  const client::Listeners& listeners_;
  const loop::Clock& clock_;
  base::LogGate refusals_;
  ipc::CounterBlock& counters_;
  ProxyReader proxy_reader_{*this};
  std::uint64_t descriptor_limit_;
  http::Server http_;
};

}  // namespace limpet::slot
