//! The tools from outside, one module per question.

mod changes;
mod differences;
mod layout;
mod reports;
mod scaffolds;
mod suites;
mod support;
