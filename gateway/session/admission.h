// Who may use the private key now, in an order that is fair to all sources. A flood of hellos then
// costs neither memory nor the time of sessions that relay, and each other source one turn.
//
// A handshake has a place from its first private-key operation to its end; `handshakes_in_flight`
// limits the places, and so the memory that handshakes take. Whoever finds no place or no operation
// left waits in the queue, and receives nothing until its turn comes. In a full queue, the source
// of which most wait gives way to one that has fewer.
//
// Where all places are taken, one that a client has kept for long may go to another source which
// has no more of them then. A client that loses its place so, or ends without TLS after a while,
// has wasted it. For some minutes the handshakes of its source come after those of others, and give
// their places up to them at once. So clients that stall delay others only until each of their
// sources has wasted a place.
//
// Not for: the handshake itself (stages/handshaking.cc), or when a turn serves the queue (turn.h).
#pragma once

#include <cstdint>

#include "gateway/io/clock.h"
#include "gateway/session/age_lists.h"
#include "gateway/session/fair_queue.h"
#include "gateway/session/places.h"
#include "gateway/session/stage.h"

namespace starling {

struct Session;
struct WorkerContext;

// Of those who wait. The lower one goes first, whoever waits with a higher one.
enum class WaitRank : uint8_t {
  kHasPlace,  // and needs the key once more
  kUsual,
  kWasteful,  // its source has wasted a place lately
  kLast,      // of a source over its share: when nobody else waits
  kCount,
};

// Lists of places that may go to other sources.
inline constexpr PlacePool kStalledPlaces = 0;   // kept for long
inline constexpr PlacePool kWastefulPlaces = 1;  // of wasteful sources

// How long each that is served takes, while others wait.
class ServicePace {
 public:
  // At the end of a turn that began at `now`.
  void Note(MonoTime now, uint32_t served, bool others_wait);
  // 0: not known.
  std::chrono::nanoseconds Each() const;

 private:
  MonoTime since_ = kNever;  // the last turn, at whose end others waited
  uint32_t last_served_ = 0;
  uint32_t served_ = 0;
  std::chrono::nanoseconds took_{};
};

// A worker's.
struct Admissions {
  Admissions(uint32_t slots, uint32_t most_waiting, uint32_t most_places)
      : waiting(slots, most_waiting, static_cast<uint32_t>(WaitRank::kCount)),
        places(slots, most_places, 1),
        yielding(slots) {}

  FairQueue waiting;
  FairQueue places;
  AgeLists yielding;  // those places that may go to others
  ServicePace pace;
  uint32_t called = FairQueue::kNone;  // the slot whose turn it is
  uint32_t key_operations = 0;         // private-key operations that this turn may still do
  bool open = false;                   // the turn has come to those that want such an operation
  bool cut_short = false;              // the last turn ran out of operations while some waited
};

enum class Admission : uint8_t {
  kGranted,  // one private-key operation
  kQueued,   // the session receives nothing until its turn comes
  kFull,     // neither a place nor room in the queue
  kLate,     // its turn would come after its deadline
};
Admission Admit(WorkerContext& ctx, Session& session, Handshaking& stage);

// The operation was not used: the hello goes on in another record. Nobody waits a turn for that.
void ReturnGrant(WorkerContext& ctx);
// The session's handshake is over; its place is free. The session is in Handshaking.
void LeaveAdmission(WorkerContext& ctx, const Session& session);
// Its client has kept its place so long that it may have to give it up.
void NoteStalled(WorkerContext& ctx, const Session& session);

// Takes the slot whose turn it is out of the queue; kNone: nobody may go on now. `last`: those of
// kLast may have their turn, too.
uint32_t TakeAdmitted(WorkerContext& ctx, bool last);
// When NoteStalled is due; kNever: the session has no place, or the worker has noted it.
MonoTime StallsAt(const WorkerContext& ctx, const Session& session, const Handshaking& stage);
// It is not its client that the gateway waits for.
bool WaitsForAdmission(const WorkerContext& ctx, const Session& session);
// Somebody may go on in the next turn.
bool AdmissionOpen(const WorkerContext& ctx);

}  // namespace starling
