//! What a bundle permits, decided for all requests and not only for tested ones.
//!
//! Cedar's symbolic compiler translates policies into logic, and an SMT solver decides whether a request exists that
//! breaks a property. [`assumptions`] are what the broker guarantees about every request beyond the schema. Each
//! counterexample is decided by [`vouchsafe_policy::Bundle::decide`] before it is reported.
//!
//! Native only: it runs a solver process, and sends it nothing but the policies. Entry points: [`prove::prove`],
//! [`compare::compare`], [`lints::lints`], [`access::who_can`], [`access::can`] and [`grants::possible`].
//!
//! INVARIANT: what the solver does not decide is reported as such, never as proven.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

pub mod access;
pub mod assumptions;
pub mod compare;
mod context;
pub mod counterexample;
mod erring;
mod granted;
pub mod grants;
pub mod lints;
mod literals;
mod minimize;
pub mod prove;
mod same;
mod scene;
pub mod solver;
pub mod unintended;
mod workers;

pub use counterexample::Counterexample;
pub use scene::Scene;
pub use solver::{Answer, NoAnswer, Prover, SolverOptions, StartError};
