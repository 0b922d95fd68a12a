// One direction of a relay: moves what one side has sent to the other, and then its end.
// Opaque octets, with flow control: a side receives only when what it sent before has been
// passed on whole.
//
// TLS is opened straight into what the other side sends, and sealed straight from what the
// first has received; only between two plaintext sides is anything copied. Between two TLS
// sides a block of the first holds what was opened.
//
// Not for: what an end means for the session (stages/relaying.cc).
#pragma once

#include "gateway/session/side.h"

namespace starling {

class HalfPipe {
 public:
  HalfPipe(SideResources& resources, Side& from, Side& to)
      : resources_(resources), from_(from), to_(to) {}

  // Moves all that there is room for.
  void Move();
  // All was passed on: the first side may receive.
  bool MayReceive() const;
  // The sink is gone: drops what was meant for it.
  void Drop();
  // Says to the sink that no more will come, behind all that came. `whole`: the source said
  // so itself; otherwise a sink inside TLS gets no close_notify, since it must not take what
  // it has for the whole. `by_close`: nothing is left to be said in either direction, and the
  // close of the connection tells as much.
  void PassOnEnd(SessionRef session, bool whole, bool by_close);
  // The end was passed on, or will be by the close; or the sink is gone.
  bool Over(bool whole, bool by_close) const;

 private:
  void Copy();
  void Seal();
  bool EndSaid(bool whole) const { return !whole || !to_.secure() || to_.close_notify_sent(); }

  SideResources& resources_;
  Side& from_;
  Side& to_;
};

}  // namespace starling
