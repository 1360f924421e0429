// What a cluster reports, and to whom: whoever runs it implements ClusterEvents. Each is called once per
// event, in the middle of the cluster's own work: what would end the listener, or the operation that it
// passes the event on to, waits for a later turn of the loop.
#pragma once

#include <string>

#include "ipc/messages/control.h"
#include "supervisor/cluster/causes.h"

namespace limpet::supervisor {

class Worker;

/// What happens to workers: an operation follows it too.
class WorkerEvents {
 public:
  virtual ~WorkerEvents() = default;

  /// It has said that it is ready. True: the listener seats it, in its own time.
  virtual bool on_ready(Worker& worker) = 0;
  virtual void on_seated(const Worker& worker) = 0;
  /// Of one that leaves.
  virtual void on_progress(const Worker& worker) = 0;
  virtual void on_buckets_moved(const Worker& worker, const ipc::BucketsMoved& moved) = 0;
  /// After its peers were told; it is in no list any more.
  virtual void on_gone(const Worker& worker, Cause cause, const std::string& obituary) = 0;
};

class ClusterEvents : public WorkerEvents {
 public:
  /// Somebody wants it replaced.
  virtual void on_signalled(const Worker& worker) = 0;
  /// A worker does not end whatever was done: a sentence that names it, and why.
  virtual void on_held(const std::string& line) = 0;
  virtual void on_all_seated() = 0;  ///< once
  virtual void on_empty() = 0;       ///< after Cluster::stop(): nobody is left
};

}  // namespace limpet::supervisor
