//! The operations of administrators. Each has its own scope.

use serde_json::json;
use vouchsafe_exchange::settings::Settings;
use vouchsafe_types::{Added, Attribution, IssuedTokens, Revocation, RevocationTarget};

use crate::answer::{Attempt, Refused};
use crate::caller::{self, Caller, Credentials, admin_audience};
use crate::operation_request::{Lift, Revoke};
use crate::ports::Ports;
use crate::proof::Target;
use crate::render;

/// Revokes tokens and blocks workloads.
pub const SCOPE_REVOKE: &str = "revoke";
/// Lifts blocks.
pub const SCOPE_LIFT: &str = "revoke:lift";
/// Lists revocations.
pub const SCOPE_READ: &str = "revoke:read";

/// An operation with its input.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    Lift(&'a [u8]),
    List,
    Revoke(&'a [u8]),
}

impl Operation<'_> {
    fn scope(self) -> &'static str {
        match self {
            Self::Lift(_) => SCOPE_LIFT,
            Self::List => SCOPE_READ,
            Self::Revoke(_) => SCOPE_REVOKE,
        }
    }

    /// The request that a proof must be for.
    fn target(self, settings: &Settings) -> Target {
        let (method, path) = match self {
            Self::Lift(_) => ("POST", "/admin/revocations/lift"),
            Self::List => ("GET", "/admin/revocations"),
            Self::Revoke(_) => ("POST", "/admin/revocations"),
        };
        Target { method: method.to_owned(), url: settings.url(path) }
    }
}

/// Checks what can be checked before the body of an operation is read: it must be sent by POST, as JSON. `allow` are the
/// methods of the resource.
pub fn check_head(method: &str, allow: &'static str, content_type: Option<&str>) -> Result<(), Refused> {
    if method != "POST" {
        return Err(Refused::method(allow));
    }
    let media_type = content_type.unwrap_or("").split(';').next().unwrap_or("");
    match media_type.trim().eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Refused::content_type()),
    }
}

/// Performs `operation` for the caller with these credentials.
pub async fn perform<P: Ports>(ports: &P, credentials: &Credentials, operation: Operation<'_>) -> Attempt {
    let caller = match authorize(ports, credentials, operation).await {
        Ok(caller) => caller,
        Err(refused) => return Attempt::new(Err(refused), None),
    };
    let outcome = match operation {
        Operation::Lift(body) => lift(ports, &caller, body).await,
        Operation::List => list(ports).await,
        Operation::Revoke(body) => revoke(ports, &caller, body).await,
    };
    Attempt::new(outcome, Some(caller.jti().to_owned()))
}

async fn authorize<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    operation: Operation<'_>,
) -> Result<Caller, Refused> {
    let settings = ports.settings().await?;
    let target = operation.target(&settings);
    let caller = caller::verify(ports, credentials, &admin_audience(&settings), Some(&target)).await?;
    caller.require_scope(operation.scope())?;
    let active = ports.active(vec![caller.jti().to_owned()]).await?;
    caller.admit(ports, active == [true]).await
}

async fn revoke<P: Ports>(ports: &P, caller: &Caller, body: &[u8]) -> Result<String, Refused> {
    match Revoke::parse(body, ports.now())? {
        Revoke::DryRun(target) => {
            let affected = ports.count(target).await?;
            Ok(json!({ "affected": render::affected(&affected) }).to_string())
        }
        Revoke::Now { id, target, reason } => {
            let revocation = match ports.add(id, target, attribution(caller, reason)).await? {
                Added::InForce(revocation) => revocation,
                Added::Conflict => return Err(Refused::conflict()),
                Added::NoSuchToken => return Err(Refused::no_such_token()),
                Added::TooMany => return Err(Refused::too_many()),
            };
            // The revocation is in force, whether its tokens can be counted or not.
            let affected = ports.count(counted(&revocation)).await.ok();
            let affected = affected.as_ref().map(render::affected);
            Ok(json!({ "revocation": render::revocation(&revocation), "affected": affected }).to_string())
        }
    }
}

/// What `revocation` revokes, once it is lifted too.
fn counted(revocation: &Revocation) -> RevocationTarget {
    match (&revocation.target, &revocation.lifted) {
        (RevocationTarget::Blocked(filter), Some(lifted)) => {
            RevocationTarget::Issued(IssuedTokens { filter: filter.clone(), since: None, until: Some(lifted.at) })
        }
        (target, _) => target.clone(),
    }
}

async fn lift<P: Ports>(ports: &P, caller: &Caller, body: &[u8]) -> Result<String, Refused> {
    let Lift { id, reason } = Lift::parse(body)?;
    let lifted = ports.lift(id, attribution(caller, reason)).await?.ok_or_else(Refused::no_such_block)?;
    Ok(json!({ "revocation": render::revocation(&lifted) }).to_string())
}

async fn list<P: Ports>(ports: &P) -> Result<String, Refused> {
    let revocations: Vec<_> = ports.list().await?.iter().map(render::revocation).collect();
    Ok(json!({ "revocations": revocations }).to_string())
}

fn attribution(caller: &Caller, reason: String) -> Attribution {
    Attribution { actor: caller.subject().to_owned(), decision_id: caller.jti().to_owned(), reason }
}
