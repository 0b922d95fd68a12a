// What a single text of the configuration must look like.
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

// The messages of their errors say what was expected.
absl::StatusOr<SocketAddress> ParseBind(const std::string& text);    // TCP, port not 0
absl::StatusOr<SocketAddress> ParseServer(const std::string& text);  // TCP or Unix
absl::StatusOr<Cidr> ParseRange(const std::string& text);            // of addresses

}  // namespace starling
