// What a client gave as `auth` when it joined a namespace: a JSON value, parsed when it is first looked at.
// One of more than 1 KiB stays parsed as long as its socket lives, and counts as memory of its client. Null
// if the client gave none, and if it is first looked at when its socket is gone.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace limpet {

namespace socketio {
class Server;
}  // namespace socketio

class Auth {
 public:
  Auth() = default;
  /// For the library.
  Auth(socketio::Server* server, std::uint32_t index, std::uint32_t epoch) noexcept
      : server_(server), index_(index), epoch_(epoch) {}

  /// Good until the handler returns, and longer: of up to 1 KiB as long as this Auth, of more as long as its
  /// socket. Throws std::invalid_argument for what boost::json has no
  /// number for.
  [[nodiscard]] const boost::json::value& value() const;
  // As a boost::json::value is asked.
  operator const boost::json::value&() const { return value(); }
  [[nodiscard]] bool is_null() const { return value().is_null(); }
  [[nodiscard]] bool is_object() const { return value().is_object(); }
  [[nodiscard]] const boost::json::object& as_object() const { return value().as_object(); }
  [[nodiscard]] const boost::json::object* if_object() const { return value().if_object(); }
  [[nodiscard]] const boost::json::value& at(std::string_view key) const {
    return value().as_object().at({key.data(), key.size()});
  }
  friend bool operator==(const Auth& auth, const boost::json::value& other) { return auth.value() == other; }

 private:
  socketio::Server* server_ = nullptr;
  std::uint32_t index_ = 0;
  std::uint32_t epoch_ = 0;
  mutable std::shared_ptr<const boost::json::value> small_;
};

}  // namespace limpet
