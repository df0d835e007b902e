//! A `cvc5` process, bounded in time and memory.

use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver, SolverError};
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env, SmtLibScript};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Runtime;

/// The first version whose answers Cedar's symbolic compiler understands.
const VERSION_MIN: [u32; 3] = [1, 3, 1];
/// How long a process may take to start and to tell its version.
const START_SECONDS_MAX: u64 = 20;
/// Bytes of one counterexample as the solver writes it.
const MODEL_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How to run a solver.
#[derive(Debug, Clone)]
pub struct SolverOptions {
    pub program: PathBuf,
    /// How long the solver may work on one query.
    pub query_time_max: Duration,
    /// Bytes of address space that the solver may use.
    pub memory_bytes_max: u64,
}

/// Why there is no usable solver.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("solver `{}` cannot be run: {error}", .program.display())]
    CannotRun { program: PathBuf, error: io::Error },
    #[error("`{}` does not answer like cvc5", .0.display())]
    NotCvc5(PathBuf),
    #[error("solver `{}` is cvc5 {found}, and 1.3.1 or newer is needed", .program.display())]
    TooOld { program: PathBuf, found: String },
}

/// What the solver says about a property.
#[derive(Debug)]
pub enum Answer {
    /// It holds for all requests.
    Holds,
    /// It does not hold for this one.
    Refuted(Box<Env>),
    /// There is no answer.
    Unknown(NoAnswer),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("the solver needed more than {0} s")]
    TimedOut(u64),
    #[error("the solver does not know")]
    Unknown,
    #[error("the solver failed: {0}")]
    Failed(String),
    #[error("the policies cannot be translated: {0}")]
    Unsupported(String),
    #[error("the solver's counterexample is decided otherwise by the broker: {0}")]
    Unconfirmed(String),
}

/// An answer, or why there is none.
pub type Known<T> = Result<T, NoAnswer>;

type Compiler = CedarSymCompiler<Process>;

/// Asks one solver process at a time. It is started when it is needed and ended when it takes too long.
pub struct Prover {
    options: SolverOptions,
    runtime: Runtime,
    compiler: Option<Compiler>,
    /// Such as `cvc5 1.4.2`.
    pub version: String,
}

impl Prover {
    /// Starts a solver.
    ///
    /// # Errors
    /// The program cannot be run, or is not a recent `cvc5`.
    pub fn start(options: &SolverOptions) -> Result<Self, StartError> {
        let cannot = |error| StartError::CannotRun { program: options.program.clone(), error };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let (compiler, version) = runtime.block_on(spawn(options))?;
        Ok(Self { options: options.clone(), runtime, compiler: Some(compiler), version: format!("cvc5 {version}") })
    }

    /// Asks one question. After no answer, the next question goes to a new process.
    pub fn ask(
        &mut self,
        question: impl AsyncFnOnce(&mut Compiler) -> Result<Option<Env>, cedar_policy_symcc::err::Error>,
    ) -> Answer {
        let (options, time_max) = (&self.options, self.options.query_time_max);
        let kept = self.compiler.take();
        let asked = self.runtime.block_on(async {
            let mut compiler = match kept {
                Some(compiler) => compiler,
                None => spawn(options).await.map_err(|error| NoAnswer::Failed(error.to_string()))?.0,
            };
            let answered = tokio::time::timeout(time_max, question(&mut compiler)).await;
            match answered {
                Ok(Ok(found)) => Ok((found, compiler)),
                Ok(Err(error)) => Err(no_answer(&error)),
                Err(_) => {
                    compiler.solver_mut().end().await;
                    Err(NoAnswer::TimedOut(time_max.as_secs()))
                }
            }
        });
        match asked {
            Ok((found, compiler)) => {
                self.compiler = Some(compiler);
                found.map_or(Answer::Holds, |env| Answer::Refuted(Box::new(env)))
            }
            Err(why) => Answer::Unknown(why),
        }
    }
}

impl Prover {
    /// Whether everything that `narrow` permits, `wide` permits too.
    pub(crate) fn implies(&mut self, narrow: &CompiledPolicySet, wide: &CompiledPolicySet) -> Answer {
        self.ask(async |compiler| compiler.check_implies_with_counterexample_opt(narrow, wide).await)
    }

    /// Whether `set` permits nothing.
    pub(crate) fn denies_all(&mut self, set: &CompiledPolicySet) -> Answer {
        self.ask(async |compiler| compiler.check_always_denies_with_counterexample_opt(set).await)
    }

    /// Whether `policy` never fails to evaluate.
    pub(crate) fn never_errs(&mut self, policy: &CompiledPolicy) -> Answer {
        self.ask(async |compiler| compiler.check_never_errors_with_counterexample_opt(policy).await)
    }

    /// Whether both permit the same.
    pub(crate) fn equal(&mut self, one: &CompiledPolicySet, other: &CompiledPolicySet) -> Result<bool, NoAnswer> {
        Ok(self.implies(one, other).holds()? && self.implies(other, one).holds()?)
    }
}

impl Answer {
    /// Whether the property holds, if that is known.
    pub fn holds(self) -> Result<bool, NoAnswer> {
        match self {
            Self::Holds => Ok(true),
            Self::Refuted(_) => Ok(false),
            Self::Unknown(why) => Err(why),
        }
    }
}

