// What engineio::Server is made of: every session, the lists they wait in, and what happens to them. The
// parts stand in requests.cpp (who is asked for, and errors), polling.cpp, websocket.cpp (frames and the
// upgrade), moving.cpp (to and from another process) and core.cpp (lives and time-outs). Internal.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "worker/engineio/open_session.h"
#include "worker/engineio/packet.h"
#include "worker/engineio/server.h"
#include "worker/engineio/session_table.h"
#include "worker/loop/accounts.h"
#include "worker/loop/fifo.h"
#include "worker/loop/released_frames.h"
#include "worker/loop/timer_wheel.h"

namespace limpet::engineio {

/// How long a session that the server closed waits for a poll by which to say so.
inline constexpr std::chrono::seconds kLinger{5};
/// How often a poll that stands in the way of an upgrade is answered.
inline constexpr std::chrono::milliseconds kNoopInterval{100};

class Core {
 public:
  Core(Options options, const loop::Clock& clock, SessionHandler& handler, Hooks hooks);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void on_request(http::Exchange exchange, const http::Request& request);
  std::unique_ptr<http::AwaitedBody> on_body_awaited(const http::RequestHead& head);
  void tick(loop::Allowance& allowance);
  [[nodiscard]] std::optional<loop::TimePoint> next_deadline() const noexcept;
  [[nodiscard]] OpenSession* find_open(std::string_view sid) const noexcept;
  [[nodiscard]] bool knows(std::string_view sid) const noexcept { return table_.find(sid) != nullptr; }
  /// Of those that are open: who is to hear of its time-out first; nullptr if none is.
  [[nodiscard]] OpenSession* first_open() const noexcept;

  // moving.cpp
  [[nodiscard]] std::vector<Session*> go_round(Round& round, std::size_t at_most, loop::Allowance& allowance,
                                               const std::function<bool(const Session&)>& which) const;
  [[nodiscard]] bool can_depart(const OpenSession& session) const noexcept;
  [[nodiscard]] static std::size_t bytes_of(const OpenSession& session) noexcept;
  [[nodiscard]] Departure depart(OpenSession& session);
  OpenSession* arrive(SessionImage image, loop::Stream* stream);

  void send(OpenSession& session, std::span<const loop::Buffer> frames);
  /// Ends the session as its server wishes: a polling client that has no poll parked is told by its next one.
  void close(OpenSession& session, CloseReason reason, websocket::CloseCode code);

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::size_t open_count() const noexcept { return open_count_; }
  [[nodiscard]] bool has_lingering() const noexcept { return linger_.front() != nullptr; }
  [[nodiscard]] std::size_t largest_bytes() const noexcept { return accounts_.largest_bytes(); }
  [[nodiscard]] std::size_t released_bytes() const noexcept { return released_.bytes(); }
  void shed_largest();

 private:
  friend class AwaitedPost;
  friend class OpenSession;

  /// The stream of a session whose transport is WebSocket; the attachment is the session.
  class WebSocketReceiver final : public loop::StreamReceiver {
   public:
    explicit WebSocketReceiver(Core& core) : core_(core) {}
    std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
    void on_closed(loop::Stream& stream, int error) override;
    void on_shed(loop::Stream& stream) override;

   private:
    Core& core_;
  };
  /// The WebSocket that may take over from polling; the attachment is the session.
  class ProbeReceiver final : public loop::StreamReceiver {
   public:
    explicit ProbeReceiver(Core& core) : core_(core) {}
    std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override;
    void on_closed(loop::Stream& stream, int error) override;

   private:
    Core& core_;
  };
  /// A stream that has nothing more to say.
  class Discarder final : public loop::StreamReceiver {
   public:
    std::size_t on_bytes(loop::Stream&, std::span<char> bytes) override { return bytes.size(); }
    void on_closed(loop::Stream&, int) override {}
  };

  /// What a request asks for, as it stands in its query.
  struct Query {
    std::string_view transport;
    std::string_view sid;
    std::string_view protocol;
    std::optional<std::string_view> jsonp;
  };
  struct Refusal {
    ErrorCode code;
    std::string message;
  };
  static Query parse_query(std::string_view query) noexcept;

  // requests.cpp
  [[nodiscard]] bool serves(std::string_view transport) const noexcept;
  [[nodiscard]] std::optional<Refusal> verify(const Query& query, const http::RequestHead& head) const;
  [[nodiscard]] std::optional<Refusal> verify_handshake(const Query& query,
                                                        const http::RequestHead& head) const;
  [[nodiscard]] std::optional<Refusal> verify_session(const Query& query,
                                                      const http::RequestHead& head) const;
  void refuse(http::Exchange exchange, const http::RequestHead& head, const Refusal& refusal);
  void on_upgrade(http::Exchange exchange, const http::RequestHead& head, const Query& query);
  [[nodiscard]] std::string choose_protocol(std::span<const std::string_view> offered) const;

