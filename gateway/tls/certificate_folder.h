// Finds the certificates of a folder that an ACME client or Kubernetes fills.
// For tls/ only.
//
// Not for: whether they are any good. A file that has the name of a certificate is
// one, so that a damaged one is an error and not passed over.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "gateway/tls/credential_store.h"

namespace starling {

inline constexpr size_t kMaxFolderEntries = 20'000;

struct CertificateFolder {
  std::vector<CertificateSource> sources;  // pairs and bundles, sorted by path
  std::vector<std::string> errors;         // each begins with a path
  std::vector<std::string> notes;          // of files that were passed over
};

// Looks at `folder` and its subfolders of one level. None found is an error, and so
// are more than `max_entries` names in all.
CertificateFolder ScanCertificateFolder(const std::string& folder,
                                        size_t max_entries = kMaxFolderEntries);

}  // namespace starling
