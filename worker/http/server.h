// The server side of HTTP/1.1 over streams. `Server::adopt` puts a connection of its own behind a stream;
// that parses one request at a time, asks the handler whose it is, reads its body, and hands the request over
// with an Exchange by which it is answered, now or later. The connection frees itself when the stream closes,
// is taken away or is upgraded.
//
// Law 5: the bytes of a request that is not complete stay unconsumed in the stream, so that it can travel.
// The exception is a body of more than kMaxUnreadBytes, which is consumed as it comes; such a request is half
// read and does not move. Pipelined requests wait in the stream (pause_reading) until the answer before them
// is out.
//
// Streams must not call back after their Server is gone, whose end does not touch them. Exchanges that are
// kept somewhere are closed by its end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "worker/http/request.h"
#include "worker/http/response.h"
#include "worker/loop/allowance.h"
#include "worker/loop/clock.h"
#include "worker/loop/stream.h"

namespace limpet::http {

class Connection;
class Server;

/// Head and body of an incomplete request may wait unread in the stream up to this size.
inline constexpr std::size_t kMaxUnreadBytes = 64 * 1024;

/// Of `announced` bytes so many have come that room for all of them is made at once: growing step by step
/// copies a large piece several times. Not for whoever has sent little of it.
[[nodiscard]] constexpr bool is_worth_reserving(std::size_t there, std::size_t announced) noexcept {
  return there >= announced / 8;
}

/// The right and the duty to answer one request once. Destroyed unanswered, it answers 500. Belongs to the
/// worker's one thread; may be kept as long as wanted (a parked poll).
class Exchange {
 public:
  Exchange() = default;
  Exchange(Exchange&& other) noexcept;
  Exchange& operator=(Exchange&& other) noexcept;
  ~Exchange();

  /// False once answered, upgraded, or when the client has gone away.
  [[nodiscard]] bool open() const noexcept { return connection_ != nullptr; }
  explicit operator bool() const noexcept { return open(); }
  /// Ignored if not open().
  void answer(Response response);
  /// Answers 101 with `response`'s headers and gives the stream to `receiver`, which is called with the bytes
  /// behind the request. Only while open(). The stream stays valid until `receiver` gets on_closed.
  loop::Stream& upgrade(Response response, loop::StreamReceiver& receiver, void* attachment);
  /// Calls `callback` when the client goes away before the answer: the last thing this exchange does. It may
  /// destroy the exchange.
  void on_abandoned(std::function<void()> callback) { abandoned_ = std::move(callback); }
  /// Only while open(). The stream's, unless somebody else was named.
  [[nodiscard]] std::string peer_address() const;
  /// Leaves the request unanswered and gives up the stream, without a receiver: it is to be served by another
  /// process. Only while open().
  struct Withdrawn {
    loop::Stream* stream;
    bool keep_alive;
    bool http_1_0;
  };
  [[nodiscard]] Withdrawn withdraw();
  /// Whose request it really is, where a proxy has passed it on.
  void name_peer(std::string address) { named_peer_ = std::make_unique<std::string>(std::move(address)); }
  /// Only while open().
  [[nodiscard]] loop::Stream& stream() const noexcept;

 private:
  friend class Connection;
  explicit Exchange(Connection& connection) noexcept;
  void drop() noexcept;

