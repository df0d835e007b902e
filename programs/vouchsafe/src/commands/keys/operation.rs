//! `vouchsafe keys stage`, `rollback` and `retire`, and how every operation is sent and reported.

use super::several::require_same_keys;
use crate::client::gateway::{Gateway, GatewayArgs};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::admin::{OperationAnswer, OperationRequest};

/// Create and publish the next version of a key.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 staged, or done before, 1 refused, 2 the command line is wrong, 3 a gateway cannot be reached.

Examples:
  vouchsafe keys stage deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct StageArgs {
    /// `name` of the [[key]].
    key: String,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn stage(args: &StageArgs) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    let outcome = send_to_all(&gateways, &request(&args.key, "stage"), args.format);
    // Even after a failure: two keys with one version number must not be used.
    require_same_keys(&gateways, &args.key)?;
    outcome
}

/// Roll back a canary, or a promotion while the previous version is still published.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 rolled back, or nothing to roll back, 1 refused, 2 the command line is wrong, 3 a gateway
cannot be reached.

Examples:
  vouchsafe keys rollback deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys rollback deploy --version 2 --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct RollbackArgs {
    /// `name` of the [[key]].
    key: String,
    /// The version that stops signing [default: the canary, or else the active version]. With it, repeating the command
    /// does not roll back further.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn roll_back(args: &RollbackArgs) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    let version = match args.version {
        Some(version) => Some(version),
        None => version_to_roll_back(&gateways, &args.key)?,
    };
    let request = OperationRequest { version, ..request(&args.key, "rollback") };
    let outcome = send_to_all_or(&gateways, &request, args.format, |slug| {
        // Without --version, there being nothing to roll back is a success.
        slug == "version.nothing" && args.version.is_none()
    });
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Chooses one version for all gateways, so that the second gateway of a token does not roll back further.
fn version_to_roll_back(gateways: &[Gateway], key: &str) -> Result<Option<u64>, Failure> {
    let listing = ask_first(gateways, Gateway::list)?;
    let key = listing.keys.into_iter().find(|it| it.name == key);
    let versions = key.map(|it| it.versions).unwrap_or_default();
    let in_state = |state: &str| versions.iter().find(|it| it.state == state);
    let found = in_state("canary").or_else(|| in_state("active"));
    Ok(found.map(|it| it.version))
}

/// Remove versions from the JWK Set once their tokens have expired.
#[derive(clap::Args)]
#[command(after_help = "\
Without --version, removes every version that no longer signs and whose tokens have expired. With it, a
pending version begins to retire; run again later, it is removed.

Exit codes: 0 retired, or done before, 1 refused, because tokens are still valid or the version signs, 2 the
command line is wrong, 3 a gateway cannot be reached.

Examples:
  vouchsafe keys retire deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys retire deploy --version 1 --destroy --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct RetireArgs {
    /// `name` of the [[key]].
    key: String,
    /// Only this version.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Destroy its private key in the HSM, irreversibly. Its public key stays, so its number is not reused.
    #[arg(long, requires = "version")]
    destroy: bool,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn retire(args: &RetireArgs) -> Result<ExitCode, Failure> {
    let request = OperationRequest { version: args.version, destroy: args.destroy, ..request(&args.key, "retire") };
    send_to_all(&args.gateways.open()?, &request, args.format)
}

pub fn request(key: &str, operation: &str) -> OperationRequest {
    OperationRequest { key: key.to_owned(), act: operation.to_owned(), share: None, version: None, destroy: false }
}

/// Returns the answer of the first gateway that can be reached.
pub fn ask_first<T>(gateways: &[Gateway], ask: impl Fn(&Gateway) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut last = Failure::usage("no --gateway given");
    for gateway in gateways {
        match ask(gateway) {
            Err(failure) if failure.code == 3 => last = failure,
            outcome => return outcome,
        }
    }
    Err(last)
}

/// Sends an operation to each gateway.
pub fn send_to_all(gateways: &[Gateway], request: &OperationRequest, format: Format) -> Result<ExitCode, Failure> {
    send_to_all_or(gateways, request, format, |_| false)?;
    Ok(ExitCode::SUCCESS)
}

/// Sends an operation to each gateway; a refusal whose slug is `fine` counts as success.
///
/// Stops at the first refusal. A gateway that can't be reached fails the command only after the others were asked.
fn send_to_all_or(
    gateways: &[Gateway],
    request: &OperationRequest,
    format: Format,
    fine: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let mut unreached = None;
    for gateway in gateways {
        match gateway.operate(request) {
            Ok(answer) => report(gateway, &answer, format),
            Err(error) if fine(&error.slug) => report_nothing(gateway, request, format),
            Err(error) if error.failure.code == 3 => {
                eprintln!("warning: {}", error.failure.message);
                unreached = Some(error.failure);
            }
            Err(error) => return Err(error.failure),
        }
    }
    unreached.map_or(Ok(()), Err)
}

fn report(gateway: &Gateway, answer: &OperationAnswer, format: Format) {
    match format {
        Format::Json => println!(
            "{}",
            serde_json::json!({
                "gateway": gateway.url,
                "key": answer.key,
                "version": answer.version,
                "changed": answer.changed,
                "before": answer.before,
                "after": answer.after,
            })
        ),
        Format::Text if answer.changed => {
            println!("{}: {}: {} (was {})", gateway.url, answer.key, answer.after, answer.before)
        }
        Format::Text => println!("{}: {}: unchanged, {}", gateway.url, answer.key, answer.after),
    }
}

fn report_nothing(gateway: &Gateway, request: &OperationRequest, format: Format) {
    match format {
        Format::Json => {
            println!("{}", serde_json::json!({ "gateway": gateway.url, "key": request.key, "changed": false }))
        }
        Format::Text => println!("{}: {}: nothing to roll back", gateway.url, request.key),
    }
}
