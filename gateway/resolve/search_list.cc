#include "gateway/resolve/search_list.h"

#include <algorithm>

namespace starling {

std::vector<std::string> SearchList(const std::string& name,
                                    const std::vector<std::string>& domains, int ndots) {
  if (name.ends_with('.')) return {name};
  std::vector<std::string> names;
  const bool whole_first = std::ranges::count(name, '.') >= ndots;
  if (whole_first) names.push_back(name);
  for (const std::string& domain : domains) {
    std::string& added = names.emplace_back(name);
    if (domain != ".") added.append(".").append(domain);
  }
  if (!whole_first) names.push_back(name);
  return names;
}

}  // namespace starling