pub(crate) fn no_answer(error: &cedar_policy_symcc::err::Error) -> NoAnswer {
    use cedar_policy_symcc::err::Error;
    match error {
        Error::SolverUnknown => NoAnswer::Unknown,
        Error::SolverError(error) => NoAnswer::Failed(error.to_string()),
        Error::DecodeModel(_) | Error::ConcretizeError(_) | Error::ModelInvalid { .. } => {
            NoAnswer::Failed(error.to_string())
        }
        Error::PolicyNotWellTyped { errs } => {
            let errors: Vec<String> = errs.iter().map(ToString::to_string).collect();
            NoAnswer::Unsupported(errors.join(", "))
        }
        other => NoAnswer::Unsupported(other.to_string()),
    }
}

async fn spawn(options: &SolverOptions) -> Result<(Compiler, String), StartError> {
    let program = &options.program;
    let cannot = |error| StartError::CannotRun { program: program.clone(), error };
    let mut process = Process::spawn(options).map_err(cannot)?;
    let asked = tokio::time::timeout(Duration::from_secs(START_SECONDS_MAX), process.version()).await;
    let version = asked.ok().and_then(Result::ok).ok_or_else(|| StartError::NotCvc5(program.clone()))?;
    check_version(program, &version)?;
    let compiler = CedarSymCompiler::new(process).map_err(|_| StartError::NotCvc5(program.clone()))?;
    Ok((compiler, version))
}

fn check_version(program: &Path, version: &str) -> Result<(), StartError> {
    let parts: Option<Vec<u32>> = version.split(['.', '-']).take(3).map(|part| part.parse().ok()).collect();
    match parts {
        Some(parts) if parts.as_slice() >= VERSION_MIN.as_slice() => Ok(()),
        Some(_) => Err(StartError::TooOld { program: program.to_owned(), found: version.to_owned() }),
        None => Err(StartError::NotCvc5(program.to_owned())),
    }
}

/// The process, which ends when this is dropped.
pub struct Process {
    child: Child,
    input: BufWriter<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn spawn(options: &SolverOptions) -> io::Result<Self> {
        let mut child = Command::new(&options.program)
            .args(["--lang", "smt"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("no process");
        // Without a process id, `prlimit` would limit this process.
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).ok_or_else(missing)?;
        let memory = Some(options.memory_bytes_max);
        prlimit(Some(pid), Resource::As, Rlimit { current: memory, maximum: memory })?;
        let input = BufWriter::new(child.stdin.take().ok_or_else(missing)?);
        let output = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Self { child, input, output })
    }

    /// Ends the process, and waits until it has ended.
    async fn end(&mut self) {
        // It can only fail if the process has ended before.
        let _ = self.child.kill().await;
    }

    /// The version of cvc5.
    async fn version(&mut self) -> io::Result<String> {
        self.input.write_all(b"(get-info :name)\n(get-info :version)\n").await?;
        self.input.flush().await?;
        let (mut name, mut version) = (String::new(), String::new());
        (&mut self.output).take(MODEL_BYTES_MAX).read_line(&mut name).await?;
        (&mut self.output).take(MODEL_BYTES_MAX).read_line(&mut version).await?;
        let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
        match (quoted(&name).as_deref(), quoted(&version)) {
            (Some("cvc5"), Some(version)) => Ok(version),
            _ => Err(io::Error::other("not cvc5")),
        }
    }

    /// One line of output; an error if the process has ended.
    async fn line(&mut self) -> Result<String, SolverError> {
        let mut line = String::new();
        let length = (&mut self.output).take(MODEL_BYTES_MAX).read_line(&mut line).await?;
        if length == 0 {
            let status = self.child.try_wait().ok().flatten();
            let how = status.map_or_else(|| "it closed its output".to_owned(), |status| status.to_string());
            return Err(SolverError::Solver(format!("the process ended ({how}), perhaps for lack of memory")));
        }
        Ok(line)
    }
}

impl Solver for Process {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.input
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        Ok(self.smtlib_input().set_option("produce-models", "true").await?)
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        self.smtlib_input().check_sat().await?;
        self.input.flush().await?;
        match self.line().await?.trim() {
            "sat" => Ok(Decision::Sat),
            "unsat" => Ok(Decision::Unsat),
            "unknown" => Ok(Decision::Unknown),
            other => Err(SolverError::UnrecognizedSolverOutput(other.to_owned())),
        }
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        match self.check_sat().await? {
            Decision::Unsat => return Ok(DecisionWithModel::Unsat),
            Decision::Unknown => return Ok(DecisionWithModel::Unknown),
            Decision::Sat => {}
        }
        self.smtlib_input().get_model().await?;
        self.input.flush().await?;
        let mut model = self.line().await?;
        if model.trim() != "(" {
            return Err(SolverError::UnrecognizedSolverOutput(model));
        }
        loop {
            let line = self.line().await?;
            model.push_str(&line);
            if model.len() as u64 > MODEL_BYTES_MAX {
                return Err(SolverError::UnrecognizedSolverOutput("a model that is too large".to_owned()));
            }
            if line.trim_end() == ")" {
                return Ok(DecisionWithModel::Sat { model });
            }
        }
    }
}
