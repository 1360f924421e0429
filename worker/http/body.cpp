#include "worker/http/body.h"

// GCC 12 with sanitizers sees an uninitialised boost::optional inside Beast, wrongly.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <limits>
#include <utility>

#include "base/pages.h"
#include "worker/http/framing.h"
#include "worker/http/server.h"

namespace limpet::http {

namespace beast_http = boost::beast::http;

namespace {

/// The least that Beast accepts: the parser would keep all lines of the real head.
constexpr std::string_view kHeadForDecoder = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

}  // namespace

struct IncomingBody::Decoder {
  explicit Decoder(std::size_t limit_bytes) {
    parser.header_limit(std::numeric_limits<std::uint32_t>::max());
    parser.body_limit(limit_bytes);
    parser.eager(true);
    boost::beast::error_code error;
    parser.put(boost::asio::buffer(kHeadForDecoder.data(), kHeadForDecoder.size()), error);
  }
  beast_http::request_parser<beast_http::string_body> parser;
};

IncomingBody::IncomingBody(const RequestHead& head, std::size_t limit_bytes, std::size_t overhead_bytes)
    : head_bytes_(head.raw.size()), limit_bytes_(limit_bytes), overhead_bytes_(overhead_bytes) {
  if (head.chunked) {
    decoder_ = std::make_unique<Decoder>(limit_bytes);
    seen_ = head_bytes_;
  } else {
    body_bytes_ = static_cast<std::size_t>(
        std::min<std::uint64_t>(*head.content_length, std::numeric_limits<std::size_t>::max() / 2));
  }
}

IncomingBody::~IncomingBody() = default;

IncomingBody::Progress IncomingBody::look_at(std::string_view unread) {
  return decoder_ ? look_at_chunked(unread) : look_at_counted(unread);
}

void IncomingBody::start_consuming(std::string_view unread) {
  half_read_ = true;
  head_copy_.assign(unread.substr(0, head_bytes_));
}

IncomingBody::Progress IncomingBody::look_at_counted(std::string_view unread) {
  if (body_bytes_ > limit_bytes_) return Progress::TooLarge;
  if (!half_read_) {
    const std::size_t whole = head_bytes_ + body_bytes_;
    if (unread.size() >= whole) {
      consumable_ = whole;
      return Progress::Complete;
    }
    if (whole <= kMaxUnreadBytes) return Progress::Incomplete;
    start_consuming(unread);
    append(unread.substr(head_bytes_));
    consumable_ = unread.size();
    return Progress::Incomplete;
  }
  consumable_ = std::min(unread.size(), body_bytes_ - body_.size());
  append(unread.substr(0, consumable_));
  return body_.size() == body_bytes_ ? Progress::Complete : Progress::Incomplete;
}

void IncomingBody::append(std::string_view piece) {
  const std::size_t size = body_.size() + piece.size();
  if (size > body_.capacity() && is_worth_reserving(size, body_bytes_)) body_.reserve(body_bytes_);
  base::make_resident_ahead(body_, piece.size());
  body_.append(piece);
}

std::ptrdiff_t IncomingBody::newly_held() noexcept {
  std::size_t held = sizeof(*this) + head_copy_.capacity() + body_.capacity();
  if (decoder_) held += sizeof(Decoder) + decoder_->parser.get().body().capacity();
  const auto before = std::exchange(noted_, static_cast<std::ptrdiff_t>(held));
  return noted_ - before;
}

IncomingBody::Progress IncomingBody::look_at_chunked(std::string_view unread) {
  auto& parser = decoder_->parser;
  while (seen_ < unread.size() && !parser.is_done()) {
    boost::beast::error_code error;
    const std::size_t used =
        parser.put(boost::asio::buffer(unread.data() + seen_, unread.size() - seen_), error);
    seen_ += used;
    decoded_ += used;
    if (error == beast_http::error::body_limit) return Progress::TooLarge;
    if (error && error != beast_http::error::need_more) return Progress::Malformed;
    if (used == 0) break;
  }
  if (parser.is_done()) {
    consumable_ = seen_;
    return Progress::Complete;
  }
  // Chunk extensions and trailers are no body, so no body limit ends them.
  const std::uint64_t body_bytes = decoder_->parser.get().body().size();
  if (unread.size() - seen_ > overhead_bytes_ || is_framing_too_long(framing(), body_bytes, overhead_bytes_))
    return Progress::Malformed;
  if (!half_read_ && unread.size() > kMaxUnreadBytes) start_consuming(unread);
  consumable_ = half_read_ ? seen_ : 0;
  return Progress::Incomplete;
}

std::uint64_t IncomingBody::framing() const noexcept {
  return decoder_ ? decoded_ - decoder_->parser.get().body().size() : 0;
}

std::size_t IncomingBody::new_framing() noexcept {
  const std::uint64_t before = std::exchange(told_framing_, framing());
  return static_cast<std::size_t>(told_framing_ - before);
}

void IncomingBody::consumed() noexcept {
  if (decoder_) seen_ -= consumable_;
  consumable_ = 0;
}

Request IncomingBody::request(std::string_view unread) const {
  const std::string_view raw = half_read_ ? std::string_view(head_copy_) : unread.substr(0, head_bytes_);
  Request request{parse_head(raw, raw.size()).head, {}};
  if (decoder_) {
    request.body = decoder_->parser.get().body();
  } else {
    request.body = half_read_ ? std::string_view(body_) : unread.substr(head_bytes_, body_bytes_);
  }
  return request;
}

}  // namespace limpet::http
