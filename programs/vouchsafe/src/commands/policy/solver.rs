//! The solver that policy commands use.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
use vouchsafe_cli::Failure;
use vouchsafe_policy_proofs::prove::ProveError;
use vouchsafe_policy_proofs::{SolverOptions, StartError};

const MEBIBYTE: u64 = 1024 * 1024;

#[derive(clap::Args)]
pub struct SolverArgs {
    /// The solver: cvc5 1.3.1 or newer; default: `cvc5` on PATH.
    #[arg(long, value_name = "PROGRAM", env = "CVC5")]
    solver: Option<PathBuf>,
    /// How long the solver may work on one question.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    time_limit: u64,
    /// Memory of each solver process.
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(64..=65536))]
    memory_limit: u64,
    /// Solver processes at a time; default: the number of processors.
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,
}

impl SolverArgs {
    pub fn options(&self) -> SolverOptions {
        SolverOptions {
            program: self.solver.clone().unwrap_or_else(|| PathBuf::from("cvc5")),
            query_time_max: Duration::from_secs(self.time_limit),
            memory_bytes_max: self.memory_limit.saturating_mul(MEBIBYTE),
        }
    }

    pub fn jobs(&self) -> NonZeroUsize {
        self.jobs.unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Why nothing can be proven.
    pub fn failed(&self, error: ProveError) -> Failure {
        match error {
            ProveError::Solver(error) => self.missing(&error),
            other => Failure::refused(other.to_string()),
        }
    }

    pub fn missing(&self, error: &StartError) -> Failure {
        Failure::usage(error.to_string())
            .hint("`scripts/solver` of the repository installs cvc5; name it with `--solver` or the variable CVC5")
    }
}
