#include "gateway/session/stage.h"

#include <array>
#include <cassert>

namespace starling {
namespace {

constexpr unsigned Bit(LinkId link) { return 1u << static_cast<unsigned>(link); }

constexpr unsigned kNone = Bit(LinkId::kNone);
constexpr unsigned kUp = Bit(LinkId::kUp);
constexpr unsigned kClosing = Bit(LinkId::kClosing);
constexpr unsigned kOpens = Bit(LinkId::kConnecting) | Bit(LinkId::kBackoff) |
                            Bit(LinkId::kTlsHandshake) | Bit(LinkId::kGreeting) | kClosing;

struct Row {
  std::string_view name;
  SessionPhase phase;
  unsigned links;       // beside the stage of a session that was accepted
  unsigned data_links;  // beside that of a data channel
};

constexpr unsigned kConnects = Bit(LinkId::kConnecting);

// By StageId.
constexpr std::array<Row, kStages> kRows = {{
    {"free", SessionPhase::kNegotiate, kNone, kNone},
    {"proxy_header", SessionPhase::kNegotiate, kNone, 0},
    {"data_wait", SessionPhase::kNegotiate, 0, kNone},
    {"talking", SessionPhase::kNegotiate, kNone | kOpens | kUp, 0},
    {"upgrading", SessionPhase::kNegotiate, kNone | kClosing, 0},
    {"handshaking", SessionPhase::kHandshake, kNone, kConnects | kUp},
    {"opening", SessionPhase::kUpstream, kOpens, kConnects},
    {"greeting", SessionPhase::kUpstream, kUp, 0},
    {"inside", SessionPhase::kRelay, kUp, 0},
    {"relaying", SessionPhase::kRelay, kUp, kUp},
    {"last_words", SessionPhase::kDrain, kNone | kClosing, kNone | kClosing | kUp},
    {"lingering", SessionPhase::kDrain, kNone | kClosing, kNone | kClosing | kUp},
    {"closing", SessionPhase::kDrain, kNone | kClosing, kNone | kClosing | kUp},
}};

constexpr std::array<std::string_view, kLinks> kLinkNames = {
    "none", "connecting", "backoff", "tls_handshake", "greeting", "up", "closing"};

const Row& RowOf(StageId stage) { return kRows[static_cast<size_t>(stage)]; }

}  // namespace

std::string_view NameOf(StageId stage) { return RowOf(stage).name; }
std::string_view NameOf(LinkId link) { return kLinkNames[static_cast<size_t>(link)]; }

bool IsAllowed(StageId stage, LinkId link, bool data_channel) {
  const Row& row = RowOf(stage);
  return ((data_channel ? row.data_links : row.links) & Bit(link)) != 0;
}

void CheckPair([[maybe_unused]] StageId stage, [[maybe_unused]] LinkId link,
               [[maybe_unused]] bool data_channel) {
  assert(IsAllowed(stage, link, data_channel) && "this link may not stand beside this stage");
}

SessionPhase PhaseOf(StageId stage) { return RowOf(stage).phase; }

}  // namespace starling
