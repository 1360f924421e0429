// The control socket: where `limpet ctl` asks. Only root and the supervisor's own user are heard; a client
// that says nonsense, or nothing for too long, is closed and costs nobody else anything. What a client asked
// that has gone before it was read is not done: it has told its user so. Decides nothing: hands each request
// to its handler together with a way to reply.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/log_gate.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/ctl.h"
#include "supervisor/system/loop.h"

namespace limpet::supervisor {

class ControlSocket {
 public:
  /// May be kept and called long after the request; harmless when the client has gone. A Done is the last
  /// reply.
  using Reply = std::function<void(const ipc::CtlReply&)>;
  using Handler = std::function<void(const ipc::CtlRequest&, Reply)>;

  static constexpr std::size_t kClientsLimit = 32;
  /// A client that has not asked anything by then is closed.
  static constexpr std::chrono::milliseconds kSilenceLimit{3000};

  /// `socket` listens; its file is the runtime directory's.
  ControlSocket(Loop& loop, base::Descriptor socket, Handler handler);
  /// From now on there. Who is connected stays so.
  void listen_on(base::Descriptor socket);
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  /// Those that have asked and are still there.
  [[nodiscard]] std::vector<int> waiting_clients() const;
  /// A client that had asked the image before.
  [[nodiscard]] Reply adopt_client(base::Descriptor socket);
  /// What clients have not read yet stays readable for them.
  ~ControlSocket();

 private:
  struct Client;
  void watch_for_clients();
  void accept_clients();
  bool may_ask(const base::Descriptor& socket);
  std::shared_ptr<Client> add(base::Descriptor socket);
  [[nodiscard]] Reply reply_to(const std::shared_ptr<Client>& client);
  void make_room();
  [[nodiscard]] static bool has_gone(const Client& client);
  void read(const std::shared_ptr<Client>& client);
  void take(const std::shared_ptr<Client>& client, const ipc::CtlRequest& request);
  void send(const std::shared_ptr<Client>& client, const ipc::CtlReply& reply);
  void close(const std::shared_ptr<Client>& client);

  Loop& loop_;
  Handler handler_;
  base::LogGate refusals_;
  base::Descriptor socket_;
  std::list<std::shared_ptr<Client>> clients_;  ///< oldest first
  std::unique_ptr<Readiness> on_client_;
  Timer retry_;  ///< of accept, after a failure that does not go away by itself
};

}  // namespace limpet::supervisor
