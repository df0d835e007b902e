//! Log lines on standard error.
//!
//! The standard library's `eprintln!` panics if the reader is gone, which would end a task of the server.

use std::fmt::Arguments;
use std::io::Write as _;

/// Writes one line to standard error.
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => { $crate::log::line(format_args!($($text)*)) };
}

/// Writes `text` and a line break in one piece, so that lines of several tasks don't mix.
pub fn line(text: Arguments<'_>) {
    // If standard error is closed, there is nowhere to report that.
    drop(std::io::stderr().write_all(format!("{text}\n").as_bytes()));
}
