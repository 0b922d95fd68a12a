//! Sends a mail by lettre, logged in.

use given::{end, file, port, value, Result, HOST};
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

fn main() {
    end(work());
}

fn work() -> Result<()> {
    let parameters = TlsParameters::builder(HOST.into())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(Certificate::from_pem(&file("CA")?)?)
        .build()?;
    let tls = match value("TLS")?.as_str() {
        "offered" => Tls::Opportunistic(parameters),
        "upgrade" => Tls::Required(parameters),
        "implicit" => Tls::Wrapper(parameters),
        _ => Tls::None,
    };
    let mailer = SmtpTransport::builder_dangerous(HOST)
        .port(port()?)
        .tls(tls)
        .credentials(Credentials::new(value("USER")?, value("PASSWORD")?))
        .build();
    let mail = file("MAIL")?;
    let envelope = Envelope::new(Some(value("FROM")?.parse()?), vec![value("TO")?.parse()?])?;
    // Twice: the second mail goes over the connection that the first has left in the pool.
    for _ in 0..2 {
        let response = mailer.send_raw(&envelope, &mail)?;
        let words: Vec<&str> = response.message().collect();
        println!("sent a mail of {} octets: {}", mail.len(), words.join(" "));
    }
    Ok(())
}
