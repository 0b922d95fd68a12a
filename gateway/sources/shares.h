// What each source has of the gateway, and whether it may have more: sessions at once, and
// connections, handshakes and failures over time. One object for the process, for all workers.
//
// Nothing here reads a clock, allocates, or knows an address: the caller says when, and hands in
// the cells of a source, which a session remembers. So a session gives back exactly what it took,
// whatever a reload has changed in the meantime.
//
// Not for: which limits a source has (rules.h), or what becomes of a client that has too much.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "gateway/config/source_options.h"
#include "gateway/io/clock.h"
#include "gateway/sources/cells.h"
#include "gateway/sources/keyed_hash.h"
#include "gateway/sources/source_key.h"

namespace starling {

// Token buckets. A cell holds the time at which its bucket is full again.
class TokenBuckets {
 public:
  using Nanos = std::chrono::nanoseconds;

  struct Rate {
    Nanos each{};  // until a token is back; 0: no limit
    uint64_t burst = 1;

    static Rate PerSecond(uint32_t tokens, uint32_t burst);
    static Rate PerMinute(uint32_t tokens);  // of which all may come at once
  };

  // What a source has spent stays spent for as long as the rate of that time said, whatever rate
  // a reload has brought since.
  // One token, if there is one. Two workers at the same moment may take the same token.
  bool Take(SourceCells cells, const Rate& rate, MonoTime now) {
    return Borrow(cells, rate, 0, now).has_value();
  }
  // One token, of which the source may owe up to `loan`. Whether it owes any now; nullopt: it has
  // got none.
  std::optional<bool> Borrow(SourceCells cells, const Rate& rate, uint64_t loan, MonoTime now);
  // One token, whether there is one or not. It never takes longer than twice the burst until
  // the bucket is full again.
  void Charge(SourceCells cells, const Rate& rate, MonoTime now);
  bool Empty(SourceCells cells, const Rate& rate, MonoTime now) const;

 private:
  // When the lower cell's bucket is full again. nullopt: that would be beyond `most`.
  std::optional<uint64_t> Spend(SourceCells cells, const Rate& rate, uint64_t now, uint64_t most);

  CellArray cells_;
};

// How many there are at once.
class Counts {
 public:
  // One more, if there are fewer than `most`; 0: any number.
  bool Take(SourceCells cells, uint32_t most);
  void Leave(SourceCells cells);
  uint64_t Get(SourceCells cells) const;
  uint64_t Sum() const;  // of all cells, of which each source has two

 private:
  CellArray cells_;
};

// What a source has too much of.
enum class OverShare : uint8_t { kNothing, kSessions, kConnections, kHandshakes, kFailures };

// Whether a source may begin another handshake.
enum class HandshakeShare : uint8_t {
  kWithin,
  kOver,  // when nobody else wants to
  kNone,
};

class SourceShares {
 public:
  // `key` is random and stays secret.
  explicit SourceShares(const HashKey& key) : key_(key) {}

  // Tells sources apart, whatever their scope.
  uint64_t HashOf(const SourceKey& source) const {
    return KeyedHash(key_, {source.high, source.low});
  }
  // Sources of different scopes never count together.
  SourceCells CellsOf(const SourceKey& source, uint32_t scope) const {
    return SourceCells::Of(KeyedHash(key_, {source.high, source.low, scope}));
  }
  // Its cells of the places at the servers of one backend.
  SourceCells CellsAtServers(const SourceKey& source, uint32_t backend) const {
    return SourceCells::Of(KeyedHash(key_, {source.high, source.low, backend, 0}));
  }

  // A connection comes. With kNothing it is one of the source's sessions until Leave().
  OverShare Enter(SourceCells cells, const SourceLimits& limits, MonoTime now);
  // The same of a session that is no connection of its own.
  bool EnterSession(SourceCells cells, const SourceLimits& limits) {
    return sessions_.Take(cells, limits.sessions);
  }
  void Leave(SourceCells cells) { sessions_.Leave(cells); }
  // With kNone the source is charged nothing. What it has over its share it pays back like all
  // else, so that its rate stays the same over time.
  HandshakeShare TakeHandshake(SourceCells cells, const SourceLimits& limits, MonoTime now);
  // A handshake or a dialogue has failed.
  void NoteFailure(SourceCells cells, const SourceLimits& limits, MonoTime now);
  // A source over its share is told so a few times a second. Beyond that an answer would cost
  // more than it is worth.
  bool TakeAnswer(SourceCells cells, MonoTime now);

  uint64_t Sessions(SourceCells cells) const { return sessions_.Get(cells); }

  // By CellsAtServers.
  void EnterServer(SourceCells cells) { at_servers_.Take(cells, 0); }
  void LeaveServer(SourceCells cells) { at_servers_.Leave(cells); }
  uint64_t AtServers(SourceCells cells) const { return at_servers_.Get(cells); }
  // Sessions of all sources; looks at every cell.
  uint64_t AllSessions() const { return sessions_.Sum() / 2; }

 private:
  const HashKey key_;
  Counts sessions_;
  Counts at_servers_;
  TokenBuckets connections_;
  TokenBuckets handshakes_;
  TokenBuckets failures_;
  TokenBuckets answers_;
};

}  // namespace starling
