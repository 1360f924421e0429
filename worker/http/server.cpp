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
  connection->answer(response);
}

Stream& Exchange::upgrade(const Response& response, StreamReceiver& receiver, void* attachment) {
  abandoned_ = nullptr;
  Connection* connection = std::exchange(connection_, nullptr);
  connection->exchange_ = nullptr;
  return connection->upgrade(response, receiver, attachment);
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

Stream& Exchange::stream() const noexcept { return connection_->stream(); }

Server::~Server() {
  while (connections_ != nullptr) delete connections_;
}

void Server::adopt(Stream& stream) { new Connection(*this, stream); }

void Server::resume(Stream& stream) {
  auto* const connection = new Connection(*this, stream);
  connection->served_ = true;
  connection->wait_for(Stream::Waiting::NextRequest);
}

void Server::end_idle() {
  for (Connection* connection = connections_; connection != nullptr; connection = connection->next_)
    connection->end_if_idle();
}

void Server::end_unfinished() {
  for (Connection* connection = connections_; connection != nullptr; connection = connection->next_)
    connection->end_if_unfinished();
}

void Server::ask_again() {
  for (Connection* connection = connections_; connection != nullptr; connection = connection->next_)
    connection->ask_again();
}

void Server::take_idle(const std::function<void(Stream&)>& visit) {
  for (Connection* connection = connections_; connection != nullptr;) {
    Connection* const next = connection->next_;  // only this one ends
    if (Stream* stream = connection->leave_if_idle()) visit(*stream);
    connection = next;
  }
}

}  // namespace limpet::http
