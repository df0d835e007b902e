//! The gateway's side of the worker: starts it, bounds what waits for it, kills it when it hangs.
//!
//! Operations at once are bounded by the sessions, those that wait by the queue; the deadline is that of
//! an operation, not of its waiting. A PIN that was refused is not tried again (`pin.rs`).

mod afresh;
mod conversation;
mod login;

use crate::config::Module;
use crate::metrics::Metrics;
use crate::pin::Logins;
use crate::worker::protocol::{self, Bytes, Call, Fault, Open, ROOT_CHECK, Reply};
use conversation::{Asked, converse, read_response};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Longest that a worker may take to load its module and log in.
const OPEN_MAX: Duration = Duration::from_secs(20);
/// Pauses between starts of a worker, growing from one to the other.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest that a request waits for a session.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// The same for the gateway itself.
const OWN_WAIT_MAX: Duration = Duration::from_secs(30);
/// Most killed workers that have not ended, as they do when they hang in the kernel.
const ENDING_MAX: u64 = 8;
/// Longest that making one key may take: an RSA key of 3072 bits takes seconds in a slow HSM.
pub const CREATE_MAX: Duration = Duration::from_secs(120);
/// Failures of the module in a row after which its worker is started anew.
const FAILURES_MAX: u64 = 3;

/// Why the HSM gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HsmError {
    Fault(Fault),
    /// It hangs, or its worker is starting.
    NotRunning,
    /// The queue is full, or did not move.
    Overloaded,
}

impl std::fmt::Display for HsmError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::NotRunning => f.write_str("the module does not answer"),
            Self::Overloaded => f.write_str("too much waits for the module"),
        }
    }
}

/// A worker that has opened its token.
struct Worker {
    process: Option<Child>,
    /// How many killed processes have not ended yet.
    ending: Arc<AtomicU64>,
    calls: mpsc::UnboundedSender<Asked>,
    /// Counts workers, so that a late verdict on one does not hit the next.
    number: u64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // It may have ended by itself.
        drop(process.kill());
        // Not waited for here: one that hangs in the kernel ends when that lets it, and nobody else is to
        // hang with it.
        self.ending.fetch_add(1, Relaxed);
        let ending = Arc::clone(&self.ending);
        let wait = move || {
            drop(process.wait());
            ending.fetch_sub(1, Relaxed);
        };
        // Without a thread its entry stays in the process table, and in the count.
        drop(std::thread::Builder::new().spawn(wait));
    }
}

/// The HSM, as the gateway uses it.
pub struct Hsm {
    module: Module,
    metrics: Arc<Metrics>,
    running: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    worker: Mutex<Option<Worker>>,
    /// Told when a worker is to be replaced.
    lost: Notify,
    /// Whether an operator is told of each worker.
    announces: bool,
    failures: AtomicU64,
    numbers: AtomicU64,
    ending: Arc<AtomicU64>,
    logins: Logins,
    /// What [`ROOT_CHECK`] gave at the start.
    root: OnceLock<Bytes>,
    other_root: AtomicBool,
}

impl Hsm {
    /// Starts a worker, which opens the token.
    pub async fn start(
        module: Module,
        state_dir: &Path,
        metrics: Arc<Metrics>,
        announces: bool,
    ) -> Result<Arc<Self>, HsmError> {
        let hsm = Arc::new(Self {
            running: Arc::new(Semaphore::new(module.sessions)),
            queue: Arc::new(Semaphore::new(module.sessions.saturating_add(module.queue))),
            module,
            metrics,
            worker: Mutex::new(None),
            lost: Notify::new(),
            announces,
            failures: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            ending: Arc::default(),
            logins: Logins::new(state_dir),
            root: OnceLock::new(),
            other_root: AtomicBool::new(false),
        });
        hsm.start_worker().await?;
        tokio::spawn(Arc::clone(&hsm).keep_running());
        Ok(hsm)
    }

    /// Remembers the token's root: from here on nothing is done on a token that has another.
    pub async fn remember_root(self: &Arc<Self>) -> Result<(), HsmError> {
        let message = ROOT_CHECK.to_vec().into();
        match self.call_own(Call::Derive { message }).await? {
            Reply::Bytes(root) => {
                self.root.get_or_init(|| root);
                Ok(())
            }
            Reply::Done | Reply::Inventory(_) | Reply::States(_) => Err(HsmError::NotRunning),
        }
    }

