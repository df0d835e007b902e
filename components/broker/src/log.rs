//! The log.

use crate::ports;
use vouchsafe_exchange::log::Line;

pub fn log(line: Line<'_>) {
    for line in ports::log_lines(&line) {
        println!("{line}");
    }
}
