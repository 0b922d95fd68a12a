#include "protocols/frames/mangled.h"

#include <cstddef>

#include "protocols/frames/dialogue.h"

namespace starling {

namespace {

constexpr size_t kLeastCrosses = 4;
constexpr size_t kMostDamage = 2;

bool IsCrossedOut(std::string_view verb) {
  size_t crosses = 0;
  while (crosses < verb.size() && ToUpper(verb[crosses]) == 'X') ++crosses;
  if (crosses < kLeastCrosses) return false;
  std::string_view rest = verb.substr(crosses);
  return rest.empty() || (rest.size() == 1 && ToUpper(rest[0]) >= 'A' && ToUpper(rest[0]) <= 'Z');
}

}  // namespace

bool LooksMangled(std::string_view verb, std::string_view upgrade_verb) {
  if (IsCrossedOut(verb)) return true;
  if (verb.size() != upgrade_verb.size()) return false;
  size_t damage = 0;
  for (size_t i = 0; i < verb.size(); ++i) {
    if (ToUpper(verb[i]) != ToUpper(upgrade_verb[i])) ++damage;
  }
  return damage > 0 && damage <= kMostDamage;
}

}  // namespace starling
