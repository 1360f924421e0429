// The server as an application sees it. Io and Namespace are small values: copy them into handlers.
// Everything happens in the worker's one thread; each worker runs its own copy of the application, and emits
// reach the clients of all.
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "worker/limpet/broadcast_operator.h"
#include "worker/limpet/http.h"
#include "worker/limpet/socket.h"

namespace limpet {

namespace application {
class Application;
class GuardedHandlers;
}  // namespace application

/// Broadcasts of another worker that this one did not get (law 7): told before anything newer of it is
/// delivered.
struct Gap {
  std::uint32_t slot = 0;  ///< whose broadcasts
  std::uint64_t worker_generation = 0;
  std::uint64_t missed = 0;  ///< records; 0: not known how many
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;
/// Gets the WebSocket subprotocols that a client offers, in its order, and returns one of them, or nothing.
using ProtocolChooser = std::function<std::optional<std::string>(std::span<const std::string_view> offered)>;
/// Returns why the client is refused, or nothing.
using Middleware = std::function<std::optional<Error>(Socket&)>;
using TimerId = std::uint64_t;

class Namespace {
 public:
  [[nodiscard]] std::string_view name() const noexcept;
  /// Calls `handler(socket)` for each client that connects, on the worker it connects to.
  void on_connection(std::function<void(Socket&)> handler) const;
  /// Calls `handler(socket)` before a client moves to the worker that follows this one (a reload): the last
  /// chance to put into socket.data() what the connection handler there, which sees socket.recovered(),
  /// needs. Handlers, closures and timers do not move.
  void on_leaving(std::function<void(Socket&)> handler) const;
  /// Runs before the connection handlers; in the order of these calls; the first error refuses the client.
  void use(Middleware middleware) const;

  template <typename... T>
  EmitResult emit(std::string_view event, const T&... arguments) const {
    return all().emit(event, arguments...);
  }
  [[nodiscard]] BroadcastOperator to(std::string_view room) const { return all().to(room); }
  [[nodiscard]] BroadcastOperator in(std::string_view room) const { return all().to(room); }
  [[nodiscard]] BroadcastOperator except(std::string_view room) const { return all().except(room); }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator to(R&& rooms) const {
    return all().to(rooms);
  }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator in(R&& rooms) const {
    return all().to(rooms);
  }
  template <detail::RoomRange R>
  [[nodiscard]] BroadcastOperator except(R&& rooms) const {
    return all().except(rooms);
  }
  [[nodiscard]] BroadcastOperator to(std::initializer_list<std::string_view> rooms) const {
    return all().to(rooms);
  }
  [[nodiscard]] BroadcastOperator in(std::initializer_list<std::string_view> rooms) const {
    return all().in(rooms);
  }
  [[nodiscard]] BroadcastOperator except(std::initializer_list<std::string_view> rooms) const {
    return all().except(rooms);
  }
  [[nodiscard]] BroadcastOperator local() const { return all().local(); }
  [[nodiscard]] BroadcastOperator volatile_() const { return all().volatile_(); }
  /// Clients of this namespace on this worker.
  [[nodiscard]] std::size_t local_size() const noexcept;

 private:
  friend class Io;
  explicit Namespace(socketio::NamespaceState& nsp) noexcept : nsp_(&nsp) {}
  [[nodiscard]] BroadcastOperator all() const;
  [[nodiscard]] application::GuardedHandlers& handlers() const noexcept;
  [[nodiscard]] application::Application& application() const noexcept;

  // One word: a handler that captures a Namespace or the Io needs no allocation (handler.h).
  socketio::NamespaceState* nsp_;
};

/// The main namespace ("/") and all that belongs to the worker.
class Io : public Namespace {
 public:
  /// For the library.
  explicit Io(application::Application& application);

  /// The namespace of that name ("/admin"), made if need be.
  Namespace of(std::string_view name) const;

  /// Answers GET and HEAD of exactly this path. The handler must not block.
  void get(std::string_view path, HttpHandler handler) const;
  /// Serves the files of `directory` below `url_prefix` ("/"); index.html for a directory.
  void files(std::string_view url_prefix, const std::filesystem::path& directory) const;
  /// Serves the browser client (socket.io.js and its variants) of npm's socket.io-client/dist below the
  /// Socket.IO path.
  void serve_client(const std::filesystem::path& directory) const;

  /// Asked at each WebSocket handshake that offers subprotocols (the client's `protocols` option); its answer
  /// goes into the handshake's and nowhere else. Without it: the first one that is offered. One that was not
  /// offered counts as none. (The name is that of the option of Node's `ws`.)
  void handle_protocols(ProtocolChooser chooser) const;

  /// The table [app] of limpet.toml; empty without one.
  [[nodiscard]] const boost::json::object& config() const noexcept;
  /// This worker's slot; the same client address keeps coming to the same.
  [[nodiscard]] std::uint32_t slot() const noexcept;
  [[nodiscard]] std::uint64_t worker_generation() const noexcept;

  void on_gap(std::function<void(const Gap&)> handler) const;

  /// Timers of this worker; they do not outlive it.
  TimerId every(std::chrono::milliseconds period, std::function<void()> task) const;
  TimerId after(std::chrono::milliseconds delay, std::function<void()> task) const;
  /// False: there is no such timer (any more).
  bool cancel(TimerId timer) const;
};

}  // namespace limpet
