//! The gateway's side of the worker: starts it, queues calls for it, kills it when it hangs.
//!
//! The number of sessions bounds concurrent calls, and the queue bounds waiting ones. The deadline applies to a call,
//! not to its waiting. A refused PIN is not tried again (`login_record.rs`).

mod conversation;
mod fresh_worker;
mod login;
mod worker_process;

use crate::config::Module;
use crate::metrics::Metrics;
use crate::pkcs11::error::HsmError;
use crate::pkcs11::login_record::LoginRecord;
use crate::pkcs11::protocol::{self, Bytes, Call, Open, Pkcs11Error, ROOT_CHECK, Reply};
use conversation::{PendingCall, converse, read_response};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use vouchsafe_signer::SEED_BYTES;
use worker_process::Worker;
use zeroize::Zeroizing;

/// Longest time for a worker to load its module and log in.
const OPEN_MAX: Duration = Duration::from_secs(20);
/// Pauses between starts of a worker, doubled up to the maximum.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest wait of a caller's request for a session.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Longest wait of the gateway's own calls for a session.
const INTERNAL_WAIT_MAX: Duration = Duration::from_secs(30);
/// Most killed workers that have not exited yet because they hang in the kernel.
const EXITING_MAX: u64 = 8;
/// Longest time to generate one key: RSA with 3072 bits takes seconds in a slow HSM.
pub const CREATE_MAX: Duration = Duration::from_secs(120);
/// Consecutive failures of the module after which its worker is replaced.
const FAILURES_MAX: u64 = 3;

/// The HSM as the gateway uses it: one worker at a time, replaced when it fails.
pub struct Hsm {
    module: Module,
    metrics: Arc<Metrics>,
    sessions: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    worker: Mutex<Option<Worker>>,
    /// Notified when a worker must be replaced.
    worker_lost: Notify,
    /// Whether each start of a worker is reported on standard error.
    announce: bool,
    failures: AtomicU64,
    workers_started: AtomicU64,
    exiting: Arc<AtomicU64>,
    logins: LoginRecord,
    /// What the root derived from [`ROOT_CHECK`] at start-up.
    root: OnceLock<Bytes>,
    wrong_root: AtomicBool,
}

impl Hsm {
    /// Starts the first worker, which opens the token.
    pub async fn start(
        module: Module,
        state_dir: &Path,
        metrics: Arc<Metrics>,
        announce: bool,
    ) -> Result<Arc<Self>, HsmError> {
        let hsm = Arc::new(Self {
            sessions: Arc::new(Semaphore::new(module.sessions)),
            queue: Arc::new(Semaphore::new(module.sessions.saturating_add(module.queue))),
            module,
            metrics,
            worker: Mutex::new(None),
            worker_lost: Notify::new(),
            announce,
            failures: AtomicU64::new(0),
            workers_started: AtomicU64::new(0),
            exiting: Arc::default(),
            logins: LoginRecord::new(state_dir),
            root: OnceLock::new(),
            wrong_root: AtomicBool::new(false),
        });
        hsm.start_worker().await?;
        tokio::spawn(Arc::clone(&hsm).keep_worker_running());
        Ok(hsm)
    }

    /// Pins the token's root: from now on nothing is done on a token with another root.
    pub async fn pin_root(self: &Arc<Self>) -> Result<(), HsmError> {
        let message = ROOT_CHECK.to_vec().into();
        match self.call_internal(Call::Derive { message }).await? {
            Reply::Bytes(root) => {
                self.root.get_or_init(|| root);
                Ok(())
            }
            Reply::Done | Reply::Inventory(_) | Reply::States(_) => Err(HsmError::NotRunning),
        }
    }

    /// Derives a seed or secret from the root.
    pub async fn derive(self: &Arc<Self>, message: Bytes) -> Result<Zeroizing<[u8; SEED_BYTES]>, HsmError> {
        let Reply::Bytes(derived) = self.call_internal(Call::Derive { message }).await? else {
            return Err(HsmError::unexpected_reply());
        };
        let derived: &[u8; SEED_BYTES] =
            derived.0.as_slice().try_into().map_err(|_| HsmError::module("derived secret is not 32 bytes long"))?;
        Ok(Zeroizing::new(*derived))
    }

    fn root_for(&self, call: &Call) -> Option<Bytes> {
        self.root.get().filter(|_| call.depends_on_root()).cloned()
    }

