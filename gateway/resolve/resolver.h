// Keeps names of servers looked up, in a thread of its own: each when its records have expired. It
// tells what has changed.
//
// Not for: which of the addresses are used (gateway/server_names.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/io/clock.h"
#include "gateway/resolve/answer.h"
#include "gateway/resolve/lookup.h"
#include "gateway/resolve/name_record.h"

namespace starling {

struct ResolverOptions {
  RefreshTimes times;
  LookupOptions lookup;
};

class Resolver {
 public:
  // What has come of a name since the last time. Several look-ups are one piece of news.
  struct News {
    NameQuery query;
    std::vector<FoundAddress> addresses;  // those that hold now
    size_t left_out = 0;
    LookupCounts counts{};     // look-ups since the last time
    bool trouble = false;      // the latest look-up brought no addresses
    LookupResult result = {};  // of the latest look-up
    std::string error;         // why it failed
    WallMicros good_at = 0;    // the last good answer
  };

  Resolver();
  ~Resolver();  // stops the thread, and ends look-ups that run
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // From now on these names are looked up, and no others. What is known of names that stay is kept
  // and told again. Throws std::system_error if there is no thread to be had for the first name;
  // then call it again.
  void Use(const ResolverOptions& options, const std::vector<NameQuery>& names);

  // Readable when there is news. -1: no descriptor was left; ask for news now and then.
  int fd() const;
  std::vector<News> Take();
  // Waits until each name has been looked up once, or until then.
  void AwaitAll(MonoTime until);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace starling