  Connection* connection_ = nullptr;
  std::function<void()> abandoned_;
  std::unique_ptr<std::string> named_peer_;
};

/// Lives as long as the body of one request is awaited: destroyed before on_request, or when the request is
/// given up.
class AwaitedBody {
 public:
  virtual ~AwaitedBody() = default;
  /// Of the session that the request is for.
  [[nodiscard]] virtual std::string_view sid() const noexcept = 0;
};

/// Who answers requests. None of the calls may throw.
class RequestHandler {
 public:
  enum class Route : std::uint8_t {
    Here,   ///< go on: body_limit, body, on_request
    Taken,  ///< the handler has taken the stream away together with its unread bytes
    Later,  ///< nothing is consumed, and nothing more is read: ask again at Server::ask_again()
  };
  virtual ~RequestHandler() = default;
  /// Once per request of an implemented method, when its head is complete and before anything of it is
  /// consumed. The unread bytes are `head.raw.size() + bytes_after_head` bytes from `head.raw.data()` on;
  /// what stood before them is answered. After Taken neither the stream nor the bytes are touched again, what
  /// on_bytes returns for them means nothing, and the connection object is gone.
  virtual Route route(loop::Stream& stream, const RequestHead& head, std::size_t bytes_after_head) = 0;
  /// The longest body in bytes that this request may have; more is answered with 413 and the end of the
  /// connection.
  virtual std::size_t body_limit(const RequestHead& head) = 0;
  /// The request will be handed over, but its body has not arrived completely. What is returned lives until
  /// it has.
  virtual std::unique_ptr<AwaitedBody> on_body_awaited(const RequestHead&) { return nullptr; }
  /// `request` is valid during the call only.
  virtual void on_request(Exchange exchange, const Request& request) = 0;
};

struct ServerOptions {
  std::size_t header_bytes = 16 * 1024;
  const loop::Clock* clock = nullptr;  ///< whose date the answers carry; null: none. Outlives the server.
};

struct ServerCounts {
  std::uint64_t requests = 0;      ///< handed to on_request
  std::uint64_t taken = 0;         ///< handed over by route()
  std::uint64_t bad_requests = 0;  ///< refused before on_request: 400, 413, 417, 431, 501, 505
  std::uint64_t errors = 0;        ///< answers with a status of 400 or above, the bad requests' among them
  std::uint64_t abandoned = 0;     ///< the client went away before its answer
  std::uint64_t upgraded = 0;
};

class Server {
 public:
  Server(RequestHandler& handler, ServerOptions options) : handler_(handler), options_(options) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Serves requests on `stream` from its first unread byte on.
  void adopt(loop::Stream& stream);
  /// The same for a stream whose requests so far were answered by somebody else: it is between two requests.
  void resume(loop::Stream& stream);
  /// From now on every answer ends its connection.
  void drain() noexcept { draining_ = true; }
  /// Connections between two requests end. Looks at one after the other, as far as `allowance` suffices, and
  /// goes on there in the next call. True: those were the last ones, and the next call begins anew.
  bool end_idle(loop::Allowance& allowance);
  /// Requests whose bodies are not complete are answered 408, and their connections end: all, or those for
  /// which `which` is true, given what awaits their body (null: nobody does). Otherwise like end_idle().
  bool end_unfinished(loop::Allowance& allowance,
                      const std::function<bool(const AwaitedBody*)>& which = nullptr);
  /// All whose clients have not sent what they came for: the same with every body and every head of which a
  /// part is here; connections of which nothing has come yet are closed. Otherwise like end_idle().
  bool end_waiting(loop::Allowance& allowance);
  /// Routes the requests again to which the handler said Later.
  void ask_again();
  /// Gives up connections of which no request is being served or half read, and which owe their clients
  /// nothing that must be sent from here, at most so many; `visit` gets each one's stream, without a
  /// receiver. Otherwise like end_idle().
  bool take_idle(std::size_t at_most, loop::Allowance& allowance,
                 const std::function<void(loop::Stream&)>& visit);
  [[nodiscard]] std::size_t connection_count() const noexcept { return connection_count_; }
  [[nodiscard]] const ServerCounts& counts() const noexcept { return counts_; }

 private:
  friend class Connection;
  template <typename End>
  bool each_unfinished(loop::Allowance& allowance, End end);

  RequestHandler& handler_;
  ServerOptions options_;
  ServerCounts counts_;
  Connection* connections_ = nullptr;  ///< all but those in asking_later_
  Connection* asking_later_ = nullptr;
  Connection* next_look_ = nullptr;  ///< where a look at all of connections_ goes on; nullptr: at the first
  Connection* next_unfinished_ = nullptr;  ///< the same of end_unfinished() and end_waiting()
  std::size_t connection_count_ = 0;
  bool draining_ = false;
};

}  // namespace limpet::http
