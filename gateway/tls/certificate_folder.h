// Finds the certificates in a folder that an ACME client or Kubernetes fills. For tls/
// only.
//
// Not for: checking the certificates. The name alone makes a file a certificate, so a
// damaged one is an error later rather than silently skipped.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "gateway/limits.h"
#include "gateway/tls/credential_store.h"

namespace starling {

struct CertificateFolder {
  std::vector<CertificateSource> sources;  // pairs and bundles, sorted by path
  std::vector<std::string> errors;         // each begins with a path
  std::vector<std::string> notes;          // files that were skipped, and why
};

// Searches `folder` and its direct subfolders. Finding no certificate is an error, and so
// are more than `max_entries` names altogether.
CertificateFolder ScanCertificateFolder(const std::string& folder,
                                        size_t max_entries = kMaxFolderEntries);

}  // namespace starling
