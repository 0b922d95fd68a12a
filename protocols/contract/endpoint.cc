#include "protocols/contract/endpoint.h"

#include <arpa/inet.h>

namespace starling {

std::string IpToString(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = "-";
  if (endpoint.family == Endpoint::Family::kV4) {
    inet_ntop(AF_INET, endpoint.ip.data(), text, sizeof(text));
  } else if (endpoint.family == Endpoint::Family::kV6) {
    inet_ntop(AF_INET6, endpoint.ip.data(), text, sizeof(text));
  }
  return text;
}

std::string ToString(const Endpoint& endpoint) {
  switch (endpoint.family) {
    case Endpoint::Family::kNone:
      return "-";
    case Endpoint::Family::kV4:
      return IpToString(endpoint) + ":" + std::to_string(endpoint.port);
    case Endpoint::Family::kV6:
      return "[" + IpToString(endpoint) + "]:" + std::to_string(endpoint.port);
  }
  return "-";
}

}  // namespace starling
