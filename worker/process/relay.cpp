#include "worker/process/relay.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace limpet::process {
namespace {

/// Content-Length of a response head that a worker of ours has rendered (worker/http/response.cpp): always
/// there, except for 1xx and 204, whose bodies are empty.
std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "\r\ncontent-length: ";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  const auto found = std::search(head.begin(), head.end(), kName.begin(), kName.end(), same);
  std::size_t length = 0;
  if (found != head.end()) std::from_chars(&*found + kName.size(), head.data() + head.size(), length);
  return length;
}

}  // namespace

void Relay::start(http::Stream& client, http::Stream& owner, std::size_t request_bytes, OnDone on_done) {
  new Relay(client, owner, request_bytes, std::move(on_done));
}

Relay::Relay(http::Stream& client, http::Stream& owner, std::size_t request_bytes, OnDone on_done)
    : client_(&client), owner_(&owner), on_done_(std::move(on_done)), request_left_(request_bytes) {
  client.set_receiver(&client_side_);
  owner.set_receiver(&owner_side_);
  client.set_waiting(http::Stream::Waiting::Response);
}

std::size_t Relay::ClientSide::on_bytes(http::Stream& stream, std::span<char> bytes) {
  const std::size_t taken = std::min(bytes.size(), relay.request_left_);
  relay.request_left_ -= taken;
  if (relay.owner_ != nullptr && taken > 0) relay.owner_->send(http::Buffer::copy_of({bytes.data(), taken}));
  const bool owner_is_slow = relay.owner_ != nullptr && relay.owner_->unsent_bytes() > kHighWater;
  if (relay.request_left_ == 0 || owner_is_slow) stream.pause_reading(true);
  return taken;
}

void Relay::ClientSide::on_writable(http::Stream&) {
  if (relay.owner_ != nullptr) relay.owner_->pause_reading(false);
}

void Relay::ClientSide::on_closed(http::Stream&, int) {
  relay.client_ = nullptr;
  if (relay.owner_ != nullptr) relay.owner_->abort();
  relay.delete_if_done();
}

std::size_t Relay::OwnerSide::on_bytes(http::Stream& stream, std::span<char> bytes) {
  if (relay.client_ == nullptr) return bytes.size();
  relay.client_->send(http::Buffer::copy_of({bytes.data(), bytes.size()}));
  relay.count_response({bytes.data(), bytes.size()});
  if (relay.client_ != nullptr && relay.client_->unsent_bytes() > kHighWater) stream.pause_reading(true);
  return bytes.size();
}

void Relay::OwnerSide::on_writable(http::Stream&) {
  if (relay.client_ != nullptr && relay.request_left_ > 0) relay.client_->pause_reading(false);
}

void Relay::OwnerSide::on_closed(http::Stream&, int) {
  relay.owner_ = nullptr;
  // The response is not whole (finish_response() takes the client away): closing tells the client so.
  if (relay.client_ != nullptr) relay.client_->abort();
  relay.delete_if_done();
}

void Relay::count_response(std::string_view bytes) {
  while (!head_seen_ && !bytes.empty()) {
    const std::size_t before = response_head_.size();
    response_head_.append(bytes);
    const std::size_t end = response_head_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    bytes.remove_prefix(end + 4 - before);
    response_head_.resize(end + 4);
    if (response_head_.starts_with("HTTP/1.1 100")) {  // the real answer follows
      response_head_.clear();
      continue;
    }
    head_seen_ = true;
    body_left_ = content_length(response_head_);
  }
  if (!head_seen_) return;
  body_left_ -= std::min(body_left_, bytes.size());
  if (body_left_ == 0) finish_response();
}

void Relay::finish_response() {
  http::Stream* const client = std::exchange(client_, nullptr);
  owner_->abort();
  on_done_(*client);
  client->pause_reading(false);
}

void Relay::delete_if_done() {
  if (client_ == nullptr && owner_ == nullptr) delete this;
}

}  // namespace limpet::process
