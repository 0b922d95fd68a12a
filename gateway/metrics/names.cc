#include "gateway/metrics/names.h"

#include <algorithm>

namespace starling {
namespace {

template <class Element, class Same>
std::optional<uint32_t> Find(std::vector<Element>& elements, size_t most, Element wanted,
                             Same same) {
  const auto found = std::ranges::find_if(elements, same);
  if (found != elements.end()) {
    const auto id = static_cast<uint32_t>(found - elements.begin());
    *found = std::move(wanted);
    return id;
  }
  if (elements.size() >= most) return std::nullopt;
  elements.push_back(std::move(wanted));
  return static_cast<uint32_t>(elements.size() - 1);
}

}  // namespace

std::optional<ListenerId> NameTable::IdOfListener(const std::string& name,
                                                  const std::string& protocol) {
  return Find(listeners_, kMaxListenerNames, Listener{name, protocol},
              [&](const Listener& listener) { return listener.name == name; });
}

std::optional<ServerSeries> NameTable::IdOfServer(const std::string& backend,
                                                  const std::string& server) {
  return Find(servers_, kMaxServerNames, Server{backend, server}, [&](const Server& known) {
    return known.backend == backend && known.server == server;
  });
}

}  // namespace starling
