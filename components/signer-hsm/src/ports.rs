//! The instance's signer, its clock, and the way to its gateways: 2 s for a call, 900 ms for each try.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use spin_sdk::http::{Request, send};
use spin_sdk::wasip3::http::types::{ErrorCode, RequestOptions};
use spin_sdk::wasip3::http_compat::RequestOptionsExtension;
use vouchsafe_gateway::client::{Answer, GatewayConfig, GatewaySigner, Network, Unreachable};
use vouchsafe_gateway::wire::ANSWER_BYTES_MAX;
use vouchsafe_signer::{Entropy, Error, UnixSeconds, Variable};

use crate::{entropy, variables};

/// Longest that a call of the signer waits for gateways.
const CALL_MAX: Duration = Duration::from_secs(2);
/// Longest that one gateway may take, so that a second one has its turn within a call.
const TRY_MAX: Duration = Duration::from_millis(900);
const CONNECT_MAX: Duration = Duration::from_millis(500);

thread_local! {
    /// The one signer of this instance: its configuration, public keys, and the keys of at most four
    /// epochs per algorithm, in memory only, for as long as the instance lives. It holds nothing of a
    /// request.
    static SIGNER: RefCell<Option<Rc<GatewaySigner>>> = const { RefCell::new(None) };
}

/// The instance's signer, which is made from the variables at its first use.
///
/// A configuration that can't be read or is wrong is not remembered: the next call reads again.
pub async fn signer() -> Result<Rc<GatewaySigner>, Error> {
    if let Some(signer) = SIGNER.with_borrow(Clone::clone) {
        return Ok(signer);
    }
    let config = GatewayConfig::parse(&variables::read(&Variable::GATEWAY).await?)?;
    // Two first calls may both have read: the first of them stays.
    Ok(SIGNER.with_borrow_mut(|known| {
        Rc::clone(known.get_or_insert_with(|| Rc::new(GatewaySigner::new(config))))
    }))
}

/// Fetches the next epoch's seeds behind the answer, shortly before they are needed.
pub fn prefetch_if_due(signer: Rc<GatewaySigner>) {
    if signer.prefetch_is_due(now()) {
        spin_sdk::wasip3::spawn(async move {
            signer.prefetch(&Gateways::within_deadline()).await;
        });
    }
}

/// A clock before 1970 is as wrong as any: the gateway's differs from it, and nothing is signed.
pub fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixSeconds(since.unwrap_or_default().as_secs())
}

/// The way to the gateways, for one call.
pub struct Gateways {
    started: Instant,
}

impl Gateways {
    pub fn within_deadline() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    fn time_left(&self) -> Duration {
        CALL_MAX.saturating_sub(self.started.elapsed())
    }
}

impl Network for Gateways {
    fn now(&self) -> UnixSeconds {
        now()
    }

    fn entropy(&self) -> Result<Entropy, Error> {
        entropy::draw()
    }

    async fn send(
        &self,
        url: &str,
        credential: &str,
        body: Option<String>,
    ) -> Result<Answer, Unreachable> {
        let time = TRY_MAX.min(self.time_left());
        within(time, exchange(url, credential, body, time))
            .await
            .unwrap_or(Err(Unreachable::NotInTime))
    }

    async fn pause(&self, milliseconds: u64) -> Result<(), Unreachable> {
        if self.time_left().is_zero() {
            return Err(Unreachable::NotInTime);
        }
        spin_sdk::time::sleep(Duration::from_millis(milliseconds)).await;
        Ok(())
    }
}

/// Drops `work`, which cancels it, when the time is over; none then.
async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut timer = pin!(spin_sdk::time::sleep(time));
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.as_mut().poll(context).map(|()| None),
    })
    .await
}

async fn exchange(
    url: &str,
    credential: &str,
    body: Option<String>,
    time: Duration,
) -> Result<Answer, Unreachable> {
    let request = match body {
        Some(_) => Request::post(url).header("content-type", "application/json"),
        None => Request::get(url),
    };
    let body = Full::new(Bytes::from(body.unwrap_or_default()));
    let mut request = request
        .header("accept", "application/json")
        .header("authorization", format!("Bearer {credential}"))
        .body(body)
        .map_err(|_| Unreachable::NotHttp)?;
    request
        .extensions_mut()
        .insert(RequestOptionsExtension(options(time)));
    let response = send(request).await.map_err(unreachable)?;
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unreachable::NotHttp)?;
        let Some(chunk) = frame.data_ref() else {
            continue;
        };
        if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(Unreachable::NotHttp);
        }
        bytes.extend_from_slice(chunk);
    }
    Ok(Answer {
        status: parts.status.as_u16(),
        body: bytes,
    })
}

fn unreachable(code: ErrorCode) -> Unreachable {
    match code {
        ErrorCode::HttpRequestDenied => Unreachable::NotAllowed,
        ErrorCode::DestinationIpProhibited => Unreachable::AddressBlocked,
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => Unreachable::NameUnknown,
        ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => Unreachable::TlsFailed,
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::DnsTimeout
        | ErrorCode::HttpResponseTimeout => Unreachable::NotInTime,
        _ => Unreachable::NotReached,
    }
}

fn options(time: Duration) -> RequestOptions {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let options = RequestOptions::new();
    // A host that has no such timeout says so; the deadline holds without it.
    let _ = options.set_connect_timeout(Some(nanoseconds(CONNECT_MAX.min(time))));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(time)));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds(time)));
    options
}
