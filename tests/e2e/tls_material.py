"""Makes certificates of every kind at run time: a root and an intermediate authority, leaves, client
certificates, revocation lists, OCSP responses, ticket keys, and folders as certbot and Kubernetes
fill and renew them."""

import base64
import datetime
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
_KEYS = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}


def now():
    return datetime.datetime.utcnow()


def write(path, content, mode=0o644):
    """Writes text or octets to a file of that mode; its path."""
    data = content.encode() if isinstance(content, str) else content
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as f:
        f.write(data)
    return path


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Certificate:
    """A certificate with its key, PEM: `cert`, `key`, and `chain` behind it."""

    def __init__(self, certificate, key, chain=""):
        self.x509 = certificate
        self.private = key
        self.cert = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode()
        self.chain = chain

    @property
    def der(self):
        return self.x509.public_bytes(serialization.Encoding.DER)

    @property
    def not_after(self):
        """Unix time."""
        when = getattr(self.x509, "not_valid_after_utc", None) or \
            self.x509.not_valid_after.replace(tzinfo=datetime.timezone.utc)
        return int(when.timestamp())

    @property
    def fullchain(self):
        return self.cert + self.chain

    def save(self, folder, name):
        """{"cert": file, "key": file} for a configuration."""
        return {"cert": write(os.path.join(folder, name + ".crt"), self.fullchain),
                "key": write(os.path.join(folder, name + ".key"), self.key, 0o600)}


class Authority(Certificate):
    """A root, or what another authority signed."""

    def __init__(self, common_name="Test root", issuer=None):
        key = _KEYS["ec"]()
        name = _name(common_name)
        certificate = (
            x509.CertificateBuilder().subject_name(name)
            .issuer_name(issuer.x509.subject if issuer else name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - DAY).not_valid_after(now() + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False,
                                         False), True)
            .sign(issuer.private if issuer else key, hashes.SHA256()))
        super().__init__(certificate, key)

    def issue(self, names=("mail.example.org",), key="ec", client=None, days=(-1, 90),
              must_staple=False, extensions=()):
        """A leaf: for servers with `names`, or for a client called `client`. `extensions`:
        more of them, each with whether it is critical."""
        private = _KEYS[key]()
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            x509.CertificateBuilder().subject_name(_name(client or names[0]))
            .issuer_name(self.x509.subject).public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() + days[0] * DAY).not_valid_after(now() + days[1] * DAY)
            .add_extension(x509.ExtendedKeyUsage([purpose]), False))
        if not client:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        if must_staple:
            builder = builder.add_extension(
                x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
        chain = "" if self.x509.issuer == self.x509.subject else self.cert
        return Certificate(builder.sign(self.private, hashes.SHA256()), private, chain)

    def crl(self, *revoked, days=(-1, 30)):
        """A revocation list, PEM."""
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.x509.subject)
            .last_update(now() + days[0] * DAY).next_update(now() + days[1] * DAY))
        for certificate in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.x509.serial_number).revocation_date(now()).build())
        return builder.sign(self.private, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM).decode()

    def ocsp(self, certificate, days=(-1, 7), status=ocsp.OCSPCertStatus.GOOD):
        """A response, DER."""
        revoked = status == ocsp.OCSPCertStatus.REVOKED
        return (
            ocsp.OCSPResponseBuilder().add_response(
                cert=certificate.x509, issuer=self.x509, algorithm=hashes.SHA1(),
                cert_status=status, this_update=now() + days[0] * DAY,
                next_update=now() + days[1] * DAY,
                revocation_time=now() if revoked else None, revocation_reason=None)
            .responder_id(ocsp.OCSPResponderEncoding.NAME, self.x509)
            .sign(self.private, hashes.SHA256()).public_bytes(serialization.Encoding.DER))


def padding(size):
    """An extension of so many octets that says nothing."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\0" * size)


def key_usage(signs):
    """For a key that may sign, or for one that may only encipher."""
    return x509.KeyUsage(signs, False, not signs, False, False, False, False, False, False)


def ticket_keys(count=3, size=80):
    """Text of a file of ticket keys."""
    return "".join(base64.b64encode(os.urandom(size)).decode() + "\n" for _ in range(count))


def _swap(target, link):
    os.symlink(target, link + ".new")
    os.rename(link + ".new", link)


def certbot(folder, name, certificate, number=1):
    """Fills or renews live/NAME as certbot does: new files in archive/, then links."""
    archive, live = os.path.join(folder, "archive", name), os.path.join(folder, "live", name)
    os.makedirs(archive, exist_ok=True)
    os.makedirs(live, exist_ok=True)
    files = {"cert": certificate.cert, "chain": certificate.chain or certificate.cert,
             "fullchain": certificate.fullchain, "privkey": certificate.key}
    for part, text in files.items():
        file = "{}{}.pem".format(part, number)
        write(os.path.join(archive, file), text, 0o600)
        _swap("../../archive/{}/{}".format(name, file), os.path.join(live, part + ".pem"))
    return os.path.join(folder, "live")


def secret(folder, files, number=1):
    """Fills or changes a mounted Secret, {name: text}: a new folder, and one link that is
    swapped."""
    version = os.path.join(folder, "..version_{}".format(number))
    os.makedirs(version)
    for name, text in files.items():
        write(os.path.join(version, name), text, 0o600)
    _swap(os.path.basename(version), os.path.join(folder, "..data"))
    for name in files:
        if not os.path.islink(os.path.join(folder, name)):
            os.symlink("..data/" + name, os.path.join(folder, name))
    return folder


def kubernetes(folder, certificate, number=1):
    """A mounted Secret of type kubernetes.io/tls."""
    return secret(folder, {"tls.crt": certificate.fullchain, "tls.key": certificate.key}, number)
