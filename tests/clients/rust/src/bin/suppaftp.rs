//! Sends a folder of files to an FTP server and fetches it again by suppaftp.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use given::{end, file, port, value, Result, HOST};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use suppaftp::types::FileType;
use suppaftp::{RustlsConnector, RustlsFtpStream};

fn main() {
    end(work());
}

fn work() -> Result<()> {
    let mut client = connect()?;
    client.login(value("USER")?, value("PASSWORD")?)?;
    client.transfer_type(FileType::Binary)?;
    let (name, folder) = (value("NAME")?, value("FOLDER")?);
    let home = client.pwd()?;
    upload(&mut client, Path::new(&folder), &name)?;
    client.cwd(&home)?;
    let out = Path::new(&value("OUT")?).to_path_buf();
    download(&mut client, &name, &out, 0)?;
    client.cwd(&home)?;
    client.rename(&name, &format!("{name} renamed"))?;
    client.quit()?;
    println!("files went up and came down");
    Ok(())
}

fn connect() -> Result<RustlsFtpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&file("CA")?)?)?;
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    let connector = RustlsConnector::from(Arc::new(config));
    let address = (HOST, port()?);
    Ok(match value("TLS")?.as_str() {
        "upgrade" => RustlsFtpStream::connect(address)?.into_secure(connector, HOST)?,
        "implicit" => {
            #[allow(deprecated)]
            let mut client = RustlsFtpStream::connect_secure_implicit(address, connector, HOST)?;
            client.custom_command("PBSZ 0", &[suppaftp::Status::CommandOk])?;
            client.custom_command("PROT P", &[suppaftp::Status::CommandOk])?;
            client
        }
        _ => RustlsFtpStream::connect(address)?,
    })
}

/// Makes the folder `name` in the current one, enters it and leaves it there.
fn upload(client: &mut RustlsFtpStream, folder: &Path, name: &str) -> Result<()> {
    client.mkdir(name)?;
    client.cwd(name)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = text(path.file_name())?;
        if path.is_dir() {
            upload(client, &path, &name)?;
            client.cdup()?;
        } else {
            client.put_file(&name, &mut fs::File::open(&path)?)?;
        }
    }
    Ok(())
}

/// Fetches the folder `name` of the current one, enters it and stays there.
fn download(client: &mut RustlsFtpStream, name: &str, out: &Path, depth: usize) -> Result<()> {
    client.cwd(name)?;
    fs::create_dir_all(out)?;
    for name in client.nlst(None)? {
        if name == "." || name == ".." {
            continue; // pure-ftpd lists them
        }
        if client.size(&name).is_ok() {
            fs::write(out.join(&name), client.retr_as_buffer(&name)?.into_inner())?;
        } else {
            download(client, &name, &out.join(&name), depth + 1)?;
            client.cdup()?;
        }
    }
    println!(
        "folder {depth} has a path of {} octets",
        client.pwd()?.len()
    );
    Ok(())
}

fn text(name: Option<&std::ffi::OsStr>) -> Result<String> {
    Ok(name
        .and_then(|n| n.to_str())
        .ok_or("a name that is no UTF-8")?
        .into())
}
