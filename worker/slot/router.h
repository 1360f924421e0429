// Where each request of a connection is served (law 4): here, later, or by the slot that owns its session or
// is to have the new one. Decides, and sends connections on their way: to another slot's inbox, on the stream
// of a session that has moved, or back to a worker that may still have it. There is no other place that does.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/descriptor.h"
#include "worker/client/clients.h"
#include "worker/client/destination.h"
#include "worker/client/listeners.h"
#include "worker/engineio/server.h"
#include "worker/slot/handovers.h"
#include "worker/slot/placement.h"

namespace limpet::slot {

/// The streams on which sessions move to this worker and from it.
class SessionStreams {
 public:
  /// A connection with a request for a session that is not here yet, to who may have it still.
  virtual void give_back(base::Descriptor socket, const client::ClientConnection& from,
                         std::string_view unread) = 0;
  /// A connection with a request for a session of `to_slot`, on the stream that its session has taken.
  /// False: there is none, and the socket is still the caller's.
  virtual bool pass_on(base::Descriptor& socket, const client::ClientConnection& from, std::uint16_t to_slot,
                       std::string_view unread) = 0;

 protected:
  ~SessionStreams() = default;
};

class Router {
 public:
  /// Here: served, or refused, by this worker. Later: asked again. Leaves: its place is `to`.
  enum class Verdict : std::uint8_t { Here, Later, Leaves };
  struct Decision {
    Verdict verdict = Verdict::Here;
    client::Destination to{};
    bool pooled = false;  ///< the connection is a proxy's, and carries other clients' requests too
  };

  /// Connections of `clients` that leave go where it says. `handovers` and `placement` may be null (an
  /// application that runs alone). All are borrowed for life.
  Router(client::Clients& clients, const client::Listeners& listeners, const engineio::Server& engine,
         Handovers* handovers, Placement* placement);

  /// Null: no session moves.
  void set_streams(SessionStreams* streams) noexcept { streams_ = streams; }

  /// Of the request whose head is read. Notes at the connection whom it has asked so far.
  [[nodiscard]] Decision decide(client::ClientConnection& client, const http::RequestHead& head);
  /// A request goes away on a stream of its own, of which the caller has the other end. False if there is no
  /// room.
  [[nodiscard]] bool send_request(const base::Descriptor& stream, const client::ClientConnection& of,
                                  const client::Destination& to);

  /// A session that is here, or on its way here.
  [[nodiscard]] bool expects(std::string_view sid) const;
  /// Its session is another slot's, and the request did not get there: nobody there answers, or its inbox is
  /// full.
  [[nodiscard]] bool is_lost(const http::RequestHead& head) const;

  /// While sessions are on their way here: a connection with a request for one of our slot's that is not here
  /// yet goes to a giver, unless all givers up to `last` have been asked. 0: none are on their way.
  void expect_sessions(std::uint32_t last) noexcept { last_giver_ = last; }
  /// Requests wait for what the supervisor has to say, unread, about buckets that are new here: read it, then
  /// have them asked again.
  [[nodiscard]] bool waits_for_supervisor() const noexcept { return waits_for_supervisor_; }
  void heard_supervisor() noexcept { waits_for_supervisor_ = false; }
  /// While sessions and connections leave for another process: only requests for sessions that are here are
  /// served, the others wait until they travel as well.
  void set_giving(bool giving) noexcept { giving_ = giving; }

 private:
  [[nodiscard]] Decision decide_unknown(client::ClientConnection& client, std::string_view sid);
  [[nodiscard]] Decision place(const client::ClientConnection& client, const http::RequestHead& head);
  void dispatch(base::Descriptor socket, const client::ClientConnection& from, client::Destination to,
                std::string_view unread);

  const client::Listeners& listeners_;
  const engineio::Server& engine_;
  Handovers* handovers_;
  Placement* placement_;
  SessionStreams* streams_ = nullptr;
  std::uint32_t last_giver_ = 0;
  bool waits_for_supervisor_ = false;
  bool giving_ = false;
};

}  // namespace limpet::slot
