// The door of a worker: what becomes of each HTTP request. A request for another slot's session leaves;
// Engine.IO's go to the engine; all others to the application's routes.
#pragma once

#include "worker/engineio/server.h"
#include "worker/http/server.h"
#include "worker/process/clients.h"
#include "worker/process/handover.h"

namespace limpet::socketio {
class Server;
}

namespace limpet::process {

class Front final : public http::RequestHandler {
 public:
  /// `handovers` may be null (an application that runs alone). All are borrowed for life.
  Front(Clients& clients, engineio::Server& engine, socketio::Server& socketio, Handovers* handovers,
        std::size_t header_bytes, ipc::CounterBlock& counters);

  /// A fresh connection: HTTP from its first byte on.
  void welcome(ipc::Descriptor socket, const PeerAddress& peer, std::uint16_t listener);
  /// A connection or a request that another slot handed over.
  void take_in(ipc::ReceivedHandover arrival);
  [[nodiscard]] http::Server& http() noexcept { return http_; }

  Route route(http::Stream& stream, const http::RequestHead& head, std::size_t bytes_after_head) override;
  std::size_t body_limit(const http::RequestHead& head) override;
  std::unique_ptr<http::AwaitedBody> on_body_awaited(const http::RequestHead& head) override;
  void on_request(http::Exchange exchange, const http::Request& request) override;

 private:
  void relay(ClientConnection& client, std::uint16_t to_slot, const http::RequestHead& head);

  Clients& clients_;
  engineio::Server& engine_;
  socketio::Server& socketio_;
  Handovers* handovers_;
  ipc::CounterBlock& counters_;
  std::size_t header_bytes_;
  http::Server http_;
};

}  // namespace limpet::process
