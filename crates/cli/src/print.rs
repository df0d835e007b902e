//! Standard output and error whose readers may leave early, as `head` does.
//!
//! The standard library's macros panic in that case, even halfway through a command that changes keys or in a task of a
//! server. The macros here have the same names, so a program that imports them can't call the others by accident.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints to standard output; never panics.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::print::write_stdout(format_args!($($text)*)) };
}

/// Prints a line to standard output; never panics.
#[macro_export]
macro_rules! println {
    () => { $crate::print::write_stdout(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::write_stdout(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints to standard error; never panics.
#[macro_export]
macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::write_stderr(format_args!($($text)*)) };
}

/// Prints a line to standard error; never panics.
#[macro_export]
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::print::write_stderr(format_args!("{}\n", format_args!($($text)*))) };
}

/// The first error of standard output.
static STDOUT_ERROR: OnceLock<Error> = OnceLock::new();

/// Writes to standard output and keeps the first error for [`finish`].
pub fn write_stdout(text: Arguments<'_>) {
    if let Err(error) = std::io::stdout().write_fmt(text) {
        drop(STDOUT_ERROR.set(error));
    }
}

/// Whether standard error stays empty.
static IS_MUTE: AtomicBool = AtomicBool::new(false);

/// Keeps standard error empty from now on, for callers that take both streams for one.
pub fn mute_stderr() {
    IS_MUTE.store(true, Ordering::Relaxed);
}

/// Writes to standard error in one piece, so that concurrent lines don't mix; errors are dropped.
pub fn write_stderr(text: Arguments<'_>) {
    if IS_MUTE.load(Ordering::Relaxed) {
        return;
    }
    drop(std::io::stderr().write_all(text.to_string().as_bytes()));
}

/// Whether a write to standard output has failed.
pub fn stdout_failed() -> bool {
    STDOUT_ERROR.get().is_some()
}

/// Whether output to standard output should have colors.
pub fn use_color() -> bool {
    std::io::stdout().is_terminal()
}

/// Flushes standard output and returns the exit code of a command that ended with `code`.
///
/// Output that could not be written is a failure, unless its reader closed the pipe.
pub fn finish(code: ExitCode) -> ExitCode {
    if let Err(error) = std::io::stdout().flush() {
        drop(STDOUT_ERROR.set(error));
    }
    match STDOUT_ERROR.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: standard output: {error}");
            if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
        }
        _ => code,
    }
}
