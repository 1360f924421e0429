// The server side of one stream's HTTP/1.1: the receiver that http::Server puts behind a stream. Owned by
// itself: it ends with its stream, or when the stream is taken away or upgraded. Internal to worker/http.
//
// What it keeps between two calls, except for half-read bodies, can be found again in the stream's unread
// bytes: how far the head was searched, how far a body was looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "worker/http/server.h"

namespace limpet::http {

class IncomingBody;

class Connection final : public loop::StreamReceiver {
 public:
  Connection(Server& server, loop::Stream& stream);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
  void on_closed(loop::Stream& stream, int error) override;

  void answer(Response response);
  loop::Stream& upgrade(Response switching, loop::StreamReceiver& receiver, void* attachment);
  [[nodiscard]] loop::Stream& stream() noexcept { return *stream_; }
  void end_if_idle();
  void end_if_unfinished(const std::function<bool(const AwaitedBody*)>& which);
  void end_if_waiting();
  void ask_again();
  /// Ends this object, unless a request is being served or half read, or its answer has to go out from here:
  /// then null.
  [[nodiscard]] loop::Stream* leave_if_idle();
  [[nodiscard]] Exchange::Withdrawn withdraw();

 private:
  friend class Exchange;
  friend class Server;

  enum class State : std::uint8_t {
    Idle,     // waits for a request, has perhaps a part of its head
    Body,     // the head was routed here; its body is not complete
    Pending,  // handed over, not answered
    Ending,   // finish() was called; only on_closed is still to come
    Gone,     // the stream is somebody else's; delete as soon as nobody is inside
  };

  /// Each takes one step at the front of `bytes` and gives the bytes consumed; `stalled` if more must arrive
  /// first.
  std::size_t step(std::span<char> bytes, bool& stalled);
  std::size_t take_head(std::string_view bytes, bool& stalled);
  std::size_t take_body(std::string_view bytes, bool& stalled);
  std::size_t begin_body(const RequestHead& head, std::string_view bytes, bool& stalled);
  /// However it ends: what is held for it is given back.
  std::unique_ptr<IncomingBody> end_body();
  void hand_over(const RequestHead& head, std::string_view body);
  void refuse(int status);
  void wait_for(loop::Stream::Waiting what);
  /// Of the two lists the one that this is in.
  [[nodiscard]] Connection*& list() const noexcept;
  void link() noexcept;
  void unlink() noexcept;
  void set_asks_later(bool later) noexcept;

  Server& server_;
  loop::Stream* stream_;
  Connection* previous_ = nullptr;
  Connection* next_ = nullptr;
  Exchange* exchange_ = nullptr;
  std::unique_ptr<IncomingBody> body_;
  std::unique_ptr<AwaitedBody> awaited_;
  std::size_t searched_ = 0;
  State state_ = State::Idle;
  bool inside_ = false;      // in on_bytes: whoever makes it Gone must leave the deletion to that
  bool served_ = false;      // an answer went out before
  bool asks_later_ = false;  // the handler wants to be asked again whose the request is
  bool keep_alive_ = true;
  bool head_only_ = false;
  bool http_1_0_ = false;
};

}  // namespace limpet::http
