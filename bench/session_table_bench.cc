// Benchmarks of a worker's session table, which takes and releases a slot for each
// connection and looks one up for each completion.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "gateway/session/session_table.h"

namespace starling {
namespace {

constexpr uint32_t kRefusals = 64;

// Fills the table; false if it cannot hold that many.
bool Fill(SessionTable& table, std::vector<Session*>& sessions) {
  for (Session*& session : sessions) {
    session = table.Take();
    if (session == nullptr) return false;
    session->stage = Relaying{};
  }
  return true;
}

// A session comes and goes while range(0) others are there.
void SessionTakeFree(benchmark::State& state) {
  std::vector<Session*> others(static_cast<size_t>(state.range(0)));
  SessionTable table(static_cast<uint32_t>(others.size()) + 1, kRefusals);
  if (!Fill(table, others)) state.SkipWithError("no slot");
  for (auto _ : state) {
    Session* session = table.Take();
    if (session == nullptr) {
      state.SkipWithError("no slot");
      break;
    }
    session->stage = Relaying{};
    table.Free(*session);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SessionTakeFree)->Arg(0)->Arg(9'000);

// Looks up a completion's session among range(0), in a random order.
void SessionFind(benchmark::State& state) {
  std::vector<Session*> sessions(static_cast<size_t>(state.range(0)));
  SessionTable table(static_cast<uint32_t>(sessions.size()), kRefusals);
  if (!Fill(table, sessions)) state.SkipWithError("no slot");
  uint32_t random = 1;
  for (auto _ : state) {
    random = random * 1'664'525 + 1'013'904'223;
    const Session& wanted = *sessions[(random >> 8) % sessions.size()];
    if (table.Find(wanted.slot, wanted.generation) != &wanted) {
      state.SkipWithError("another session");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SessionFind)->Arg(100)->Arg(9'000);

// Looks up a completion whose session has ended.
void SessionFindStale(benchmark::State& state) {
  SessionTable table(1, kRefusals);
  Session* session = table.Take();
  const uint32_t slot = session->slot, generation = session->generation;
  session->stage = Relaying{};
  table.Free(*session);
  for (auto _ : state) {
    if (table.Find(slot, generation) != nullptr) {
      state.SkipWithError("found a session that has ended");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SessionFindStale);

// Makes a table of range(0) slots and touches each once.
void SessionTableMake(benchmark::State& state) {
  for (auto _ : state) {
    SessionTable table(static_cast<uint32_t>(state.range(0)), kRefusals);
    benchmark::DoNotOptimize(table.in_use());
  }
  state.counters["bytes_a_slot"] = sizeof(Session);
}
BENCHMARK(SessionTableMake)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace starling
