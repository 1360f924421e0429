#include "worker/slot/relay.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "worker/http/request.h"

namespace limpet::slot {
namespace {

/// Content-Length of a response head that a worker of ours has rendered (worker/http/response.cpp): always
/// there, except for 1xx and 204, whose bodies are empty.
std::size_t content_length(std::string_view head) {
  const std::string_view value = http::find_header(head, "Content-Length");
  std::size_t length = 0;
  std::from_chars(value.data(), value.data() + value.size(), length);
  return length;
}

bool ends_connection(std::string_view head) {
  return http::has_token(http::find_header(head, "Connection"), "close");
}

}  // namespace

void Relay::start(loop::Stream& client, loop::Stream& owner, const http::RequestHead& head,
                  std::size_t header_bytes, OnDone on_done) {
  new Relay(client, owner, head, header_bytes, std::move(on_done));
}

Relay::Relay(loop::Stream& client, loop::Stream& owner, const http::RequestHead& head,
             std::size_t header_bytes, OnDone on_done)
    : client_(&client),
      owner_(&owner),
      on_done_(std::move(on_done)),
      request_(head, header_bytes),
      head_only_(head.method == "HEAD") {
  client.set_receiver(&client_side_);
  owner.set_receiver(&owner_side_);
  client.set_waiting(loop::Stream::Waiting::Response);
}

std::size_t Relay::ClientSide::on_bytes(loop::Stream& stream, std::span<char> bytes) {
  const std::size_t taken = relay.tunnel_ ? bytes.size() : relay.request_.pass({bytes.data(), bytes.size()});
  if (relay.owner_ != nullptr && taken > 0) relay.owner_->send(loop::Buffer::copy_of({bytes.data(), taken}));
  const bool owner_is_slow = relay.owner_ != nullptr && relay.owner_->unsent_bytes() > kHighWater;
  if (!relay.wants_more_of_client() || owner_is_slow) stream.pause_reading(true);
  return taken;
}

void Relay::ClientSide::on_writable(loop::Stream&) {
  if (relay.owner_ != nullptr) relay.owner_->pause_reading(false);
}

void Relay::ClientSide::on_closed(loop::Stream&, int error) {
  relay.client_ = nullptr;
  if (relay.owner_ != nullptr) relay.tunnel_&& error == 0 ? relay.owner_->finish() : relay.owner_->abort();
  relay.delete_if_done();
}

std::size_t Relay::OwnerSide::on_bytes(loop::Stream& stream, std::span<char> bytes) {
  if (relay.client_ == nullptr) return bytes.size();
  relay.client_->send(loop::Buffer::copy_of({bytes.data(), bytes.size()}));
  if (!relay.tunnel_) relay.count_response({bytes.data(), bytes.size()});
  if (relay.client_ != nullptr && relay.client_->unsent_bytes() > kHighWater) stream.pause_reading(true);
  return bytes.size();
}

void Relay::OwnerSide::on_writable(loop::Stream&) {
  if (relay.client_ != nullptr && relay.wants_more_of_client()) relay.client_->pause_reading(false);
}

void Relay::OwnerSide::on_closed(loop::Stream&, int error) {
  relay.owner_ = nullptr;
  // The response is not whole (finish_response() takes the client away): closing tells the client so.
  if (relay.client_ != nullptr) relay.tunnel_&& error == 0 ? relay.client_->finish() : relay.client_->abort();
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
    if (response_head_.starts_with("HTTP/1.1 101")) return become_tunnel();
    body_left_ = head_only_ ? 0 : content_length(response_head_);
  }
  if (!head_seen_) return;
  body_left_ -= std::min(body_left_, bytes.size());
  if (body_left_ == 0) finish_response();
}

void Relay::become_tunnel() {
  tunnel_ = true;
  client_->set_waiting(loop::Stream::Waiting::Nothing);
  client_->pause_reading(false);
}

void Relay::finish_response() {
  loop::Stream* const client = std::exchange(client_, nullptr);
  owner_->abort();
  // The rest of a request that was answered early (413) must not be taken for the next one.
  if (ends_connection(response_head_) || request_.status() != http::RequestEnd::Status::Complete) {
    client->set_receiver(nullptr);
    client->finish();
    return;
  }
  on_done_(*client);
  client->pause_reading(false);
}

void Relay::delete_if_done() {
  if (client_ == nullptr && owner_ == nullptr) delete this;
}

}  // namespace limpet::slot
