//! `vouchsafe keys stage`, `rollback` and `retire`, and how every act is sent and told.

use super::several::check_same;
use crate::client::gateway::{Gateway, GatewayArgs};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_gateway::admin::{ActAnswer, ActRequest};

/// Make and publish the next version of a key.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 staged, or so already, 1 refused, 2 wrong use, 3 a gateway can't be reached.

Examples:
  vouchsafe keys stage deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct StageArgs {
    /// The `name` of the [[key]].
    key: String,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn stage(args: &StageArgs) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    let outcome = everywhere(&gateways, &request(&args.key, "stage"), args.format);
    // Whatever became of it: two keys of one number must not go further.
    check_same(&gateways, &args.key)?;
    outcome
}

/// Take a canary back, or a promotion while the version before is published.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 rolled back, or nothing to roll back, 1 refused, 2 wrong use, 3 a gateway can't be reached.

Examples:
  vouchsafe keys rollback deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys rollback deploy --version 2 --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct RollbackArgs {
    /// The `name` of the [[key]].
    key: String,
    /// Which version is to sign no more [default: the canary, or else the active one]; repeated with it,
    /// the command does not go back further.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn roll_back(args: &RollbackArgs) -> Result<ExitCode, Failure> {
    let gateways = args.gateways.open()?;
    let version = match args.version {
        Some(version) => Some(version),
        None => version_to_roll_back(&gateways, &args.key)?,
    };
    let request = ActRequest {
        version,
        ..request(&args.key, "rollback")
    };
    let outcome = everywhere_or(&gateways, &request, args.format, |slug| {
        // Nobody named a version: there was nothing to take back.
        slug == "version.nothing" && args.version.is_none()
    });
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The same for all gateways: the second one of a token must not go back further.
fn version_to_roll_back(gateways: &[Gateway], key: &str) -> Result<Option<u64>, Failure> {
    let listing = first_of(gateways, Gateway::list)?;
    let key = listing.keys.into_iter().find(|it| it.name == key);
    let versions = key.map(|it| it.versions).unwrap_or_default();
    let in_state = |state: &str| versions.iter().find(|it| it.state == state);
    let found = in_state("canary").or_else(|| in_state("active"));
    Ok(found.map(|it| it.version))
}

/// Take versions out of the JWK Set once their tokens are over.
#[derive(clap::Args)]
#[command(after_help = "\
Without --version, every version leaves that signs nothing more and whose tokens are over. With it, a
pending version begins to retire; asked again later, it leaves.

Exit codes: 0 retired, or so already, 1 refused, because tokens live or the version signs, 2 wrong use,
3 a gateway can't be reached.

Examples:
  vouchsafe keys retire deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys retire deploy --version 1 --destroy --gateway https://gateway.internal:8481 --admin-token-file admin-token")]
pub struct RetireArgs {
    /// The `name` of the [[key]].
    key: String,
    /// This version alone.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Destroy its private key in the HSM, for ever; its public half stays, and so its number is not used again.
    #[arg(long, requires = "version")]
    destroy: bool,
    #[command(flatten)]
    gateways: GatewayArgs,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn retire(args: &RetireArgs) -> Result<ExitCode, Failure> {
    let request = ActRequest {
        version: args.version,
        destroy: args.destroy,
        ..request(&args.key, "retire")
    };
    everywhere(&args.gateways.open()?, &request, args.format)
}

pub fn request(key: &str, act: &str) -> ActRequest {
    ActRequest {
        key: key.to_owned(),
        act: act.to_owned(),
        share: None,
        version: None,
        destroy: false,
    }
}

/// What the first gateway answers that can be reached.
pub fn first_of<T>(
    gateways: &[Gateway],
    ask: impl Fn(&Gateway) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut last = Failure::usage("there is no --gateway");
    for gateway in gateways {
        match ask(gateway) {
            Err(failure) if failure.code == 3 => last = failure,
            outcome => return outcome,
        }
    }
    Err(last)
}

/// Has each gateway do what is asked.
pub fn everywhere(
    gateways: &[Gateway],
    request: &ActRequest,
    format: Format,
) -> Result<ExitCode, Failure> {
    everywhere_or(gateways, request, format, |_| false)?;
    Ok(ExitCode::SUCCESS)
}

/// The same; a refusal whose slug is `fine` is none.
///
/// A refusal ends it; a gateway that can't be reached is told at the end, when the others have acted.
fn everywhere_or(
    gateways: &[Gateway],
    request: &ActRequest,
    format: Format,
    fine: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let mut unreached = None;
    for gateway in gateways {
        match gateway.act(request) {
            Ok(answer) => tell(gateway, &answer, format),
            Err(refused) if fine(&refused.slug) => tell_nothing(gateway, request, format),
            Err(refused) if refused.failure.code == 3 => {
                eprintln!("warning: {}", refused.failure.message);
                unreached = Some(refused.failure);
            }
            Err(refused) => return Err(refused.failure),
        }
    }
    unreached.map_or(Ok(()), Err)
}

fn tell(gateway: &Gateway, answer: &ActAnswer, format: Format) {
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
        Format::Text if answer.changed => println!(
            "{}: {}: {} (was {})",
            gateway.url, answer.key, answer.after, answer.before
        ),
        Format::Text => println!(
            "{}: {}: unchanged, {}",
            gateway.url, answer.key, answer.after
        ),
    }
}

fn tell_nothing(gateway: &Gateway, request: &ActRequest, format: Format) {
    match format {
        Format::Json => println!(
            "{}",
            serde_json::json!({ "gateway": gateway.url, "key": request.key, "changed": false })
        ),
        Format::Text => println!("{}: {}: nothing to roll back", gateway.url, request.key),
    }
}
