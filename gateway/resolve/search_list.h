// Which names to ask a DNS server for, by the rules of resolv.conf(5). Pure.
#pragma once

#include <string>
#include <vector>

namespace starling {

// In the order in which they are to be asked for. A name that ends with a dot is asked for as it
// is. One with at least `ndots` dots is asked for as it is first, and any other one last.
std::vector<std::string> SearchList(const std::string& name,
                                    const std::vector<std::string>& domains, int ndots);

}  // namespace starling