    fn root_for(&self, call: &Call) -> Option<Bytes> {
        self.root.get().filter(|_| call.is_of_the_root()).cloned()
    }

    /// Whether a worker has its token open.
    pub fn is_up(&self) -> bool {
        self.worker().is_some()
    }

    /// Whether another token was in its place when it was last asked.
    pub fn is_another(&self) -> bool {
        self.other_root.load(Relaxed)
    }

    /// Requests of callers that the module works on or that wait for it.
    pub fn waiting(&self) -> usize {
        let places = self.module.sessions.saturating_add(self.module.queue);
        places.saturating_sub(self.queue.available_permits())
    }

    /// Whether no worker can start until somebody has looked at the PIN.
    pub fn pin_is_refused(&self) -> bool {
        self.logins.refused().is_some()
    }

    /// Asks the worker for a caller, who may be told that there is too much to do.
    pub async fn call(self: &Arc<Self>, call: Call) -> Result<Reply, HsmError> {
        let place = Arc::clone(&self.queue).try_acquire_owned();
        let place = place.map_err(|_| HsmError::Overloaded)?;
        self.call_within(WAIT_MAX, self.module.deadline, call, Some(place))
            .await
    }

    /// Asks for what may take its time: making a key.
    pub async fn call_slow(self: &Arc<Self>, call: Call) -> Result<Reply, HsmError> {
        self.call_within(OWN_WAIT_MAX, CREATE_MAX, call, None).await
    }

    /// Asks the worker for the gateway itself: in turn like everybody, and with no place in the queue to be
    /// refused, so that callers of tier `hsm` can't keep the next epoch's keys from being derived. Who had no
    /// turn for `OWN_WAIT_MAX` is told, and asks again.
    pub async fn call_own(self: &Arc<Self>, call: Call) -> Result<Reply, HsmError> {
        self.call_within(OWN_WAIT_MAX, self.module.deadline, call, None)
            .await
    }

