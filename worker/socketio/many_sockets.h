// What only a client in many namespaces has, so that to find one of its sockets and to take one out of its
// list costs the same however many there are. Not charged to its session: an application has only so many
// namespaces, and nobody else can make one.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>

namespace limpet::socketio {

struct NamespaceState;
struct SocketState;

/// A client with more sockets than this has ManySockets; of one with fewer, the list is searched.
inline constexpr std::size_t kFewSockets = 16;

struct ManySockets {
  /// The one that the client joined last in each namespace. Any other one there is ending.
  boost::unordered_flat_map<const NamespaceState*, SocketState*> newest;
  /// Who stands before it in the client's list; null for the first one.
  boost::unordered_flat_map<const SocketState*, SocketState*> before;
};

}  // namespace limpet::socketio
