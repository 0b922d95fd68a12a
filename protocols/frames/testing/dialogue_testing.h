// A table of dialogues: what the client sends after the greeting, and the complete result,
// however the octets are cut.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "protocols/frames/testing/dialogue_driver.h"

namespace starling {

struct DialogueCase {
  std::string name;
  std::vector<std::string> writes;  // the client's; the dialogue sees each before the next
  std::string said = {};            // after the greeting
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;
  std::string left = {};  // not consumed: what the session finds after the upgrade
  std::vector<Signal> signals = {};
  std::vector<Attack> attacks = {};
  bool accept_bare_lf = false;
};

inline void RunCase(const DialogueCase& c, DialogueDriver::Create create, DialogueOptions options,
                    size_t piece) {
  SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
  options.accept_bare_lf = c.accept_bare_lf;
  DialogueDriver driver(create, options);
  driver.Event(EventKind::kStart);
  driver.TakeToClient();
  for (const std::string& write : c.writes) driver.Client(write, piece);
  EXPECT_EQ(driver.TakeToClient(), c.said);
  EXPECT_EQ(driver.verdict(), c.verdict);
  EXPECT_EQ(Label(driver.reason()), Label(c.reason));
  if (c.verdict != Verdict::kClose) {
    EXPECT_EQ(driver.client_left(), c.left);
  }
  Step expected;
  for (Signal s : c.signals) expected.Note(s);
  for (Attack a : c.attacks) expected.Note(a);
  EXPECT_EQ(driver.signals(), expected.signals);
  EXPECT_EQ(driver.attacks(), expected.attacks);
}

inline void RunCases(const std::vector<DialogueCase>& cases, DialogueDriver::Create create,
                     const DialogueOptions& options) {
  for (const DialogueCase& c : cases) {
    for (size_t piece : {std::string::npos, size_t{1}, size_t{2}, size_t{7}}) {
      RunCase(c, create, options, piece);
    }
  }
}

// The preamble after the upgrade, in the frame.
struct PreambleCase {
  std::string name;
  std::string backend;  // its first octets on the fresh leg
  Verdict verdict = Verdict::kContinue;
  EndReason reason = EndReason::kNone;
  std::string said = {};  // to the client
  std::string left = {};  // of the backend's octets, with kRelay
  std::vector<Attack> attacks = {};
};

inline void RunPreambles(const std::vector<PreambleCase>& cases, const std::string& upgrade,
                         DialogueDriver::Create create, const DialogueOptions& options) {
  for (const PreambleCase& c : cases) {
    for (size_t piece : {std::string::npos, size_t{1}, size_t{5}}) {
      SCOPED_TRACE(c.name + ", in pieces of " + std::to_string(piece));
      DialogueDriver driver(create, options);
      driver.Event(EventKind::kStart);
      driver.Client(upgrade);
      ASSERT_EQ(driver.verdict(), Verdict::kUpgrade);
      driver.TakeToClient();
      driver.UpgradeAndConnect();
      driver.Client("octets inside TLS");
      EXPECT_EQ(driver.verdict(), Verdict::kHold);
      driver.Backend(c.backend, piece);
      EXPECT_EQ(driver.verdict(), c.verdict);
      EXPECT_EQ(Label(driver.reason()), Label(c.reason));
      EXPECT_EQ(driver.TakeToClient(), c.said);
      EXPECT_EQ(driver.client_left(), "octets inside TLS");
      if (c.verdict == Verdict::kRelay) {
        EXPECT_EQ(driver.backend_left(), c.left);
      }
      Step expected;
      for (Attack a : c.attacks) expected.Note(a);
      EXPECT_EQ(driver.attacks(), expected.attacks);
    }
  }
}

// Events that end a session, before and after the upgrade, with the words for the client.
struct EventCase {
  EventKind kind;
  EndReason reason;
  std::string said;
};

inline void RunEvents(const std::vector<EventCase>& cases, const std::string& upgrade,
                      DialogueDriver::Create create, const DialogueOptions& options) {
  for (const EventCase& c : cases) {
    for (bool inside_tls : {false, true}) {
      SCOPED_TRACE(std::string(Label(c.reason)) + (inside_tls ? " inside TLS" : " before TLS"));
      DialogueDriver driver(create, options);
      driver.Event(EventKind::kStart);
      if (inside_tls) {
        driver.Client(upgrade);
        driver.UpgradeAndConnect();
      }
      driver.TakeToClient();
      driver.Event(c.kind, inside_tls);
      EXPECT_EQ(driver.verdict(), Verdict::kClose);
      EXPECT_EQ(Label(driver.reason()), Label(c.reason));
      EXPECT_EQ(driver.TakeToClient(), c.said);
    }
  }
}

}  // namespace starling
