#include "worker/http/server.h"

#include <utility>

#include "worker/http/connection.h"

namespace limpet::http {

Exchange::Exchange(Connection& connection) noexcept : connection_(&connection) {
  connection.exchange_ = this;
}

Exchange::Exchange(Exchange&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      abandoned_(std::exchange(other.abandoned_, nullptr)),
      named_peer_(std::move(other.named_peer_)) {
  if (connection_ != nullptr) connection_->exchange_ = this;
}

Exchange& Exchange::operator=(Exchange&& other) noexcept {
  if (this == &other) return *this;
  drop();
  connection_ = std::exchange(other.connection_, nullptr);
  abandoned_ = std::exchange(other.abandoned_, nullptr);
  named_peer_ = std::move(other.named_peer_);
  if (connection_ != nullptr) connection_->exchange_ = this;
  return *this;
}

Exchange::~Exchange() { drop(); }

void Exchange::drop() noexcept {
  if (open()) answer(Response(500));
}

void Exchange::answer(Response response) {
  abandoned_ = nullptr;
  if (!open()) return;
  Connection* connection = std::exchange(connection_, nullptr);
  connection->exchange_ = nullptr;
  connection->answer(std::move(response));
}

loop::Stream& Exchange::upgrade(Response response, loop::StreamReceiver& receiver, void* attachment) {
  abandoned_ = nullptr;
  Connection* connection = std::exchange(connection_, nullptr);
  connection->exchange_ = nullptr;
  return connection->upgrade(std::move(response), receiver, attachment);
}

Exchange::Withdrawn Exchange::withdraw() {
  abandoned_ = nullptr;
  Connection* connection = std::exchange(connection_, nullptr);
  connection->exchange_ = nullptr;
  return connection->withdraw();
}

std::string Exchange::peer_address() const {
  return named_peer_ ? *named_peer_ : connection_->stream().peer_address();
}

loop::Stream& Exchange::stream() const noexcept { return connection_->stream(); }

Server::~Server() {
  while (connections_ != nullptr) delete connections_;
  while (asking_later_ != nullptr) delete asking_later_;
}

void Server::adopt(loop::Stream& stream) { new Connection(*this, stream); }

void Server::resume(loop::Stream& stream) {
  auto* const connection = new Connection(*this, stream);
  connection->served_ = true;
  connection->wait_for(loop::Stream::Waiting::NextRequest);
}

bool Server::end_idle(loop::Allowance& allowance) {
  if (next_look_ == nullptr) next_look_ = connections_;
  while (next_look_ != nullptr && allowance.take())
    std::exchange(next_look_, next_look_->next_)->end_if_idle();
  return next_look_ == nullptr;
}

template <typename End>
bool Server::each_unfinished(loop::Allowance& allowance, End end) {
  if (next_unfinished_ == nullptr) next_unfinished_ = connections_;
  while (next_unfinished_ != nullptr && allowance.take())
    end(*std::exchange(next_unfinished_, next_unfinished_->next_));
  return next_unfinished_ == nullptr;
}

bool Server::end_unfinished(loop::Allowance& allowance,
                            const std::function<bool(const AwaitedBody*)>& which) {
  return each_unfinished(allowance, [&which](Connection& each) { each.end_if_unfinished(which); });
}

bool Server::end_waiting(loop::Allowance& allowance) {
  return each_unfinished(allowance, [](Connection& each) { each.end_if_waiting(); });
}

void Server::ask_again() {
  // They may ask for later once more: those are for the next call.
  for (Connection* connection = std::exchange(asking_later_, nullptr); connection != nullptr;)
    std::exchange(connection, connection->next_)->ask_again();
}

bool Server::take_idle(std::size_t at_most, loop::Allowance& allowance,
                       const std::function<void(loop::Stream&)>& visit) {
  const auto take = [&](Connection& connection) {
    loop::Stream* const stream = connection.leave_if_idle();
    if (stream == nullptr) return;
    --at_most;
    visit(*stream);
  };
  Connection* asking = asking_later_;
  while (asking != nullptr && at_most > 0 && allowance.take()) take(*std::exchange(asking, asking->next_));
  if (next_look_ == nullptr) next_look_ = connections_;
  while (next_look_ != nullptr && at_most > 0 && allowance.take())
    take(*std::exchange(next_look_, next_look_->next_));
  return asking == nullptr && next_look_ == nullptr;
}

}  // namespace limpet::http
