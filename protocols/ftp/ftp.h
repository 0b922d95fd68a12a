// FTP (RFC 959, 2577, 4217): the dialogue before TLS, and its control connection inside
// TLS, after AUTH TLS or on the implicit port. Supports only `policy: require`: the gateway
// accepts no name, no password and no transfer in plaintext.
//
// Not for: the control connection's own rules (ftp_control.h).
#pragma once

#include "protocols/contract/data_channel.h"
#include "protocols/contract/negotiator.h"

namespace starling {

Negotiator* CreateFtp(void* storage, const DialogueOptions& options);
// `negotiator` must come from CreateFtp.
DataChannelUser* FtpDataChannels(Negotiator& negotiator);
void RefuseFtp(Refusal refusal, const DialogueOptions& options, Writer& out);

}  // namespace starling
