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

#include "worker/http/server.h"

namespace limpet::http {

namespace beast_http = boost::beast::http;

struct IncomingBody::Decoder {
  beast_http::request_parser<beast_http::string_body> parser;
};

IncomingBody::IncomingBody(const RequestHead& head, std::size_t limit_bytes, std::size_t overhead_bytes)
    : head_bytes_(head.raw.size()), limit_bytes_(limit_bytes), overhead_bytes_(overhead_bytes) {
  if (head.chunked) {
    decoder_ = std::make_unique<Decoder>();
    decoder_->parser.header_limit(std::numeric_limits<std::uint32_t>::max());
    decoder_->parser.body_limit(limit_bytes);
    decoder_->parser.eager(true);
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
    body_.assign(unread.substr(head_bytes_));
    consumable_ = unread.size();
    return Progress::Incomplete;
  }
  consumable_ = std::min(unread.size(), body_bytes_ - body_.size());
  body_.append(unread.substr(0, consumable_));
  return body_.size() == body_bytes_ ? Progress::Complete : Progress::Incomplete;
}

IncomingBody::Progress IncomingBody::look_at_chunked(std::string_view unread) {
  auto& parser = decoder_->parser;
  while (seen_ < unread.size() && !parser.is_done()) {
    boost::beast::error_code error;
    const std::size_t used =
        parser.put(boost::asio::buffer(unread.data() + seen_, unread.size() - seen_), error);
    seen_ += used;
    if (error == beast_http::error::body_limit) return Progress::TooLarge;
    if (error && error != beast_http::error::need_more) return Progress::Malformed;
    if (used == 0) break;
  }
  if (parser.is_done()) {
    consumable_ = seen_;
    return Progress::Complete;
  }
  // An endless chunk extension or trailer is no body, so no body limit ends it.
  if (unread.size() - seen_ > overhead_bytes_) return Progress::Malformed;
  if (!half_read_ && unread.size() > kMaxUnreadBytes) start_consuming(unread);
  consumable_ = half_read_ ? seen_ : 0;
  return Progress::Incomplete;
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
