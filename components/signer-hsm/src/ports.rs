//! The instance's signer, its clock, and the connection to its gateways: 2 s per call, 900 ms per attempt.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use vouchsafe_gateway::client::{Answer, GatewayConfig, GatewaySigner, Network, Unreachable};
use vouchsafe_gateway::wire::ANSWER_BYTES_MAX;
use vouchsafe_guest::http::{Limits, SendError, send};
use vouchsafe_guest::signer::{draw_entropy, read_variables};
use vouchsafe_signer::{Entropy, Error, UnixSeconds, Variable};

/// Longest time that a call of the signer waits for gateways.
const CALL_MAX: Duration = Duration::from_secs(2);
/// Longest time for one gateway, so that a call has time to try a second one.
const TRY_MAX: Duration = Duration::from_millis(900);
const CONNECT_MAX: Duration = Duration::from_millis(500);

thread_local! {
    /// The signer of this instance: its configuration, public keys, and the keys of at most four epochs per algorithm,
    /// in memory only, for the instance's lifetime. Contains no request data.
    static SIGNER: RefCell<Option<Rc<GatewaySigner>>> = const { RefCell::new(None) };
}

/// The instance's signer, created from the variables on first use.
///
/// An unreadable or invalid configuration is not remembered: the next call reads it again.
pub async fn signer() -> Result<Rc<GatewaySigner>, Error> {
    vouchsafe_guest::next_step().await;
    if let Some(signer) = SIGNER.with_borrow(Clone::clone) {
        return Ok(signer);
    }
    let config = GatewayConfig::parse(&read_variables(&Variable::GATEWAY).await?)?;
    // Two concurrent first calls may both have read the variables; the first signer wins.
    Ok(SIGNER.with_borrow_mut(|known| {
        Rc::clone(known.get_or_insert_with(|| Rc::new(GatewaySigner::new(config, vouchsafe_guest::crypto()))))
    }))
}

/// Fetches the next epoch's seeds in the background, shortly before they are needed.
pub fn prefetch_if_due(signer: Rc<GatewaySigner>) {
    if signer.prefetch_is_due(now()) {
        spin_sdk::wasip3::spawn(async move {
            signer.prefetch(&Gateways::within_deadline()).await;
        });
    }
}

/// A clock before 1970 counts as 0: it differs from the gateway's, so nothing is signed.
pub fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixSeconds(since.unwrap_or_default().as_secs())
}

/// The connection to the gateways, for one call.
pub struct Gateways {
    started: Instant,
}

impl Gateways {
    pub fn within_deadline() -> Self {
        Self { started: Instant::now() }
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
        draw_entropy()
    }

    async fn send(&self, url: &str, credential: &str, body: Option<String>) -> Result<Answer, Unreachable> {
        let authorization = format!("Bearer {credential}");
        let mut headers = vec![("accept", "application/json"), ("authorization", &authorization)];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let limits = Limits {
            connect: CONNECT_MAX,
            total: TRY_MAX.min(self.time_left()),
            body_bytes_max: ANSWER_BYTES_MAX,
            reads_error_body: true,
        };
        let answer = send(url, &headers, body, limits).await.map_err(unreachable)?;
        Ok(Answer { status: answer.status, body: answer.body })
    }

    async fn pause(&self, milliseconds: u64) -> Result<(), Unreachable> {
        if self.time_left().is_zero() {
            return Err(Unreachable::NotInTime);
        }
        spin_sdk::time::sleep(Duration::from_millis(milliseconds)).await;
        Ok(())
    }
}

fn unreachable(error: SendError) -> Unreachable {
    match error {
        SendError::Failed(cause) => Unreachable::NotReached(cause),
        SendError::Interrupted | SendError::InvalidRequest | SendError::TooLarge => Unreachable::NotHttp,
        SendError::TimedOut => Unreachable::NotInTime,
    }
}
