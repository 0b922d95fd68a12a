#include "gateway/metrics/list.h"

#include <cerrno>

namespace starling {

ConnectFailure ConnectFailureOf(int error) {
  switch (error) {
    case ECONNREFUSED:
      return ConnectFailure::kRefused;
    case ETIMEDOUT:
      return ConnectFailure::kTimeout;
    case EAGAIN:  // a Unix socket whose backlog is full
      return ConnectFailure::kBacklogFull;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return ConnectFailure::kUnreachable;
    case ENOENT:
      return ConnectFailure::kNoSuchSocket;
    case EACCES:
    case EPERM:
      return ConnectFailure::kPermission;
    case EADDRNOTAVAIL:
      return ConnectFailure::kNoPort;
    default:
      return ConnectFailure::kOther;
  }
}

Refused RefusedOf(EndReason reason) {
  switch (reason) {
    case EndReason::kBufferLimit:
      return Refused::kBufferLimit;
    case EndReason::kSourceSessions:
      return Refused::kSourceSessions;
    case EndReason::kSourceConnections:
      return Refused::kSourceConnections;
    case EndReason::kSourceHandshakes:
      return Refused::kSourceHandshakes;
    case EndReason::kSourceFailures:
      return Refused::kSourceFailures;
    case EndReason::kDenied:
      return Refused::kDenied;
    case EndReason::kMemoryLimit:
      return Refused::kMemoryLimit;
    default:
      return Refused::kSessionLimit;
  }
}

}  // namespace starling
