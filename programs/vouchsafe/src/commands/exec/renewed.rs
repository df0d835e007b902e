//! A command that outlasts a token: a private file has a valid one while it runs.

use super::cannot_run::cannot_run;
use crate::client::base64url;
use crate::client::issue::{IssueArgs, Token};
use crate::client::renewal::{self, Next};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use vouchsafe_cli::{Failure, clock, files};

/// What shells add to the number of a signal.
const SIGNAL_BASE: i32 = 128;

pub fn run(issue: IssueArgs, env_name: &str, mut command: Command) -> Result<ExitCode, Failure> {
    let token = renewal::first(&issue)?;
    let folder = Folder::create()?;
    folder.write(&token)?;
    command.env(env_name, folder.file());
    let shared = Arc::new(Mutex::new(Some(folder)));
    // A thread of its own, because requests block. One that is under way in the end is given up with this process.
    std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            if let Err(failure) = keep_fresh(&issue, token, &shared) {
                eprintln!("vouchsafe: the token is no longer renewed; the command goes on");
                failure.report();
            }
        }
    });
    let status = vouchsafe_cli::run(supervise(command));
    drop(shared.lock().unwrap_or_else(PoisonError::into_inner).take());
    status.map(exit_code)
}

/// A private folder with the token's file. Dropping it removes both.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, Failure> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Failure::refused(format!("no random numbers: {error}")))?;
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let name = format!("vouchsafe-exec-{}", base64url::encode(&random));
        let path = runtime.unwrap_or_else(std::env::temp_dir).join(name);
        // ORDER: fails if it exists, so nobody else made it.
        let created = std::fs::DirBuilder::new().mode(0o700).create(&path);
        created.map_err(|error| Failure::state(&path, error))?;
        Ok(Self(path))
    }

    fn file(&self) -> PathBuf {
        self.0.join("token")
    }

    fn write(&self, token: &Token) -> Result<(), Failure> {
        let written = files::replace_secret(&self.file(), token.response.access_token.as_bytes());
        written.map_err(|error| Failure::state(&self.file(), error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("warning: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Replaces the token before it expires, until the folder is gone or a renewal is refused.
fn keep_fresh(issue: &IssueArgs, mut token: Token, folder: &Mutex<Option<Folder>>) -> Result<(), Failure> {
    let mut due = renewal::due(&token);
    loop {
        while let Some(pause) = renewal::wait(clock::unix_seconds()?, due) {
            std::thread::sleep(pause);
        }
        match renewal::renew(issue)? {
            Next::Renewed(renewed) => token = renewed,
            Next::Later(at) => {
                due = at;
                continue;
            }
            Next::Over(failure) => return Err(failure),
        }
        due = renewal::due(&token);
        match folder.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(folder) => folder.write(&token)?,
            None => return Ok(()),
        }
    }
}

/// Runs the command and passes signals on. A terminal sends SIGINT and SIGQUIT to the command too, so those are not.
async fn supervise(command: Command) -> Result<ExitStatus, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::refused(format!("cannot handle signals: {error}")));
    let (mut hangup, mut terminate) = (listen(SignalKind::hangup())?, listen(SignalKind::terminate())?);
    let (mut first, mut second) = (listen(SignalKind::user_defined1())?, listen(SignalKind::user_defined2())?);
    let (mut interrupt, mut quit) = (listen(SignalKind::interrupt())?, listen(SignalKind::quit())?);
    let mut command = tokio::process::Command::from(command);
    let mut child = command.spawn().map_err(|error| cannot_run(command.as_std(), &error))?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(|error| Failure::refused(format!("lost the command: {error}"))),
            _ = hangup.recv() => pass(&child, Signal::HUP),
            _ = terminate.recv() => pass(&child, Signal::TERM),
            _ = first.recv() => pass(&child, Signal::USR1),
            _ = second.recv() => pass(&child, Signal::USR2),
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

/// The child has no id any more once it was waited for, so the signal reaches nobody else.
fn pass(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(Err(error)) = id.map(|id| kill_process(id, signal)) {
        eprintln!("warning: cannot pass a signal to the command: {error}");
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNAL_BASE + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