    /// Whether a worker with an open token is running.
    pub fn is_up(&self) -> bool {
        self.worker().is_some()
    }

    /// Whether the last check found another token in place of this gateway's.
    pub fn has_wrong_root(&self) -> bool {
        self.wrong_root.load(Relaxed)
    }

    /// Number of callers' requests in progress or waiting.
    pub fn waiting(&self) -> usize {
        let places = self.module.sessions.saturating_add(self.module.queue);
        places.saturating_sub(self.queue.available_permits())
    }

    /// Whether no worker starts until someone corrects the PIN.
    pub fn pin_is_refused(&self) -> bool {
        self.logins.refusal().is_some()
    }

    /// Calls the worker on behalf of a caller; fails at once if the queue is full.
    pub async fn call(self: &Arc<Self>, call: Call) -> Result<Reply, HsmError> {
        let place = Arc::clone(&self.queue).try_acquire_owned();
        let place = place.map_err(|_| HsmError::Overloaded)?;
        self.call_within(WAIT_MAX, self.module.deadline, call, Some(place)).await
    }

    /// Calls the worker for an operation that may take minutes: generating a key.
    pub async fn call_slow(self: &Arc<Self>, call: Call) -> Result<Reply, HsmError> {
        self.call_within(INTERNAL_WAIT_MAX, CREATE_MAX, call, None).await
    }

    /// Calls the worker on behalf of the gateway itself. It waits its turn but needs no place in the queue, so that
    /// callers of tier `hsm` can't keep the next epoch's keys from being derived.
    pub async fn call_internal(self: &Arc<Self>, call: Call) -> Result<Reply, HsmError> {
        self.call_within(INTERNAL_WAIT_MAX, self.module.deadline, call, None).await
    }

