// The log: a single-producer single-consumer ring a worker, and one thread that formats
// (logfmt or JSON) and writes to stdout. A worker never waits: when its ring is full the
// record is dropped and counted.
//
// Not for: anything on the path of a byte, or files and their rotation (what
// stands behind stdout does that).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/log/log_format.h"
#include "gateway/log/log_ring.h"
#include "gateway/log/record.h"

namespace starling {

enum class LogMessage : uint8_t;  // messages.h

struct LogServerName {
  std::string backend;
  std::string server;
};

// The thread and its sink. Names are indexed by the ids in records.
class Log {
 public:
  struct Options {
    LogFormat format = LogFormat::kLogfmt;
    size_t ring_capacity = 4096;  // records a worker
    size_t workers = 1;
    std::vector<std::string> listeners;  // names
    std::vector<std::string> protocols;  // of each listener
    std::vector<LogServerName> servers;
    int fd = 1;  // where lines go; not owned
  };
  // Starts the thread. A pipe or terminal is opened once more, without blocking,
  // where that is allowed.
  explicit Log(Options options);
  ~Log();  // writes what is left, as far as the reader takes it within a second
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // The names in `options` anew, for ids that records will have from now on. Any
  // thread.
  void SetNames(std::vector<std::string> listeners, std::vector<std::string> protocols,
                std::vector<LogServerName> servers);

  // Owned by the log. One worker pushes, the thread pops.
  LogRing* ring(size_t worker);

  // Lines of the process itself (start, drain, warnings), from any thread but a worker's.
  // `fields` are pairs of key and value, with the keys of the message's row; Say() escapes
  // the values. It never waits for the reader: beyond a bound it drops lines, and lost()
  // counts them.
  void Say(LogMessage message,
           std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {});

  // Lines lost behind the rings: said too fast, or refused by the descriptor. Any
  // thread.
  uint64_t lost() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One line without its end, as the thread writes it; pure, for tests.
std::string FormatRecord(const SessionRecord& record, const Log::Options& options);

}  // namespace starling
