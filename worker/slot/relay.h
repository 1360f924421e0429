// One request of a connection that has to stay here, answered by the slot that owns its session: bytes of the
// request go into a stream socketpair whose other end travels to the owner, bytes of the response come back.
// Flow control both ways. The client's connection goes on here with its next request, unless the response
// says that it ends, or came before the request had passed. An upgrade that the owner accepts stays here as
// well: from then on every byte passes, both ways, until either side ends. If the owner dies before the
// response is whole, the client's connection is closed, so that the client tries again.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "worker/http/request_end.h"
#include "worker/loop/stream.h"

namespace limpet::slot {

class Relay {
 public:
  /// Called once, when the response is whole and the client's stream may get its next receiver.
  using OnDone = std::function<void(loop::Stream& client)>;

  /// Takes over both streams as their receiver and deletes itself when both are done with. Nothing of the
  /// request is consumed yet. `header_bytes`: longest head, and framing between the chunks of a body.
  static void start(loop::Stream& client, loop::Stream& owner, const http::RequestHead& head,
                    std::size_t header_bytes, OnDone on_done);

 private:
  /// Response bytes held for a slow client before the owner is made to wait.
  static constexpr std::size_t kHighWater = 256 * 1024;

  struct ClientSide final : loop::StreamReceiver {
    explicit ClientSide(Relay& owner) : relay(owner) {}
    std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
    void on_writable(loop::Stream& stream) override;
    void on_closed(loop::Stream& stream, int error) override;
    Relay& relay;
  };
  struct OwnerSide final : loop::StreamReceiver {
    explicit OwnerSide(Relay& owner) : relay(owner) {}
    std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
    void on_writable(loop::Stream& stream) override;
    void on_closed(loop::Stream& stream, int error) override;
    Relay& relay;
  };

  Relay(loop::Stream& client, loop::Stream& owner, const http::RequestHead& head, std::size_t header_bytes,
        OnDone on_done);
  [[nodiscard]] bool wants_more_of_client() const noexcept {
    return tunnel_ || request_.status() == http::RequestEnd::Status::Incomplete;
  }
  void count_response(std::string_view bytes);
  void become_tunnel();
  void finish_response();
  void delete_if_done();

  ClientSide client_side_{*this};
  OwnerSide owner_side_{*this};
  loop::Stream* client_;
  loop::Stream* owner_;
  OnDone on_done_;
  http::RequestEnd request_;
  std::string response_head_;
  std::size_t body_left_ = 0;
  bool head_only_;  ///< the response to a HEAD has the length of a body, and none
  bool head_seen_ = false;
  bool tunnel_ = false;  ///< the owner has switched protocols
};

}  // namespace limpet::slot