    async fn call_within(
        self: &Arc<Self>,
        wait_max: Duration,
        deadline: Duration,
        call: Call,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Reply, HsmError> {
        let session = timeout(wait_max, Arc::clone(&self.running).acquire_owned())
            .await
            .map_err(|_| HsmError::Overloaded)?
            .map_err(|_| HsmError::NotRunning)?;
        // INVARIANT: a session is taken for as long as the module works, also where its caller has gone.
        // Else those who ask and leave would fill the worker, until it seems to hang.
        let hsm = Arc::clone(self);
        let asked = tokio::spawn(async move {
            let answer = hsm.ask(call, deadline).await;
            drop((session, place));
            answer
        });
        asked.await.unwrap_or(Err(HsmError::NotRunning))
    }

    /// One operation of the worker's.
    async fn ask(&self, call: Call, deadline: Duration) -> Result<Reply, HsmError> {
        let (sender, answer) = oneshot::channel();
        let looks_at_root = self.root_for(&call).is_some();
        let number = {
            let worker = self.worker();
            let worker = worker.as_ref().ok_or(HsmError::NotRunning)?;
            worker
                .calls
                .send(Asked {
                    root: self.root_for(&call),
                    call,
                    answer: sender,
                })
                .map_err(|_| HsmError::NotRunning)?;
            worker.number
        };
        self.metrics.hsm_operations.fetch_add(1, Relaxed);
        match timeout(deadline, answer).await {
            Ok(Ok(outcome)) => {
                match &outcome {
                    Err(Fault::OtherRoot) => self.other_root.store(true, Relaxed),
                    Ok(_) if looks_at_root => self.other_root.store(false, Relaxed),
                    Ok(_) | Err(_) => {}
                }
                self.judge(number, &outcome);
                outcome.map_err(HsmError::Fault)
            }
            // The worker is gone.
            Ok(Err(_)) => Err(HsmError::NotRunning),
            Err(_) => {
                self.give_up(number, "it hangs");
                Err(HsmError::NotRunning)
            }
        }
    }

    fn judge(&self, number: u64, outcome: &Result<Reply, Fault>) {
        match outcome {
            Err(Fault::LoginFailed(_)) if !self.is_current(number) => {}
            Err(fault @ (Fault::LoginFailed(_) | Fault::PinRefused(_))) => {
                // ORDER: noted before another worker starts.
                let fault = self.logins.failed(number, fault);
                self.give_up(number, &fault.to_string());
            }
            // The right one may be in another slot by now, which a new worker finds.
            Err(Fault::Module(_) | Fault::OtherRoot) => {
                let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
                if failures >= FAILURES_MAX {
                    self.give_up(number, "its module fails");
                }
            }
            // INVARIANT: what one key or token can't have ends no other's worker, and ends no row either.
            Err(Fault::NotPossible(_)) => {}
            Ok(_) | Err(_) => self.failures.store(0, Relaxed),
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.worker().as_ref().is_some_and(|it| it.number == number)
    }

    /// Kills the worker `number`, if it is still the one.
    fn give_up(&self, number: u64, why: &str) {
        let mut worker = self.worker();
        if worker.as_ref().is_some_and(|it| it.number == number) {
            eprintln!("hsm-gateway: worker {number} is killed: {why}");
            *worker = None;
            self.lost.notify_one();
        }
    }

    /// Starts a worker whenever there is none.
    async fn keep_running(self: Arc<Self>) {
        loop {
            self.lost.notified().await;
            let mut pause = RESTART_PAUSE_MIN;
            while !self.is_up() {
                tokio::time::sleep(pause).await;
                if let Err(error) = self.start_worker().await {
                    eprintln!("hsm-gateway: no worker: {error}");
                    match error {
                        HsmError::Fault(Fault::PinRefused(_)) => return,
                        HsmError::Fault(Fault::LoginFailed(_)) => pause = RESTART_PAUSE_MAX,
                        _ => {}
                    }
                }
                pause = pause.saturating_mul(2).min(RESTART_PAUSE_MAX);
            }
        }
    }

    async fn start_worker(self: &Arc<Self>) -> Result<(), HsmError> {
        self.may_log_in()?;
        let failed = |error: std::io::Error| HsmError::Fault(Fault::Module(error.to_string()));
        let (process, mut socket) = self.spawn().map_err(failed)?;
        let number = self.numbers.fetch_add(1, Relaxed).saturating_add(1);
        let (calls, receiver) = mpsc::unbounded_channel();
        let process_id = process.id();
        let worker = Worker {
            process: Some(process),
            ending: Arc::clone(&self.ending),
            calls,
            number,
        };
        // From here on the process is killed when `worker` is dropped.
        let opened = timeout(OPEN_MAX, self.open(&mut socket)).await;
        match opened.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                let fault = self.logins.failed(number, &fault);
                return Err(HsmError::Fault(fault));
            }
            Err(error) => return Err(failed(error)),
        }
        self.logins.succeeded();
        if self.announces {
            eprintln!("hsm-gateway: worker {number} is process {process_id}");
        }
        self.metrics.worker_starts.fetch_add(1, Relaxed);
        self.failures.store(0, Relaxed);
        *self.worker() = Some(worker);
        let hsm = Arc::clone(self);
        tokio::spawn(async move {
            converse(socket, receiver).await;
            hsm.give_up(number, "it ended");
        });
        Ok(())
    }

    fn spawn(&self) -> std::io::Result<(Child, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(own_program()?);
        command
            .arg0("hsm-gateway")
            .arg("worker")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // What a terminal sends to all of a group is for the gateway.
            .process_group(0);
        // It gets the PIN by its socket, and the module what it needs to log in alone.
        if let Some(name) = &self.module.pin_variable {
            command.env_remove(name);
        }
        let process = command.spawn()?;
        Ok((process, UnixStream::from_std(ours)?))
    }

    async fn open(&self, socket: &mut UnixStream) -> std::io::Result<Result<Reply, Fault>> {
        let open = Open {
            module: self.module.path.display().to_string(),
            token: self.module.token.clone(),
            pin: self.module.pin.as_bytes().to_vec().into(),
            sessions: self.module.sessions,
        };
        socket.write_all(&protocol::frame(&open)?).await?;
        Ok(read_response(socket).await?.outcome)
    }

    fn worker(&self) -> std::sync::MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program that runs, also after its file was replaced: a worker of another version may speak another
/// protocol, and the name of a file that was deleted is no program.
fn own_program() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_path_buf());
    }
    std::env::current_exe()
}
