//! What all programs of this workspace have in common at the command line.
//!
//! Output that survives a closed pipe ([`mod@print`]), failures with exit codes and hints ([`Failure`]), bounded reads and
//! atomic writes of small files ([`files`]), the clock ([`clock`]), and the async runtime ([`run`]). It knows no
//! command and no protocol.
//!
//! Programs import the macros for all their modules:
//!
//! ```
//! #[macro_use]
//! extern crate vouchsafe_cli;
//!
//! fn main() -> std::process::ExitCode {
//!     println!("written, even if the reader is gone");
//!     vouchsafe_cli::print::finish(std::process::ExitCode::SUCCESS)
//! }
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

// ORDER: first, so that the modules below use its macros.
#[macro_use]
pub mod print;

pub mod clock;
mod failure;
pub mod files;
mod format;
mod help;
mod parse;
mod position;
mod runtime;

pub use failure::Failure;
pub use format::Format;
pub use help::undocumented;
pub use parse::parse;
pub use position::Position;
pub use runtime::run;
