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
std::string DefaultCiphers() { return "all of them, AES-128 first"; }
std::string DefaultGroups() { return "X25519MLKEM768, X25519, P-256, P-384"; }
std::string DefaultSignatures() { return "all of them"; }
std::string OwnTicketKeys() { return "none: keys of the process's own"; }
std::string NobodyAsked() { return "none: nobody is asked for one"; }
std::string NotLookedAt() { return "none: revocation is not looked at"; }
std::string OcspBeside() { return "the certificate's name with .ocsp behind it, if that exists"; }

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
     .doc = "Pairs of files, bundles, or folders of them. Which one a client gets is chosen by the "
            "name it asks for, then by what it can verify; the first one is for those that ask for "
            "no known name. Changed files are noticed by themselves."},
    {.section = Section::kTls,
     .key = "preset",
     .type = OptionType::kChoice,
     .choices = kPresets,
     .doc = "intermediate: TLS 1.2 and 1.3 as RFC 9325 wants them, forward secrecy always. modern: "
            "TLS 1.3 only. Nothing here can switch on what is older.",
     .set = SetNumber<&TlsOptions::preset>,
     .get = GetNumber<&TlsOptions::preset>},
    {.section = Section::kTls,
     .key = "min_version",
     .type = OptionType::kChoice,
     .choices = kTlsVersionNames,
     .doc = "The oldest version that is spoken.",
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
     .doc = "Cipher suites, best first. Of a version that none is named of, all are kept. Clients "
            "that put ChaCha20 first get it first, if it is listed.",
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
     .doc = "Groups of the key exchange, best first. X25519MLKEM768 protects today's connections "
            "against the quantum computers of tomorrow; a client that sent a share for another one "
            "gets that, without another round trip.",
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
     .doc = "What handshakes are signed with, as far as the certificate's key allows, and what "
            "client certificates may sign with.",
     .sample = "[ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256]",
     .off = true,
     .default_text = DefaultSignatures,
     .set = SetWords<&TlsOptions::signature_algorithms>,
     .get = GetWords<&TlsOptions::signature_algorithms>},
    {.section = Section::kTls,
     .key = "sni",
     .type = OptionType::kChoice,
     .choices = kStrictness,
     .doc = "strict: who asks for no name, or for one that no certificate is for, is refused with "
            "unrecognized_name. lenient: gets the first certificate, as most mail servers do.",
     .set = SetNumber<&TlsOptions::sni_strict>,
     .get = GetNumber<&TlsOptions::sni_strict>},
    {.section = Section::kTls,
     .key = "alpn",
     .type = OptionType::kChoice,
     .choices = kStrictness,
     .doc = "A client that asks for another protocol than the listener's is refused (ALPACA). "
            "strict: one that asks for none is refused too, which most mail clients do not "
            "survive; SMTP and LMTP have no registered name that they could ask for, and are "
            "not strict about it.",
     .set = SetNumber<&TlsOptions::alpn_strict>,
     .get = GetNumber<&TlsOptions::alpn_strict>},
    {.section = Section::kTls,
     .key = "ticket_keys",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc =
         "File with the keys of session tickets, for gateways that share their clients: at "
         "least three lines, each base64 of 48 or of 80 octets (HAProxy's tls-ticket-keys). The "
         "first one encrypts, all decrypt. To rotate, put one first that all gateways have "
         "already, keep the one that was first for a while, and add a new one for the next time.",
     .sample = "/etc/starling/ticket.keys",
     .off = true,
     .default_text = OwnTicketKeys,
     .set = SetText<&TlsOptions::ticket_keys, CheckPath>,
     .get = GetText<&TlsOptions::ticket_keys>},
    {.section = Section::kTls,
     .key = "client_certificate",
     .type = OptionType::kSection,
     .child = Section::kClientCertificate,
     .doc = "Certificates of clients: who verified as what goes to the backend in the PROXY header "
            "and to the log.",
     .off = true,
     .default_text = NobodyAsked},

    {.section = Section::kCertificate,
     .key = "cert",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "File with the certificate and the chain behind it, PEM.",
     .sample = "/etc/starling/ec.crt",
     .default_text = None,
     .set = SetText<&CertificateEntry::cert, CheckPath>,
     .get = GetText<&CertificateEntry::cert>},
    {.section = Section::kCertificate,
     .key = "key",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "File with its private key, PEM. Nobody but the gateway should be able to read it.",
     .sample = "/etc/starling/ec.key",
     .default_text = None,
     .set = SetText<&CertificateEntry::key, CheckPath>,
     .get = GetText<&CertificateEntry::key>},
    {.section = Section::kCertificate,
     .key = "ocsp",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "File with an OCSP response for it, DER, sent to clients that ask as long as it is "
            "valid.",
     .sample = "/etc/starling/ec.crt.ocsp",
     .off = true,
     .default_text = OcspBeside,
     .set = SetText<&CertificateEntry::ocsp, CheckPath>,
     .get = GetText<&CertificateEntry::ocsp>},
    {.section = Section::kCertificate,
     .key = "pem",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "Instead of cert and key: one file with key, certificate and chain, PEM.",
     .off = true,
     .default_text = None,
     .set = SetText<&CertificateEntry::pem, CheckPath>,
     .get = GetText<&CertificateEntry::pem>},
    {.section = Section::kCertificate,
     .key = "folder",
     .type = OptionType::kText,
     .unit = "the name of a folder",
     .doc = "Instead of cert and key: a folder of pairs and bundles, in itself and one level of "
            "folders below it, as certbot, acme.sh and Kubernetes fill them (tls.crt and tls.key, "
            "fullchain.pem and privkey.pem, NAME.crt and NAME.key, NAME.pem).",
     .off = true,
     .default_text = None,
     .set = SetText<&CertificateEntry::folder, CheckPath>,
     .get = GetText<&CertificateEntry::folder>},

    {.section = Section::kClientCertificate,
     .key = "mode",
     .type = OptionType::kChoice,
     .choices = kClientModes,
     .doc = "none: not asked for. optional: asked for; a session goes on without one, or with one "
            "that could not be verified, and the backend is told which. require: only with one "
            "that verifies. A chain of more than 16 KiB is not verified. In both modes TLS itself "
            "ends the handshake of a client whose certificates have more than 64 KiB, whose key "
            "is of a kind that was not asked for, whose key usage forbids signatures, or that "
            "does not have the key.",
     .sample = "optional",
     .set = SetNumber<&ClientCertificateOptions::mode>,
     .get = GetNumber<&ClientCertificateOptions::mode>},
    {.section = Section::kClientCertificate,
     .key = "ca",
     .type = OptionType::kText,
     .unit = "the name of a file or folder",
     .doc = "The authorities whose certificates are accepted, PEM.",
     .sample = "/etc/starling/clients.pem",
     .default_text = None,
     .set = SetText<&ClientCertificateOptions::ca, CheckPath>,
     .get = GetText<&ClientCertificateOptions::ca>},
    {.section = Section::kClientCertificate,
     .key = "crl",
     .type = OptionType::kText,
     .unit = "the name of a file",
     .doc = "Their lists of revoked certificates, PEM: that of the authority that issued the "
            "client's, and those of authorities above it if there are any. One that is out of date "
            "makes verification fail.",
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
     .doc = "How long a chain may be.",
     .set = SetNumber<&ClientCertificateOptions::depth>,
     .get = GetNumber<&ClientCertificateOptions::depth>},
};

}  // namespace

std::span<const Option> TlsRows() { return kRows; }

}  // namespace starling
