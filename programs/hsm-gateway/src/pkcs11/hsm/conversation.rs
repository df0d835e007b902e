//! The socket between gateway and worker: calls, and answers in any order.

use crate::pkcs11::protocol::{self, Bytes, Call, LENGTH_BYTES, Pkcs11Error, Reply, Request, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

/// Where the answer to a call goes.
pub(super) type Responder = oneshot::Sender<Result<Reply, Pkcs11Error>>;

/// A call that waits for its answer.
pub(super) struct PendingCall {
    pub call: Call,
    pub root: Option<Bytes>,
    pub answer: Responder,
}

/// Transfers calls and answers until the worker closes its end.
pub(super) async fn converse(socket: UnixStream, mut calls: mpsc::UnboundedReceiver<PendingCall>) {
    let (mut answers, mut requests) = socket.into_split();
    let waiting = Arc::new(Mutex::new(BTreeMap::<u64, Responder>::new()));
    let theirs = Arc::clone(&waiting);
    let write = async move {
        let mut id = 0_u64;
        while let Some(PendingCall { call, root, answer }) = calls.recv().await {
            id = id.saturating_add(1);
            theirs.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
            let Ok(frame) = protocol::frame(&Request { id, call, root }) else {
                return;
            };
            if requests.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    let read = async move {
        while let Ok(response) = read_response(&mut answers).await {
            let answer = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&response.id);
            if let Some(answer) = answer {
                // The caller may be gone.
                drop(answer.send(response.outcome));
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

pub(super) async fn read_response(socket: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<Response> {
    let mut length = [0; LENGTH_BYTES];
    socket.read_exact(&mut length).await?;
    let mut json = Zeroizing::new(vec![0; protocol::frame_bytes(length)?]);
    socket.read_exact(&mut json).await?;
    Ok(serde_json::from_slice(&json)?)
}
