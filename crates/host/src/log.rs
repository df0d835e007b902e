//! Log lines on standard error.
//!
//! The standard library's `eprintln!` panics when the reader has gone, which would end a task of the server.

use std::fmt::Arguments;
use std::io::Write as _;

/// Writes one line to standard error.
macro_rules! log {
    ($($text:tt)*) => { $crate::log::line(format_args!($($text)*)) };
}

/// Writes `text` as one line, in one piece, so that lines of several tasks don't mix.
pub fn line(text: Arguments<'_>) {
    drop(std::io::stderr().write_all(format!("{text}\n").as_bytes()));
}

pub(crate) use log;
