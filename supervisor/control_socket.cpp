#include "supervisor/control_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "supervisor/system/log.h"

namespace limpet::supervisor {

struct ControlSocket::Client {
  Client(Loop& loop, base::Descriptor socket) : channel(std::move(socket)), silence(loop) {}
  ipc::Channel channel;
  Timer silence;
  std::unique_ptr<Readiness> on_message;
  std::unique_ptr<Readiness> on_writable;
  bool said_hello = false;
  bool has_asked = false;
  bool open = true;
};

ControlSocket::ControlSocket(Loop& loop, base::Descriptor socket, Handler handler)
    : loop_(loop), handler_(std::move(handler)), socket_(std::move(socket)), retry_(loop) {
  watch_for_clients();
}

void ControlSocket::listen_on(base::Descriptor socket) {
  retry_.cancel();
  // Lets go of the old one first.
  on_client_.reset();
  socket_ = std::move(socket);
  watch_for_clients();
}

void ControlSocket::watch_for_clients() {
  on_client_ =
      std::make_unique<Readiness>(loop_, socket_.get(), Readiness::Kind::Read, [this] { accept_clients(); });
}

ControlSocket::~ControlSocket() {
  for (const auto& client : std::list(clients_)) close(client);
}

bool ControlSocket::may_ask(const base::Descriptor& socket) {
  ucred peer = {};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  if (peer.uid == 0 || peer.uid == ::geteuid()) return true;
  log_at_most(refusals_, std::chrono::steady_clock::now(), Level::Warning,
              [&] { return fmt::format("control socket: user {} (pid {}) is refused", peer.uid, peer.pid); });
  return false;
}

void ControlSocket::accept_clients() {
  base::Descriptor accepted(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!accepted && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
    // No descriptor is free: the client keeps the socket readable, and we would spin.
    log(Level::Error, fmt::format("control socket: accept: {}; retried in 0.2 s", std::strerror(errno)));
    on_client_.reset();
    return retry_.start(std::chrono::milliseconds(200), [this] { watch_for_clients(); });
  }
  if (!accepted || !may_ask(accepted)) return;
  make_room();
  if (clients_.size() >= kClientsLimit) return;
  const auto client = add(std::move(accepted));
  client->silence.start(kSilenceLimit, [this, weak = std::weak_ptr(client)] {
    if (const auto alive = weak.lock()) close(alive);
  });
}

std::shared_ptr<ControlSocket::Client> ControlSocket::add(base::Descriptor socket) {
  auto client = std::make_shared<Client>(loop_, std::move(socket));
  clients_.push_back(client);
  client->on_message = std::make_unique<Readiness>(loop_, client->channel.descriptor(), Readiness::Kind::Read,
                                                   [this, weak = std::weak_ptr(client)] {
                                                     if (const auto alive = weak.lock()) read(alive);
                                                   });
  return client;
}

std::vector<int> ControlSocket::waiting_clients() const {
  std::vector<int> result;
  for (const auto& client : clients_)
    if (client->has_asked) result.push_back(client->channel.descriptor());
  return result;
}

ControlSocket::Reply ControlSocket::adopt_client(base::Descriptor socket) {
  const auto client = add(std::move(socket));
  client->said_hello = true;
  client->has_asked = true;
  return reply_to(client);
}

/// A thousand silent clients must not lock an operator out: the oldest of those that have asked nothing gives
/// way.
void ControlSocket::make_room() {
  if (clients_.size() < kClientsLimit) return;
  const auto silent =
      std::find_if(clients_.begin(), clients_.end(), [](const auto& client) { return !client->has_asked; });
  if (silent != clients_.end()) close(std::shared_ptr(*silent));
}

/// The peer has closed its end, or shut it down.
bool ControlSocket::has_gone(const Client& client) {
  pollfd end{client.channel.descriptor(), 0, 0};
  return ::poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0;
}

void ControlSocket::read(const std::shared_ptr<Client>& client) {
  ipc::Datagram datagram;
  const auto status = client->channel.receive(&datagram);
  if (status == ipc::ReceiveStatus::Empty) return;
  if (status != ipc::ReceiveStatus::Message) return close(client);
  if (has_gone(*client)) {
    log_at_most(refusals_, std::chrono::steady_clock::now(), Level::Warning,
                [] { return "control socket: a request is not carried out: who sent it has gone"; });
    return close(client);
  }
  std::string why;
  const auto request = ipc::decode_ctl_request(datagram, &why);
  if (!request) {
    send(client, ipc::Done{1, fmt::format("not understood: {}", why)});
    return close(client);
  }
  take(client, *request);
}

void ControlSocket::take(const std::shared_ptr<Client>& client, const ipc::CtlRequest& request) {
  if (const auto* hello = std::get_if<ipc::CtlHello>(&request)) {
    send(client, ipc::CtlHello{});
    client->said_hello = hello->protocol_version == ipc::kProtocolVersion;
    if (client->said_hello) return;
    send(client, ipc::Done{1, fmt::format("this supervisor speaks protocol {}, you speak {}",
                                          ipc::kProtocolVersion, hello->protocol_version)});
    return close(client);
  }
  if (!client->said_hello) {
    send(client, ipc::Done{1, "say hello first"});
    return close(client);
  }
  client->has_asked = true;
  client->silence.cancel();
  handler_(request, reply_to(client));
}

ControlSocket::Reply ControlSocket::reply_to(const std::shared_ptr<Client>& client) {
  return [this, weak = std::weak_ptr(client)](const ipc::CtlReply& reply) {
    // A client in our list is alive; with the socket object gone, none is.
    if (const auto alive = weak.lock(); alive && alive->open) send(alive, reply);
  };
}

void ControlSocket::send(const std::shared_ptr<Client>& client, const ipc::CtlReply& reply) {
  const auto status = client->channel.send(ipc::encode(reply));
  if (status == ipc::SendStatus::Queued && !client->on_writable) {
    client->on_writable = std::make_unique<Readiness>(loop_, client->channel.descriptor(),
                                                      Readiness::Kind::Write, [weak = std::weak_ptr(client)] {
                                                        const auto alive = weak.lock();
                                                        if (!alive) return;
                                                        const auto flushed = alive->channel.flush();
                                                        if (flushed != ipc::SendStatus::Queued)
                                                          alive->on_writable.reset();
                                                      });
  } else if (status != ipc::SendStatus::Sent && status != ipc::SendStatus::Queued) {
    close(client);
  }
}

void ControlSocket::close(const std::shared_ptr<Client>& client) {
  client->open = false;
  client->on_message.reset();
  client->on_writable.reset();
  client->silence.cancel();
  clients_.remove(client);
}

}  // namespace limpet::supervisor