    async fn call_within(
        self: &Arc<Self>,
        wait_max: Duration,
        deadline: Duration,
        call: Call,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Reply, HsmError> {
        let (operation, start) = (operation_of(&call), Instant::now());
        let session = timeout(wait_max, Arc::clone(&self.sessions).acquire_owned())
            .await
            .map_err(|_| HsmError::Overloaded)?
            .map_err(|_| HsmError::NotRunning)?;
        // INVARIANT: a session stays taken while the module works, even if its caller is gone. Otherwise callers that
        // disconnect would fill the worker until it seems to hang.
        let hsm = Arc::clone(self);
        let asked = tokio::spawn(async move {
            let answer = hsm.ask(call, deadline).await;
            hsm.metrics.hsm_durations.add(operation, start.elapsed());
            drop((session, place));
            answer
        });
        asked.await.unwrap_or(Err(HsmError::NotRunning))
    }

    /// Sends one call and waits for its outcome.
    async fn ask(&self, call: Call, deadline: Duration) -> Result<Reply, HsmError> {
        let (sender, answer) = oneshot::channel();
        let checks_root = self.root_for(&call).is_some();
        let number = {
            let worker = self.worker();
            let worker = worker.as_ref().ok_or(HsmError::NotRunning)?;
            worker
                .calls
                .send(PendingCall { root: self.root_for(&call), call, answer: sender })
                .map_err(|_| HsmError::NotRunning)?;
            worker.number
        };
        self.metrics.hsm_operations.fetch_add(1, Relaxed);
        match timeout(deadline, answer).await {
            Ok(Ok(outcome)) => {
                match &outcome {
                    Err(Pkcs11Error::WrongRoot) => self.wrong_root.store(true, Relaxed),
                    Ok(_) if checks_root => self.wrong_root.store(false, Relaxed),
                    Ok(_) | Err(_) => {}
                }
                self.note_outcome(number, &outcome);
                outcome.map_err(HsmError::Pkcs11)
            }
            // The worker exited.
            Ok(Err(_)) => Err(HsmError::NotRunning),
            Err(_) => {
                self.kill_worker(number, "call timed out");
                Err(HsmError::NotRunning)
            }
        }
    }

    fn note_outcome(&self, number: u64, outcome: &Result<Reply, Pkcs11Error>) {
        match outcome {
            Err(Pkcs11Error::LoginFailed(_)) if !self.is_current(number) => {}
            Err(error @ (Pkcs11Error::LoginFailed(_) | Pkcs11Error::PinRefused(_))) => {
                // ORDER: recorded before another worker starts.
                let error = self.logins.record_failure(number, error);
                self.kill_worker(number, &error.to_string());
            }
            // The right token may be in another slot by now; a new worker finds it.
            Err(Pkcs11Error::Module(_) | Pkcs11Error::WrongRoot) => {
                let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
                if failures >= FAILURES_MAX {
                    self.kill_worker(number, "its module keeps failing");
                }
            }
            // INVARIANT: a call that is impossible for one key neither kills the worker nor resets the count.
            Err(Pkcs11Error::Unsupported(_)) => {}
            Ok(_) | Err(_) => self.failures.store(0, Relaxed),
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.worker().as_ref().is_some_and(|it| it.number == number)
    }

    /// Kills worker `number`, if it is still the current one.
    fn kill_worker(&self, number: u64, why: &str) {
        if let Some(worker) = self.take_worker(number) {
            eprintln!("hsm-gateway: worker {number} killed: {why}");
            drop(worker);
        }
    }

    /// Takes worker `number` out of use, if it is still the current one; another one is then started.
    fn take_worker(&self, number: u64) -> Option<Worker> {
        let worker = self.worker().take_if(|it| it.number == number)?;
        self.worker_lost.notify_one();
        Some(worker)
    }

    /// Starts a worker whenever there is none.
    async fn keep_worker_running(self: Arc<Self>) {
        loop {
            self.worker_lost.notified().await;
            let mut pause = RESTART_PAUSE_MIN;
            while !self.is_up() {
                tokio::time::sleep(pause).await;
                if let Err(error) = self.start_worker().await {
                    eprintln!("hsm-gateway: cannot start a worker: {error}");
                    match error {
                        HsmError::Pkcs11(Pkcs11Error::PinRefused(_)) => return,
                        HsmError::Pkcs11(Pkcs11Error::LoginFailed(_)) => pause = RESTART_PAUSE_MAX,
                        _ => {}
                    }
                }
                pause = pause.saturating_mul(2).min(RESTART_PAUSE_MAX);
            }
        }
    }

    async fn start_worker(self: &Arc<Self>) -> Result<(), HsmError> {
        self.require_login_allowed()?;
        let failed = |error: std::io::Error| HsmError::module(error);
        let (process, mut socket) = self.spawn().map_err(failed)?;
        let number = self.workers_started.fetch_add(1, Relaxed).saturating_add(1);
        let (calls, receiver) = mpsc::unbounded_channel();
        let process_id = process.id();
        let worker = Worker { process: Some(process), exiting: Arc::clone(&self.exiting), calls, number };
        // From here on, dropping `worker` kills the process.
        let opened = timeout(OPEN_MAX, self.open(&mut socket)).await;
        match opened.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let error = self.logins.record_failure(number, &error);
                return Err(HsmError::Pkcs11(error));
            }
            Err(error) => return Err(failed(error)),
        }
        self.logins.record_success();
        if self.announce {
            eprintln!("hsm-gateway: worker {number} is process {process_id}");
        }
        self.metrics.worker_starts.fetch_add(1, Relaxed);
        self.failures.store(0, Relaxed);
        *self.worker() = Some(worker);
        let hsm = Arc::clone(self);
        tokio::spawn(async move {
            converse(socket, receiver).await;
            if let Some(worker) = hsm.take_worker(number) {
                eprintln!("hsm-gateway: worker {number} {}", worker.end().await);
            }
        });
        Ok(())
    }

    fn spawn(&self) -> std::io::Result<(Child, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(own_executable()?);
        command
            .arg0("hsm-gateway")
            .arg("worker")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // Signals that a terminal sends to its process group are for the gateway only.
            .process_group(0);
        // The worker gets the PIN over its socket, so the module need not see it in the environment.
        if let Some(name) = &self.module.pin_variable {
            command.env_remove(name);
        }
        let process = command.spawn()?;
        Ok((process, UnixStream::from_std(ours)?))
    }

    async fn open(&self, socket: &mut UnixStream) -> std::io::Result<Result<Reply, Pkcs11Error>> {
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

/// The running executable, even after its file was replaced or deleted: a worker of another version may speak another
/// protocol.
fn own_executable() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_path_buf());
    }
    std::env::current_exe()
}

/// What is measured together.
fn operation_of(call: &Call) -> &'static str {
    match call {
        Call::Derive { .. } => "derive",
        Call::Generation | Call::Inspect | Call::States => "read",
        Call::Sign { .. } => "sign",
        _ => "manage",
    }
}
