// The arguments of an event, or of a reply: views into the packet.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "worker/loop/buffer.h"
#include "worker/socketio/json_scan.h"

namespace limpet::socketio {

class Arguments {
 public:
  Arguments() = default;
  /// `elements`: of `text`, which is valid JSON. `attachments`: those that its placeholders name.
  Arguments(std::string_view text, std::span<const JsonElement> elements,
            std::span<const loop::Buffer> attachments) noexcept
      : text_(text), elements_(elements), attachments_(attachments) {}

  [[nodiscard]] std::size_t size() const noexcept { return elements_.size(); }
  [[nodiscard]] bool empty() const noexcept { return elements_.empty(); }
  /// Those from that place on; none behind the last one.
  [[nodiscard]] Arguments from(std::size_t index) const noexcept {
    return {text_, index < elements_.size() ? elements_.subspan(index) : std::span<const JsonElement>(),
            attachments_};
  }
  [[nodiscard]] std::string_view text(std::size_t index) const noexcept {
    return text_.substr(elements_[index].begin, elements_[index].end - elements_[index].begin);
  }
  [[nodiscard]] const JsonElement& element(std::size_t index) const noexcept { return elements_[index]; }
  [[nodiscard]] std::span<const loop::Buffer> attachments() const noexcept { return attachments_; }

 private:
  std::string_view text_;
  std::span<const JsonElement> elements_;
  std::span<const loop::Buffer> attachments_;
};

}  // namespace limpet::socketio
