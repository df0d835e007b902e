//! The worker process: the PKCS#11 module and its sessions, and nothing else.
//!
//! Its standard input is the socket to the gateway; whatever the module prints does not reach it. The worker exits when
//! the gateway does.

mod error;
mod imports;
mod inspect;
mod objects;
mod token;

use super::protocol::{self, Open, Pkcs11Error, Reply, Request, Response};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use token::{Pkcs11Token, SessionKeeper};
use tokio::signal::unix::{SignalKind, signal};
use vouchsafe_cli::Failure;

/// Runs until the gateway closes the socket.
pub fn run() -> Result<ExitCode, Failure> {
    let _signals =
        ignore_signals().map_err(|error| Failure::usage(format!("the worker cannot handle signals: {error}")))?;
    let failed = |error: std::io::Error| {
        Failure::usage(format!("the worker has no gateway: {error}")).hint("`hsm-gateway serve` starts its own worker")
    };
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let socket = UnixStream::from(socket);
    let open: Open =
        protocol::read(&socket).map_err(failed)?.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))?;
    let sessions = open.sessions.max(1);
    let keepers = open_sessions(open, sessions);
    let outcome = match &keepers {
        Ok(_) => Ok(Reply::Done),
        Err(error) => Err(error.clone()),
    };
    protocol::write(&socket, &Response { id: 0, outcome }).map_err(failed)?;
    let Ok(keepers) = keepers else {
        return Ok(ExitCode::FAILURE);
    };
    serve(socket, keepers).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps SIGINT and SIGTERM from ending the worker: service managers send them to the gateway and the worker at once,
/// and the gateway needs its worker to finish requests in flight.
fn ignore_signals() -> std::io::Result<impl Sized> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _guard = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        // Handlers are installed and never polled.
        kinds.map(signal)
    };
    for signal in &signals {
        if let Err(error) = signal {
            return Err(error.kind().into());
        }
    }
    Ok((runtime, signals))
}

/// ORDER: the first session logs in before there is a second, so that a wrong PIN is tried once.
fn open_sessions(open: Open, sessions: usize) -> Result<Vec<SessionKeeper>, Pkcs11Error> {
    let pin = std::str::from_utf8(&open.pin.0);
    let pin = pin.map_err(|_| Pkcs11Error::PinRefused("not valid UTF-8".to_owned()))?;
    let token = Arc::new(Pkcs11Token::open(&open.module, &open.token, pin)?);
    (0..sessions).map(|_| SessionKeeper::open(Arc::clone(&token))).collect()
}

fn serve(socket: UnixStream, keepers: Vec<SessionKeeper>) -> std::io::Result<()> {
    let answers = Arc::new(Mutex::new(socket.try_clone()?));
    let (sender, requests) = channel();
    let requests = Arc::new(Mutex::new(requests));
    for keeper in keepers {
        let (requests, answers) = (Arc::clone(&requests), Arc::clone(&answers));
        std::thread::spawn(move || work(keeper, &requests, &answers));
    }
    while let Some(request) = protocol::read::<Request>(&socket)? {
        if sender.send(request).is_err() {
            break;
        }
    }
    // Threads are not joined: a session may hang forever.
    Ok(())
}

fn work(mut keeper: SessionKeeper, requests: &Mutex<Receiver<Request>>, answers: &Mutex<UnixStream>) {
    loop {
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Request { id, call, root }) = next else {
            return;
        };
        let outcome = keeper.call(&call, root.as_ref());
        let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        if protocol::write(&*answers, &Response { id, outcome }).is_err() {
            return;
        }
    }
}
