// Checks the form of a single text of the configuration.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/config/options.h"
#include "gateway/io/socket_address.h"

namespace starling {

std::optional<Complaint> CheckName(const std::string& text);      // of a listener or backend
std::optional<Complaint> CheckHostname(const std::string& text);  // or an address literal
std::optional<Complaint> CheckAccount(const std::string& text);   // a user or group
std::optional<Complaint> CheckPath(const std::string& text);

// The message of an error says what the option expects.
absl::StatusOr<SocketAddress> ParseBind(const std::string& text);  // TCP, port not 0
// TCP or Unix, "host:port" or "srv:name": an address or a name, and all else as usual.
absl::StatusOr<ServerConfig> ParseServer(const std::string& text);
absl::StatusOr<SocketAddress> ParseDnsServer(const std::string& text);  // a port is optional
absl::StatusOr<Endpoint> ParseSource(const std::string& text);          // an address, no port
absl::StatusOr<Cidr> ParseRange(const std::string& text);               // of addresses

}  // namespace starling
