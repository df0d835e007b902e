//! Questions about independent scenes, answered by several solver processes at once.

use crate::solver::{Prover, SolverOptions, StartError};
use std::num::NonZeroUsize;
use std::sync::Mutex;

/// Translating a policy recurses into its expressions.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Answers every question, in the order of the questions, with up to `workers` solver processes.
///
/// # Errors
/// A solver cannot be started.
pub(crate) fn answer<Q: Send, A: Send>(
    solver: &SolverOptions,
    workers: NonZeroUsize,
    questions: Vec<Q>,
    answer: impl Fn(&mut Prover, Q) -> A + Sync,
) -> Result<(Vec<A>, String), StartError> {
    // Fails early, with one error, and knows the version even if there is no question.
    let first = Prover::start(solver)?;
    let version = first.version.clone();
    let workers = workers.get().min(questions.len()).max(1);
    let queue = Mutex::new(questions.into_iter().enumerate());
    let answers = Mutex::new(Vec::new());
    let work = |prover: &mut Prover| {
        while let Some((at, question)) = next(&queue) {
            let answered = answer(prover, question);
            answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, answered));
        }
    };
    let spare = Mutex::new(Some(first));
    std::thread::scope(|scope| -> Result<(), StartError> {
        let run = || -> Result<(), StartError> {
            let kept = spare.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            let mut prover = match kept {
                Some(prover) => prover,
                None => Prover::start(solver)?,
            };
            work(&mut prover);
            Ok(())
        };
        let start = |_| std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run);
        let threads = (0..workers).map(start).collect::<Result<Vec<_>, _>>();
        let threads = threads.map_err(|error| StartError::CannotRun { program: solver.program.clone(), error })?;
        for thread in threads {
            match thread.join() {
                Ok(ended) => ended?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })?;
    let mut answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    answers.sort_by_key(|(at, _)| *at);
    Ok((answers.into_iter().map(|(_, answer)| answer).collect(), version))
}

fn next<I: Iterator>(queue: &Mutex<I>) -> Option<I::Item> {
    queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next()
}
