#include "gateway/config/access.h"
#include "gateway/config/checks.h"
#include "gateway/config/rows.h"
#include "gateway/tls/tls_names.h"

namespace starling {
namespace {

using namespace access;

constexpr std::string_view kPresets[] = {"intermediate", "modern"};
constexpr std::string_view kStrictness[] = {"lenient", "strict"};
constexpr std::string_view kClientModes[] = {"none", "optional", "require"};

std::string None() { return "none"; }
std::string ByPreset() { return "the preset's"; }
std::string DefaultCiphers() { return "all of these, AES-128 first"; }
std::string DefaultGroups() { return "X25519MLKEM768, X25519, P-256, P-384"; }
std::string DefaultSignatures() { return "all of these"; }
std::string OwnTicketKeys() { return "none: the process makes its own keys"; }
std::string NobodyAsked() { return "none: the gateway asks for no certificate"; }
std::string NotLookedAt() { return "none: the gateway does not check revocation"; }
std::string OcspBeside() {
  return "the name of the certificate's file followed by .ocsp, if that file exists";
}

std::span<const std::string_view> SuiteNames() { return kTlsSuiteNames; }
std::span<const std::string_view> GroupNames() { return kTlsGroupNames; }
std::span<const std::string_view> SignatureNames() { return kTlsSignatureNames; }

constexpr Option kRows[] = {
    {.section = Section::kTls,
     .key = "certificates",
     .type = OptionType::kSectionList,
     .min = 1,
     .max = kMaxCertificateEntries,
     .child = Section::kCertificate,
     .doc = "Pairs of files, bundles, or folders of either. The gateway chooses a certificate by "
            "the name that the client asks for, then by the key types that the client supports. "
            "Clients that ask for no known name get the first certificate. The gateway notices by "
            "itself when a file changes."},
    {.section = Section::kTls,
     .key = "preset",
     .type = OptionType::kChoice,
     .choices = kPresets,
     .doc = "intermediate: TLS 1.2 and 1.3 as RFC 9325 recommends, always with forward secrecy. "
            "modern: TLS 1.3 only. No option can enable older versions.",
     .set = SetNumber<&TlsOptions::preset>,
     .get = GetNumber<&TlsOptions::preset>},
    {.section = Section::kTls,
     .key = "min_version",
     .type = OptionType::kChoice,
     .choices = kTlsVersionNames,
     .doc = "The oldest version of TLS that the gateway accepts.",
     .sample = "TLSv1.2",
     .default_text = ByPreset,
     .set = SetNumber<&TlsOptions::min_version>,
     .get = GetNumber<&TlsOptions::min_version>},
    {.section = Section::kTls,
     .key = "ciphers",
     .type = OptionType::kTextList,
     .late_choices = SuiteNames,
     .min = 1,
     .max = std::size(kTlsSuiteNames),
     .doc = "Cipher suites, best first. If the list names no suite of a TLS version, all suites of "
            "that version stay enabled. If ChaCha20 is listed, the gateway prefers it for clients "
            "that prefer it.",
     .sample = "[TLS_AES_128_GCM_SHA256, ECDHE-ECDSA-AES128-GCM-SHA256]",
     .off = true,
     .default_text = DefaultCiphers,
     .set = SetWords<&TlsOptions::ciphers>,
     .get = GetWords<&TlsOptions::ciphers>},
    {.section = Section::kTls,
     .key = "groups",
     .type = OptionType::kTextList,
     .late_choices = GroupNames,
     .min = 1,
     .max = std::size(kTlsGroupNames),
     .doc = "Groups for the key exchange, best first. X25519MLKEM768 protects today's connections "
            "against future quantum computers. If a client has sent a key share for another group "
            "in this list, the gateway uses that group and saves a round trip.",
     .sample = "[X25519MLKEM768, X25519]",
     .off = true,
     .default_text = DefaultGroups,
     .set = SetWords<&TlsOptions::groups>,
     .get = GetWords<&TlsOptions::groups>},
    {.section = Section::kTls,
     .key = "signature_algorithms",
     .type = OptionType::kTextList,
     .late_choices = SignatureNames,
     .min = 1,
     .max = std::size(kTlsSignatureNames),
     .doc = "The algorithms with which the gateway may sign handshakes, if they suit the "
            "certificate's key, and with which clients may sign for their certificates.",
     .sample = "[ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256]",
     .off = true,
     .default_text = DefaultSignatures,
     .set = SetWords<&TlsOptions::signature_algorithms>,
     .get = GetWords<&TlsOptions::signature_algorithms>},
    {.section = Section::kTls,
     .key = "sni",
     .type = OptionType::kChoice,
     .choices = kStrictness,
     .doc = "What the gateway does when a client asks for no name, or for a name that no "
            "certificate has. lenient: it uses the first certificate, as most mail servers do. "
            "strict: it refuses the client with the alert unrecognized_name.",
     .set = SetNumber<&TlsOptions::sni_strict>,
     .get = GetNumber<&TlsOptions::sni_strict>},
    {.section = Section::kTls,
     .key = "alpn",
     .type = OptionType::kChoice,
     .choices = kStrictness,
     .doc = "The gateway always refuses a client that asks by ALPN for another protocol than the "
            "listener's, which prevents ALPACA attacks. strict: it also refuses clients that send "
            "no ALPN, which includes most mail clients. SMTP and LMTP have no registered ALPN "
            "name, so strict does not apply to them.",
     .set = SetNumber<&TlsOptions::alpn_strict>,
     .get = GetNumber<&TlsOptions::alpn_strict>},
    {.section = Section::kTls,
     .key = "ticket_keys",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "File with session ticket keys, for gateways that share their clients: at least three "
            "lines, each the base64 of 48 or 80 octets (HAProxy's tls-ticket-keys). The gateway "
            "encrypts with the first key and decrypts with all. To rotate, move a key that all "
            "gateways already have to the top, keep the previous first key for a while, and add a "
            "new key for the next rotation.",
     .sample = "/etc/starling/ticket.keys",
     .off = true,
     .default_text = OwnTicketKeys,
     .set = SetText<&TlsOptions::ticket_keys, CheckPath>,
     .get = GetText<&TlsOptions::ticket_keys>},
    {.section = Section::kTls,
     .key = "client_certificate",
     .type = OptionType::kSection,
     .child = Section::kClientCertificate,
     .doc = "Certificates of clients. The gateway tells the backend (in the PROXY header) and the "
            "log whether a client's certificate was verified, and whose it is.",
     .off = true,
     .default_text = NobodyAsked},

    {.section = Section::kCertificate,
     .key = "cert",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "File with the certificate, followed by its chain, PEM.",
     .sample = "/etc/starling/ec.crt",
     .default_text = None,
     .set = SetText<&CertificateEntry::cert, CheckPath>,
     .get = GetText<&CertificateEntry::cert>},
    {.section = Section::kCertificate,
     .key = "key",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "File with the private key of that certificate, PEM. Only the gateway should be able "
            "to read it.",
     .sample = "/etc/starling/ec.key",
     .default_text = None,
     .set = SetText<&CertificateEntry::key, CheckPath>,
     .get = GetText<&CertificateEntry::key>},
    {.section = Section::kCertificate,
     .key = "ocsp",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "File with an OCSP response for the certificate, DER. The gateway staples it for "
            "clients that ask, as long as it is valid.",
     .sample = "/etc/starling/ec.crt.ocsp",
     .off = true,
     .default_text = OcspBeside,
     .set = SetText<&CertificateEntry::ocsp, CheckPath>,
     .get = GetText<&CertificateEntry::ocsp>},
    {.section = Section::kCertificate,
     .key = "pem",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "Instead of cert and key: one file with the key, the certificate and its chain, PEM.",
     .off = true,
     .default_text = None,
     .set = SetText<&CertificateEntry::pem, CheckPath>,
     .get = GetText<&CertificateEntry::pem>},
    {.section = Section::kCertificate,
     .key = "folder",
     .type = OptionType::kText,
     .unit = "the name of a folder",
     .doc = "Instead of cert and key: a folder with pairs and bundles, in the folder itself and in "
            "its direct subfolders. The gateway knows the names that certbot, acme.sh and "
            "Kubernetes use (tls.crt and tls.key, fullchain.pem and privkey.pem, NAME.crt and "
            "NAME.key, NAME.pem).",
     .off = true,
     .default_text = None,
     .set = SetText<&CertificateEntry::folder, CheckPath>,
     .get = GetText<&CertificateEntry::folder>},

    {.section = Section::kClientCertificate,
     .key = "mode",
     .type = OptionType::kChoice,
     .choices = kClientModes,
     .doc = "none: the gateway asks for no certificate. optional: it asks for one; a client "
            "without a certificate, or with one that fails verification, goes on, and the backend "
            "learns which. require: it ends the session unless the client's certificate verifies. "
            "A chain of more than 16 KiB never verifies. With optional and require, the TLS "
            "library ends the handshake in four cases: the certificates exceed 64 KiB, the key is "
            "of a type that the gateway did not ask for, the certificate's key usage forbids "
            "signatures, or the client does not have the key.",
     .sample = "optional",
     .set = SetNumber<&ClientCertificateOptions::mode>,
     .get = GetNumber<&ClientCertificateOptions::mode>},
    {.section = Section::kClientCertificate,
     .key = "ca",
     .type = OptionType::kText,
     .unit = "the name of a file or folder",
     .doc = "The authorities whose client certificates the gateway accepts, PEM.",
     .sample = "/etc/starling/clients.pem",
     .default_text = None,
     .set = SetText<&ClientCertificateOptions::ca, CheckPath>,
     .get = GetText<&ClientCertificateOptions::ca>},
    {.section = Section::kClientCertificate,
     .key = "crl",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "The authorities' lists of revoked certificates, PEM. The gateway needs the list of "
            "the authority that issued the client's certificate, and uses those of higher "
            "authorities if the file has them. An outdated list makes verification fail.",
     .sample = "/etc/starling/clients.crl",
     .default_text = NotLookedAt,
     .set = SetText<&ClientCertificateOptions::crl, CheckPath>,
     .get = GetText<&ClientCertificateOptions::crl>},
    {.section = Section::kClientCertificate,
     .key = "depth",
     .type = OptionType::kNumber,
     .unit = "certificates between the client's and the authority's",
     .min = 0,
     .max = 8,
     .doc = "The longest chain that the gateway accepts.",
     .set = SetNumber<&ClientCertificateOptions::depth>,
     .get = GetNumber<&ClientCertificateOptions::depth>},
};

}  // namespace

std::span<const Option> TlsRows() { return kRows; }

}  // namespace starling
