#include "worker/engineio/session.h"

namespace limpet::engineio {

std::string_view to_string(CloseReason reason) noexcept {
  switch (reason) {
    case CloseReason::TransportError:
      return "transport error";
    case CloseReason::TransportClose:
      return "transport close";
    case CloseReason::ForcedClose:
      return "forced close";
    case CloseReason::PingTimeout:
      return "ping timeout";
    case CloseReason::ParseError:
      return "parse error";
    case CloseReason::ServerShuttingDown:
      return "server shutting down";
  }
  return "unknown";
}

}  // namespace limpet::engineio
