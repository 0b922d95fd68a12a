//! What the driver gives each program in its environment; the client's own words when something
//! fails.

use std::process::exit;

pub const HOST: &str = "localhost";
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The value of `CLIENT_name`, which must be there.
pub fn value(name: &str) -> Result<String> {
    std::env::var(format!("CLIENT_{name}")).map_err(|e| format!("CLIENT_{name}: {e}").into())
}

pub fn port() -> Result<u16> {
    Ok(value("PORT")?.parse()?)
}

/// The content of the file that `CLIENT_name` names.
pub fn file(name: &str) -> Result<Vec<u8>> {
    Ok(std::fs::read(value(name)?)?)
}

/// Ends the program; an error is printed for people and with all that its type tells.
pub fn end(result: Result<()>) -> ! {
    if let Err(error) = &result {
        println!("error: {error} ({error:?})");
    }
    exit(i32::from(result.is_err()))
}
