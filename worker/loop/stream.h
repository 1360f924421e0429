// A client's connection as the protocol layers see it: bytes arrive, bytes are queued. The process layer
// implements it over a socket, tests over memory. Law 12: bytes that a receiver has not consumed stay with
// the stream, so the descriptor can leave for another process at any time between two calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "worker/loop/buffer.h"
#include "worker/loop/long_fifo.h"
#include "worker/loop/open_file.h"

namespace limpet::loop {

class Stream;

/// Who handles what a stream receives. Called from the worker's loop only, never from inside Stream's
/// functions.
class StreamReceiver {
 public:
  virtual ~StreamReceiver() = default;
  /// `bytes`: everything received and not consumed yet, the oldest first. Returns how many bytes at the front
  /// are consumed; the rest comes again together with what arrives next. May modify consumed bytes in place
  /// (unmasking). If the receiver is replaced during the call (an upgrade), the stream calls the new one with
  /// the rest.
  virtual std::size_t on_bytes(Stream& stream, std::span<char> bytes) = 0;
  /// Everything queued has been written (only called after the queue had not been written at once). Default:
  /// nothing.
  virtual void on_writable(Stream&) {}
  /// The worker has too little memory, and this stream costs it most: it must end now.
  virtual void on_shed(Stream& stream);
  /// The last call for this stream, unless it was taken away (handed over): the peer closed, failed, was
  /// timed out, or finish()/abort() has taken effect. `error` 0 for an orderly end, else errno.
  virtual void on_closed(Stream& stream, int error) = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
  /// Queues `bytes`; one write per stream and loop turn sends all that is queued. Ignored after
  /// finish()/abort().
  virtual void send(Buffer bytes) = 0;
  /// The same for a queue that may be very long, whose frames have `bytes` in all: in one piece that takes as
  /// long as for a short one.
  virtual void send_all(LongFifo<Buffer> frames, std::size_t bytes) = 0;
  /// Queues a part of a file behind what is queued: it is read while it is sent. A file that turns out to be
  /// shorter ends the connection, for the peer waits for what it was promised. Ignored after
  /// finish()/abort().
  virtual void send_file(FileRange range) = 0;
  /// Closes once everything queued has been written; on_bytes comes no more. The implementation lingers: it
  /// shuts down the sending side, then reads and drops what still comes until the peer's end or a short time
  /// has passed. Closing at once would let a reset overtake the answer (413, 431, WebSocket close 1009) at a
  /// client that is still sending.
  virtual void finish() = 0;
  /// Closes now; what is queued is dropped. on_closed comes at the end of this turn, or of a later one.
  virtual void abort() = 0;
  /// Forgets what is queued, but for the rest of a buffer of which a part has been written.
  virtual void drop_unsent() = 0;
  /// Bytes queued and not yet taken by the kernel. A file counts as one.
  [[nodiscard]] virtual std::size_t unsent_bytes() const noexcept = 0;
  /// Bytes received that no receiver has consumed.
  [[nodiscard]] virtual std::size_t unread_bytes() const noexcept { return 0; }
  /// What is unsent can be sent by another process as well: no file, and not much.
  [[nodiscard]] virtual bool can_travel() const noexcept = 0;
  /// After finish(), abort(), or the peer's end.
  [[nodiscard]] virtual bool closing() const noexcept = 0;
  /// Stops and restarts on_bytes (one request at a time while its response is pending). End of stream is
  /// still told.
  virtual void pause_reading(bool paused) = 0;
  /// The client's address as text ("127.0.0.5", "::1"; an IPv4-mapped one as IPv4).
  [[nodiscard]] virtual std::string peer_address() const = 0;

  /// Asked by a receiver before each piece that it takes from its input (a request, a frame, a packet);
  /// `units`: what the piece costs (worker/loop/allowance.h). False: return, the rest of the bytes comes
  /// again in a later turn, when the turn has an allowance left or the peer has taken more of its answers.
  [[nodiscard]] virtual bool may_go_on(std::uint32_t units = 1) = 0;

  /// Told after a piece of work whose cost was not known before it was done.
  virtual void charge(std::uint32_t) {}

  /// Told by a receiver that leaves bytes because the piece at their front is not whole: how many it will
  /// have, so that room for them can be made once.
  virtual void expect(std::size_t) {}

  /// So many of the bytes that came while it waits for the Body are none of that: they buy it no time.
  virtual void discount(std::size_t) {}

  /// The receiver holds so many bytes more for this stream, or fewer: parts of a body or of a message. To be
  /// balanced before it gives the stream up.
  virtual void hold(std::ptrdiff_t bytes) = 0;

  /// Which time-out of the settings' "limits" applies; told by the protocol layer. Body: told again while the
  /// same body comes, it does not begin anew.
  enum class Waiting : std::uint8_t { Header, Body, NextRequest, Response, Nothing };
  virtual void set_waiting(Waiting what) = 0;

  void set_receiver(StreamReceiver* receiver, void* attachment = nullptr) noexcept {
    receiver_ = receiver;
    attachment_ = attachment;
  }
  [[nodiscard]] StreamReceiver* receiver() const noexcept { return receiver_; }
  /// The receiver's own word for this stream.
  [[nodiscard]] void* attachment() const noexcept { return attachment_; }

 private:
  StreamReceiver* receiver_ = nullptr;
  void* attachment_ = nullptr;
};

inline void StreamReceiver::on_shed(Stream& stream) { stream.abort(); }

}  // namespace limpet::loop
