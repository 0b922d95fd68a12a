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
    default:
      return ConnectFailure::kOther;
  }
}

}  // namespace starling
