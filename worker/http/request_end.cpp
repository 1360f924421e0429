#include "worker/http/request_end.h"

// GCC 12 with sanitizers sees an uninitialised boost::optional inside Beast, wrongly.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>

#include "worker/http/framing.h"

namespace limpet::http {

namespace beast_http = boost::beast::http;

namespace {

/// A body for Beast of which nothing is kept but its length.
struct DroppedBody {
  // NOLINTBEGIN(readability-identifier-naming): names that Beast asks for
  struct value_type {
    std::uint64_t bytes = 0;
  };
  class reader {
   public:
    template <bool is_request, class Fields>
    reader(beast_http::header<is_request, Fields>&, value_type& value) : value_(value) {}
    void init(const boost::optional<std::uint64_t>&, boost::beast::error_code& error) { error = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::beast::error_code& error) {
      error = {};
      const std::size_t size = boost::asio::buffer_size(buffers);
      value_.bytes += size;
      return size;
    }
    void finish(boost::beast::error_code& error) { error = {}; }

   private:
    value_type& value_;
  };
  // NOLINTEND(readability-identifier-naming)
};

}  // namespace

struct RequestEnd::Chunks {
  explicit Chunks(std::size_t head_bytes) : head_left(head_bytes) {}

  /// Counts bytes that the parser has taken.
  void count(std::size_t used) noexcept {
    const auto of_head = static_cast<std::size_t>(std::min<std::uint64_t>(used, head_left));
    head_left -= of_head;
    behind_head += used - of_head;
  }
  [[nodiscard]] bool has_too_much_framing(std::size_t spare_bytes) const {
    const std::uint64_t body_bytes = parser.get().body().bytes;
    return is_framing_too_long(behind_head - body_bytes, body_bytes, spare_bytes);
  }

  std::uint64_t head_left;
  std::uint64_t behind_head = 0;
  beast_http::request_parser<DroppedBody> parser;
};

RequestEnd::RequestEnd(const RequestHead& head, std::size_t overhead_bytes)
    : overhead_bytes_(overhead_bytes) {
  if (head.chunked) {
    chunks_ = std::make_unique<Chunks>(head.raw.size());
    chunks_->parser.header_limit(std::numeric_limits<std::uint32_t>::max());
    chunks_->parser.body_limit(boost::none);
    chunks_->parser.eager(true);
    return;
  }
  // A length near 2^64 must not wrap; nobody sends the difference.
  left_ = std::min(head.content_length.value_or(0), std::numeric_limits<std::uint64_t>::max() / 2) +
          head.raw.size();
}

RequestEnd::~RequestEnd() = default;
RequestEnd::RequestEnd(RequestEnd&&) noexcept = default;
RequestEnd& RequestEnd::operator=(RequestEnd&&) noexcept = default;

std::size_t RequestEnd::pass(std::string_view bytes) {
  if (status_ != Status::Incomplete) return status_ == Status::Malformed ? bytes.size() : 0;
  if (chunks_) return pass_chunks(bytes);
  const auto passed = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_));
  left_ -= passed;
  if (left_ == 0) status_ = Status::Complete;
  return passed;
}

std::size_t RequestEnd::pass_chunks(std::string_view bytes) {
  auto& parser = chunks_->parser;
  std::size_t passed = 0;
  while (passed < bytes.size() && !parser.is_done()) {
    boost::beast::error_code error;
    const std::size_t used =
        parser.put(boost::asio::buffer(bytes.data() + passed, bytes.size() - passed), error);
    passed += used;
    chunks_->count(used);
    if (error && error != beast_http::error::need_more) status_ = Status::Malformed;
    if (status_ == Status::Malformed || used == 0) break;
  }
  if (parser.is_done()) {
    status_ = Status::Complete;
  } else if (bytes.size() - passed > overhead_bytes_ || chunks_->has_too_much_framing(overhead_bytes_)) {
    status_ = Status::Malformed;
  }
  return status_ == Status::Malformed ? bytes.size() : passed;
}

}  // namespace limpet::http
