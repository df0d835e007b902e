//! Standard output and error, whose readers may leave before the end, as `head` does.
//!
//! The standard library's macros panic then: between two keys of `init`, or in the task that derives the
//! next epoch's keys. The macros here have their names, so that nothing in this program uses the others.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

macro_rules! print {
    ($($text:tt)*) => { $crate::print::out(format_args!($($text)*)) };
}

macro_rules! println {
    ($($text:tt)*) => { $crate::print::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::print::err(format_args!("{}\n", format_args!($($text)*))) };
}

/// Why standard output lacks something.
static LOST: OnceLock<Error> = OnceLock::new();

pub fn out(text: Arguments<'_>) {
    if let Err(error) = std::io::stdout().write_fmt(text) {
        // The first one is told.
        drop(LOST.set(error));
    }
}

pub fn err(text: Arguments<'_>) {
    // In one piece, so that lines don't mix. There is nobody left to tell.
    drop(std::io::stderr().write_all(text.to_string().as_bytes()));
}

/// The exit code of a command that came to `code`: output that could not be written is a failure, and a
/// reader that has seen enough is none.
pub fn finish(code: ExitCode) -> ExitCode {
    if let Err(error) = std::io::stdout().flush() {
        drop(LOST.set(error));
    }
    match LOST.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: standard output: {error}");
            match code == ExitCode::SUCCESS {
                true => ExitCode::FAILURE,
                false => code,
            }
        }
        _ => code,
    }
}
