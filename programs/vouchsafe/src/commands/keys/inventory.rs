//! `vouchsafe keys inventory`: every key and credential that a broker and its gateways know.

mod broker;
mod cbom;
mod certificates;
mod entry;
mod gateway;
mod show;
mod uses;

use crate::client::gateway::GatewayArgs;
use crate::commands::application::ApplicationArgs;
use crate::commands::policy::bundle::load;
use broker::Source;
use entry::{Entry, Limits};
use std::path::PathBuf;
use std::process::ExitCode;
use uses::Uses;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_host::Application;
use vouchsafe_policy::Bundle;

/// List every key and credential that the broker and its gateways know.
///
/// Reads what `serve` reads, asks gateways if there are some, and looks up in the audit records when each was used. Owners
/// come from `[keys]` of `bundle.toml`. Never prints a secret.
#[derive(clap::Args)]
#[command(after_help = "\
Pass the options of `serve`, and run it as the same user. Warnings: a key without an owner, one that is older than
--old-after, and one that expires within --expiring-within or has expired.

Exit codes: 0 listed, 1 refused, or with --deny-warnings there is a warning, 2 usage error, 3 a gateway cannot be reached;
the rest is still listed.

Examples:
  vouchsafe keys inventory --state-dir /var/lib/vouchsafe
  vouchsafe keys inventory --gateway https://gateway.internal:8481 --admin-token-file admin-token --format cyclonedx >cbom.json")]
pub struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    /// Gateway's `admin_listen` as a URL; may be repeated, or a list separated by commas
    #[arg(
        long = "gateway",
        env = "VOUCHSAFE_GATEWAY",
        value_name = "ADMIN-URL",
        value_delimiter = ',',
        requires = "admin_token_file"
    )]
    gateways: Vec<String>,
    /// File that `hsm-gateway credential` wrote for this [[admin]]
    #[arg(long, env = "VOUCHSAFE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Trust only the certificate authorities in this file (PEM) at gateways
    #[arg(long, env = "VOUCHSAFE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file with a secret that `audit export` signs webhooks with; may be repeated
    #[arg(long, value_name = "FILE")]
    webhook_secret: Vec<PathBuf>,
    /// A certificate of the broker's proxy, or of a gateway (PEM); may be repeated
    #[arg(long, value_name = "FILE")]
    certificate: Vec<PathBuf>,
    /// Age from which a key that does not expire is old
    #[arg(long, value_name = "DURATION", default_value = "365d", value_parser = crate::client::moment::parse_days)]
    old_after: u64,
    /// Time before its end from which a key is about to expire
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = crate::client::moment::parse_days)]
    expiring_within: u64,
    /// Exit with 1 if there is a warning
    #[arg(long)]
    deny_warnings: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A CBOM of CycloneDX 1.6, as JSON
    Cyclonedx,
    Json,
    Text,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let now = clock::unix_seconds()?;
    let application = Application::read(args.application.options()).map_err(crate::commands::serve::failure)?;
    let bundle = bundle(&application)?;
    let uses = Uses::read(&application)?;
    let mut entries = entries(&application, &bundle, &uses, now)?;
    entries.extend(broker::secret_files("webhook-secret", &args.webhook_secret)?);
    entries.extend(certificates::of_files(&args.certificate)?);
    let mut unreached = None;
    if let Some(admin_token_file) = args.admin_token_file {
        let gateways = GatewayArgs::of(args.gateways, admin_token_file, args.ca).open()?;
        for gateway in &gateways {
            match gateway.list() {
                Ok(listing) => entries.extend(gateway::entries(&gateway.url, &listing, &uses)),
                Err(failure) => unreached = unreached.or(Some(failure.report())),
            }
        }
    }
    let limits = Limits { old_seconds: args.old_after, expiring_seconds: args.expiring_within };
    for entry in &mut entries {
        entry.judge(bundle.key_owners(), limits, now);
    }
    entries.sort_by(|one, other| (one.kind, &one.name, one.activated).cmp(&(other.kind, &other.name, other.activated)));
    match args.format {
        Format::Cyclonedx => println!("{:#}", cbom::document(&entries, now)?),
        Format::Json => println!("{:#}", show::json(&entries)),
        Format::Text => print!("{}", show::text(&entries, now)),
    }
    let has_warnings = entries.iter().any(|entry| !entry.warnings.is_empty());
    Ok(unreached.unwrap_or(ExitCode::from(u8::from(args.deny_warnings && has_warnings))))
}

/// What the broker itself has.
fn entries(application: &Application, bundle: &Bundle, uses: &Uses, now: u64) -> Result<Vec<Entry>, Failure> {
    let source = Source { application, bundle, uses, now };
    let mut entries = source.signer()?;
    entries.extend(source.issuers());
    entries.extend(broker::clients(bundle));
    entries.extend(source.admin_audiences());
    entries.extend(certificates::of_files(&application.certificate_files())?);
    Ok(entries)
}

fn bundle(application: &Application) -> Result<Bundle, Failure> {
    let dir = application.mounted(vouchsafe_host::POLICIES);
    let dir = dir.ok_or_else(|| Failure::usage("the manifest mounts no bundle"))?;
    load(&dir, &broker::environment(application)).map(|(_, bundle)| bundle)
}

/// When keys of this application expire and were made, for the host's metrics. Nothing if the bundle is invalid, which is
/// reported elsewhere.
pub fn times(application: &Application) -> Vec<vouchsafe_host::KeyTimes> {
    let (Ok(now), Ok(bundle)) = (clock::unix_seconds(), bundle(application)) else {
        return Vec::new();
    };
    let entries = entries(application, &bundle, &Uses::default(), now).unwrap_or_default();
    // Epoch keys replace themselves.
    let lasting = entries.into_iter().filter(|entry| entry.kind != "epoch-key");
    lasting
        .map(|entry| vouchsafe_host::KeyTimes {
            kind: entry.kind,
            is_owned: entry.owner_in(bundle.key_owners()).is_some(),
            name: entry.name,
            created: entry.created,
            expires: entry.expires,
        })
        .collect()
}
