//! Opens a URL in the person's browser.

use std::process::{Command, Stdio};

/// The command that opens URLs.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Best effort: the URL is printed too.
///
/// `url` begins with `http`, so no opener takes it for an option or a file.
pub fn open(url: &str) {
    let mut command = Command::new(OPENER);
    let command = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        // It may run for as long as the browser; the thread only collects its status.
        std::thread::spawn(move || child.wait());
    }
}
