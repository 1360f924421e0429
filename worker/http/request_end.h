// Where one request ends in the bytes of its stream, found as they pass by and without keeping any: for
// whoever sends a request on instead of serving it. Counts (Content-Length) or walks the chunks (by
// Boost.Beast). What stands behind an upgrade request's head is no part of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "worker/http/request.h"

namespace limpet::http {

class RequestEnd {
 public:
  enum class Status : std::uint8_t { Incomplete, Complete, Malformed };

  /// `overhead_bytes`: as IncomingBody's.
  RequestEnd(const RequestHead& head, std::size_t overhead_bytes);
  ~RequestEnd();
  RequestEnd(RequestEnd&&) noexcept;
  RequestEnd& operator=(RequestEnd&&) noexcept;

  /// `bytes`: what follows those that have passed, from the first byte of the head on. Gives how many at the
  /// front belong to the request and may go; the rest comes again with what arrives next, or is not the
  /// request's. All of them once the request is malformed: who gets them refuses it.
  std::size_t pass(std::string_view bytes);
  [[nodiscard]] Status status() const noexcept { return status_; }

 private:
  struct Chunks;
  std::size_t pass_chunks(std::string_view bytes);

  std::unique_ptr<Chunks> chunks_;
  std::uint64_t left_ = 0;  ///< counted: bytes of the request still to pass
  std::size_t overhead_bytes_;
  Status status_ = Status::Incomplete;
};

}  // namespace limpet::http
