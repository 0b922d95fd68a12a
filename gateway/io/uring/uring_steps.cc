// Continues operations that have several steps: opening an upstream connection,
// accepting, cancelling and closing.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "gateway/io/uring/uring.h"

namespace starling::uring {

// Exactly one member of the chain in the kernel completes: the failed one or the last
// one. In addition, the option completes if it could not be set.
void UringRing::OpenStep(Step step, Fd fd, int32_t result, std::vector<Completion>& out) {
  Opening& opening = openings_[fd];
  if (step == Step::kOpenOption) return;
  if (step == Step::kOpenLocal) {
    if (result >= 0) {
      opening.local = LocalAddress(result).endpoint();
      close(result);
    }
    OpenEnded(fd, 0, out);
    return;
  }
  SideState& state = StateOf(opening.tag);
  if (step == Step::kOpenClose) {
    LeaveTable(state);
    OpenEnded(fd, opening.result, out);
    return;
  }
  state.connecting = false;
  if (step == Step::kOpenSocket) {
    LeaveTable(state);
    OpenEnded(fd, result, out);
    return;
  }
  const int32_t expected = step == Step::kOpenHeader ? opening.header : 0;
  if (result != expected) {
    OpenFailed(fd, result, out);
  } else if (!opening.want_local) {
    OpenEnded(fd, 0, out);
  } else if (opening.os_fd >= 0) {
    opening.local = LocalAddress(opening.os_fd).endpoint();
    OpenEnded(fd, 0, out);
  } else {
    RequestInstall(fd, Step::kOpenLocal, fd);
  }
}

// Cleans up after a failed chain, whose socket is still in the table.
void UringRing::OpenFailed(Fd fd, int32_t error, std::vector<Completion>& out) {
  Opening& opening = openings_[fd];
  SideState& state = StateOf(opening.tag);
  // The header was sent only in part, or the socket was closed during the connect.
  if (error >= 0) error = -ECONNRESET;
  if (state.cancelled || state.closing || !state.in_table) error = -ECANCELED;
  if (state.closing || !state.in_table) {
    OpenEnded(fd, error, out);
    return;
  }
  opening.result = error;
  RequestClose(fd, StepData(Step::kOpenClose, fd));
}

void UringRing::OpenEnded(Fd fd, int32_t result, std::vector<Completion>& out) {
  Opening& opening = openings_[fd];
  if (opening.os_fd >= 0) close(opening.os_fd);
  opening.os_fd = -1;
  Ended(kOpen, {.tag = opening.tag, .result = result, .local = opening.local}, out);
}

// A cancel may come between the socket and the connect of a chain, when the kernel finds
// nothing to cancel. The ring repeats it until the chain has ended.
void UringRing::CancelSent(Tag tag, std::vector<Completion>& out) {
  SideState& state = StateOf(tag);
  if (state.armed == 0) {
    out.push_back({.tag = tag});
  } else if (state.connecting) {
    std::array<uint64_t, 4> targets;
    RequestCancels({targets.data(), CancelTargets(tag, &targets)}, tag);
  } else {
    state.cancel_held = true;
    held_.push_back(tag);
  }
}

void UringRing::LeaveTable(SideState& state) {
  if (state.in_table) --in_use_;
  state.in_table = false;
}

void UringRing::Closed(Tag tag, int32_t result, std::vector<Completion>& out) {
  SideState& state = StateOf(tag);
  state.closing = false;
  if (tag.side == SocketSide::kAccepted) {
    --in_use_;
  } else if (state.in_table) {
    LeaveTable(state);
  } else {
    result = 0;  // the open failed in the meantime and left nothing to close
  }
  out.push_back({.tag = tag, .result = result});
}

void UringRing::AcceptStep(Step step, uint32_t index, int32_t result,
                           std::vector<Completion>& out) {
  Accept& accept = accepts_[index];
  switch (step) {
    case Step::kAccept:
      if (result < 0 || !accept.look_up_local) {
        AcceptEnded(index, result, out);
      } else if (features_.fixed_fd_install) {
        accept.accepted = result;
        RequestInstall(result, Step::kAcceptLocal, index);
      } else {
        accept.local = LocalAddress(result).endpoint();
        accept.os_fd = result;
        accept.table_index = result;
        RequestTableEntry(&accept.table_index, index);
      }
      return;
    case Step::kAcceptLocal:
      // Without an OS descriptor, the gateway serves the client without its local
      // address.
      if (result >= 0) {
        accept.local = LocalAddress(result).endpoint();
        close(result);
      }
      AcceptEnded(index, accept.accepted, out);
      return;
    default:  // kAcceptTable
      close(accept.os_fd);
      accept.os_fd = -1;
      AcceptEnded(index, result == 1 ? accept.table_index : (result < 0 ? result : -ENFILE), out);
      return;
  }
}

void UringRing::ShutdownStep(uint32_t index, int32_t result, std::vector<Completion>& out) {
  SideState& state = states_[index];
  const SocketSide side = index % 2 == 1 ? SocketSide::kOpened : SocketSide::kAccepted;
  const Tag tag{Op::kShutdown, index / 2, state.shutdown_of, side};
  if (result < 0) {
    // There is no free OS descriptor: uses the slow way, unless the socket is closed
    // already.
    if (!state.closing) return RequestShutdown(state.shutting, tag);
    Ended(kShutdown, {.tag = tag, .result = result}, out);
    return;
  }
  const int32_t error = shutdown(result, SHUT_WR) == 0 ? 0 : -errno;
  close(result);
  Ended(kShutdown, {.tag = tag, .result = error}, out);
}

void UringRing::AcceptEnded(uint32_t index, int32_t result, std::vector<Completion>& out) {
  const Accept& accept = accepts_[index];
  Completion completion{.tag = accept.tag, .result = result};
  if (result >= 0) {
    ++in_use_;
    completion.peer =
        SocketAddress::FromKernel(reinterpret_cast<const sockaddr*>(&accept.peer), accept.length)
            .endpoint();
    completion.local = accept.local;
  }
  free_accepts_.push_back(index);
  out.push_back(completion);
}

}  // namespace starling::uring