  // core.cpp: lives and time-outs
  OpenSession& create(const http::RequestHead& head, std::string_view address);
  [[nodiscard]] std::string open_packet(const OpenSession& session) const;
  void announce(OpenSession& session);
  /// Ends the session at once; a parked poll is answered with `1`.
  void end(OpenSession& session, CloseReason reason, websocket::CloseCode code);
  void mark_closed(OpenSession& session, OpenSession::Phase phase, CloseReason reason);
  void release(OpenSession& session);
  void report_ended(loop::Allowance& allowance);
  void forget_handshake(OpenSession& session);
  void free_ended(loop::Allowance& allowance);
  void send_pings(loop::TimePoint now, loop::Allowance& allowance);
  void end_overdue(loop::TimePoint now, loop::Allowance& allowance);
  void count_memory(const OpenSession& session, bool here) noexcept;
  void on_pong(OpenSession& session);

  // polling.cpp
  void open_polling(http::Exchange exchange, const http::RequestHead& head, const Query& query);
  void on_poll(OpenSession& session, http::Exchange exchange, const Query& query);
  void on_post(OpenSession& session, http::Exchange exchange, const http::Request& request,
               const Query& query);
  /// Takes the packets of a post's body one by one. What is left, if it may not go on now.
  [[nodiscard]] std::optional<std::string_view> take_payload(
      OpenSession& session, std::string_view payload, const std::function<bool()>& may_go_on,
      const std::function<void(std::uint32_t)>& charge);
  void keep_post(OpenSession& session, http::Exchange exchange, std::string_view rest);
  void continue_posts(loop::Allowance& allowance);
  void end_post(OpenSession& session);
  [[nodiscard]] bool makes_room(OpenSession& session);
  void note_account(OpenSession& session);
  void drop_queue(OpenSession& session);
  /// The layer above holds so many bytes more, or fewer, for the session.
  void note_held(OpenSession& session, std::size_t before) noexcept;
  void forget_account(OpenSession& session, Polling& polling);
  void forget_held(OpenSession& session);
  /// False: the rest of the payload is void.
  bool take_polled_packet(OpenSession& session, std::string_view text);
  void on_poll_abandoned(OpenSession& session);
  /// Answers the parked poll with what is queued and then `last`. What that cost, in units.
  std::uint32_t answer_poll(OpenSession& session, std::string_view last);
  void answer_poll_with_noop(OpenSession& session);
  void queue(OpenSession& session, std::span<const loop::Buffer> frames);
  void flush_polls(loop::Allowance& allowance);

  // moving.cpp
  [[nodiscard]] std::string poll_again(const OpenSession& session,
                                       const http::Exchange::Withdrawn& poll) const;

  // websocket.cpp
  void open_websocket(http::Exchange exchange, const http::RequestHead& head, http::Response switching);
  void start_probe(OpenSession& session, http::Exchange exchange, http::Response switching);
  void accept_and_close(http::Exchange exchange, http::Response switching);
  void on_message(OpenSession& session, const websocket::Received& received);
  void on_text(OpenSession& session, std::string_view text);
  void on_probe_message(OpenSession& session, const websocket::Received& received);
  void complete_upgrade(OpenSession& session);
  void abandon_probe(OpenSession& session);
  void forget_probe(OpenSession& session);
  void hang_up(loop::Stream& stream, websocket::CloseCode code);
  void deliver_base64(OpenSession& session, std::string_view text);

  Options options_;
  const loop::Clock& clock_;
  SessionHandler& handler_;
  Hooks hooks_;
  Counts counts_;
  SessionTable table_;
  std::size_t open_count_ = 0;
  WebSocketReceiver websocket_receiver_{*this};
  ProbeReceiver probe_receiver_{*this};
  Discarder discarder_;
  const loop::Buffer ping_frame_;
  // An open session is in one of the first two, a lingering one in the third.
  loop::TimerWheel next_ping_{options_.ping_interval};
  loop::TimerWheel pong_overdue_{options_.ping_timeout};
  loop::TimerWheel linger_{kLinger};
  loop::TimerWheel probe_overdue_{options_.upgrade_timeout};
  loop::TimerWheel next_noop_{kNoopInterval};
  loop::Fifo<OpenSession*> ended_;       // to be reported, then freed
  loop::Fifo<OpenSession*> freed_;       // reported; freed as soon as no list names them
  loop::ReleasedFrames released_;        // long queues of polling sessions that ended
  loop::Fifo<OpenSession*> poll_flush_;  // have something for their parked poll
  loop::Fifo<OpenSession*> posts_;       // have packets of a post that wait for their turn
  bool posts_first_ = false;             ///< in this turn
  loop::MemoryTotal own_memory_;
  loop::MemoryTotal& memory_;
  loop::Accounts<OpenSession> accounts_;
  std::map<OpenSession*, loop::Noted> large_held_;  // those for which the layer above holds much
};

}  // namespace limpet::engineio
