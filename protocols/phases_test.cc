// A dialogue is in one phase, and asserts that the session makes only calls that may come there.
#include <gtest/gtest.h>

#include "protocols/contract/protocol_row.h"
#include "protocols/frames/testing/dialogue_driver.h"
#include "protocols/registry.h"

namespace starling {
namespace {

void StartAndRaise(const ProtocolRow& row, EventKind kind, bool inside_tls) {
  const DialogueOptions options;
  DialogueDriver driver(row.create, options);
  driver.Start(/*random=*/1);
  driver.Raise(kind, inside_tls);
}

TEST(PhasesDeathTest, TlsDoesNotBeginWithoutAGoAhead) {
  for (const ProtocolRow& row : AllProtocols()) {
    if (row.create == nullptr) continue;
    EXPECT_DEATH(StartAndRaise(row, EventKind::kUpgraded, false), "") << row.name;
  }
}

TEST(PhasesDeathTest, NoLegIsUpThatWasNotAskedFor) {
  for (const ProtocolRow& row : AllProtocols()) {
    // Behind implicit TLS these two are made when the leg is up.
    if (row.create == nullptr || row.speaks_inside) continue;
    EXPECT_DEATH(StartAndRaise(row, EventKind::kLegUp, false), "") << row.name;
    EXPECT_DEATH(StartAndRaise(row, EventKind::kLegUp, true), "") << row.name;
  }
}

}  // namespace
}  // namespace starling
