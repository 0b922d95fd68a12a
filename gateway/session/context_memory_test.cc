// The tables of a worker for very many sessions take memory for those sessions that there are.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "gateway/session/context.h"

namespace starling {
namespace {

constexpr uint32_t kSessions = 100'000;

// Octets of the process that are in memory.
size_t Resident() {
  size_t all = 0;
  size_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

GlobalLimits ManySessions() {
  GlobalLimits limits;
  limits.sessions = limits.handshakes_in_flight = limits.handshake_queue = kSessions;
  return limits;
}

// A session in each of the worker's tables.
Session* Begin(WorkerContext& ctx, uint32_t source) {
  Session* const session = ctx.table.Take();
  if (session == nullptr) return nullptr;
  ctx.timers.Set(session->slot, ctx.now + std::chrono::minutes(1));
  ctx.half_open.Add(session->slot, {.source = source}, 1, ctx.now);
  ctx.admissions.places.Join(session->slot, source, 0);
  ctx.admissions.waiting.Join(session->slot, source, 0);
  return session;
}

void End(WorkerContext& ctx, Session& session) {
  ctx.timers.Clear(session.slot);
  ctx.half_open.Remove(session.slot);
  ctx.admissions.places.Leave(session.slot);
  ctx.admissions.waiting.Leave(session.slot);
  ctx.table.Free(session);
}

TEST(ContextMemoryTest, TablesTakeNoMemoryBeforeTheyAreUsed) {
  const GlobalLimits limits = ManySessions();
  const size_t before = Resident();
  const auto ctx = std::make_unique<WorkerContext>(limits, 0);
  EXPECT_LT(Resident() - before, size_t{512} << 10);
  EXPECT_EQ(ctx->table.size(), SlotsOf(limits));
  // A few sessions, again and again: always in the same slots.
  for (uint32_t i = 0; i < 1'000; ++i) {
    Session* const session = Begin(*ctx, i);
    ASSERT_NE(session, nullptr);
    ASSERT_EQ(session->slot, 0u);
    End(*ctx, *session);
  }
  EXPECT_EQ(ctx->table.made(), 1u);
  EXPECT_LT(Resident() - before, size_t{1} << 20);
}

TEST(ContextMemoryTest, AFullTableTakesWhatItsSessionsTake) {
  const auto ctx = std::make_unique<WorkerContext>(ManySessions(), 0);
  const size_t before = Resident();
  std::vector<Session*> sessions;
  for (uint32_t i = 0; i < kSessions; ++i) {
    sessions.push_back(Begin(*ctx, i));
    ASSERT_NE(sessions.back(), nullptr);
  }
  EXPECT_EQ(ctx->table.Take(), nullptr);
  EXPECT_GT(Resident() - before, kSessions * sizeof(Session));
  EXPECT_LT(Resident() - before, kSessions * size_t{1'024});
  for (Session* const session : sessions) End(*ctx, *session);
  EXPECT_EQ(ctx->table.in_use(), 0u);
}

}  // namespace
}  // namespace starling
