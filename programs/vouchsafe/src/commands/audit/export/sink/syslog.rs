//! Syslog (RFC 5424) over TLS (RFC 5425).
//!
//! Syslog has no acknowledgements. Each batch has a connection of its own, which this side closes first. The receiver
//! closes its side when it has read everything (RFC 5425 §4.4); if it goes away before, the connection is reset. So how the
//! connection ends says whether the batch arrived.

use super::super::format::Format;
use crate::client::{moment, tls};
use crate::commands::audit::record::Record;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vouchsafe_cli::Failure;

/// Longest time to connect, and without progress.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Facility `log audit` (13), with severities 6 (informational) and 4 (warning): facility * 8 + severity.
const ISSUED: u8 = 110;
const REFUSED: u8 = 108;
/// Longest `MSGID` (RFC 5424 §6).
const MESSAGE_ID_MAX: usize = 32;

pub struct Receiver {
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    /// The `HOSTNAME` of messages.
    here: String,
}

impl Receiver {
    /// The receiver at `HOST:PORT`.
    pub fn new(authority: &str, ca: Option<&Path>) -> Result<Self, Failure> {
        let invalid = || Failure::usage(format!("`{authority}` is not HOST:PORT"));
        let (host, port) = authority.rsplit_once(':').ok_or_else(invalid)?;
        let (host, port) = (host.trim_matches(['[', ']']).to_owned(), port.parse().map_err(|_| invalid())?);
        let name = ServerName::try_from(host.clone()).map_err(|_| invalid())?;
        let node = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Self { host, port, name, config: tls::client_config(ca)?, here: token(&node, 255) })
    }

    pub fn send(&self, records: &[&Record], format: Format) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for record in records {
            let message = self.message(record, format);
            bytes.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
        }
        self.deliver(&bytes).map_err(|error| {
            Failure::unreachable(format!("{}:{} did not take the records: {error}", self.host, self.port))
        })
    }

    fn message(&self, record: &Record, format: Format) -> String {
        let priority = if record.text("outcome") == "issued" { ISSUED } else { REFUSED };
        let at = moment::show_ms(record.number("decided_at_ms"));
        let id = token(record.text("slug"), MESSAGE_ID_MAX);
        format!("<{priority}>1 {at} {} vouchsafe - {id} - {}", self.here, format.line(&record.columns))
    }

    fn deliver(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        let address = addresses.next().ok_or_else(|| std::io::Error::from(ErrorKind::AddrNotAvailable))?;
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let mut stream = StreamOwned::new(connection.map_err(std::io::Error::other)?, stream);
        stream.write_all(bytes)?;
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.sock.shutdown(std::net::Shutdown::Write)?;
        let mut rest = [0; 256];
        loop {
            match stream.read(&mut rest) {
                Ok(0) => return Ok(()),
                // Nothing is expected; the answer to the close is.
                Ok(_) => {}
                // It closed the connection without an alert, after it had read everything.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Visible ASCII for a field of the header, or its nil value.
fn token(text: &str, max: usize) -> String {
    let text: String = text.chars().filter(char::is_ascii_graphic).take(max).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn message_has_the_fields_of_rfc_5424() {
        let receiver =
            Receiver { here: "here".to_owned(), ..Receiver::new("siem.internal:6514", None).expect("valid") };
        for (outcome, slug, expected) in [
            ("issued", "issued", "<110>1 2027-01-15T08:00:00.007Z here vouchsafe - issued - {"),
            ("refused", "", "<108>1 2027-01-15T08:00:00.007Z here vouchsafe - - - {"),
            ("refused", "policy.denied", "<108>1 2027-01-15T08:00:00.007Z here vouchsafe - policy.denied - {"),
        ] {
            let columns = json!({ "outcome": outcome, "slug": slug, "decided_at_ms": 1_800_000_000_007_u64 });
            let record = Record { seq: 1, columns: columns.as_object().cloned().expect("an object") };
            let message = receiver.message(&record, Format::Jsonl);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn refuses_addresses_without_port() {
        for text in ["", "siem.internal", "siem.internal:", "siem.internal:x", ":6514", "siem.internal:65536"] {
            assert!(Receiver::new(text, None).is_err(), "{text}");
        }
        assert!(Receiver::new("[::1]:6514", None).is_ok());
    }
}
