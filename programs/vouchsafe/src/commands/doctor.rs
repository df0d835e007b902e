//! `vouchsafe doctor`: checks what a broker needs, without starting one.

mod clock;
mod finding;
mod local;
mod network;
mod settings;

use super::application::ApplicationArgs;
use finding::{Finding, Level};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format, print};
use vouchsafe_host::Application;

/// Check what a broker needs, and say what to do
///
/// Reads what `serve` reads: the manifest, the variables, the bundle. Fetches the keys of each issuer by the
/// rules for the broker (allowed hosts, blocked networks, CAs), asks each gateway whether it is ready, and
/// checks the clock, the state directory, and who can read secrets or
/// change what `serve` reads. Starts and changes nothing.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe doctor\n  vouchsafe doctor --runtime-config-file spin-runtime.toml \\\n    --state-dir /var/lib/vouchsafe --variable issuer=https://broker.example \\\n    --variable signer_root=@/etc/vouchsafe/signer-root\n  vouchsafe doctor --format json\n\nPass the options of `serve`, and run it as the same user: files and networks may differ for others.\nExit codes: 0 no errors (warnings are possible), 1 errors, 2 the command line is wrong."
)]
pub struct Args {
    #[command(flatten)]
    application: ApplicationArgs,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let format = args.format;
    let findings = match Application::read(args.application.options()) {
        Ok(application) => vouchsafe_cli::run(async { Ok(examine(&application).await) })?,
        Err(error) => finding::of_lines("configuration", &error.message, error.hint),
    };
    match format {
        Format::Json => println!("{}", finding::json(&findings)),
        Format::Text => print!("{}", finding::text(&findings, print::use_color())),
    }
    let has_errors = findings.iter().any(|finding| finding.level == Level::Error);
    Ok(ExitCode::from(u8::from(has_errors)))
}

async fn examine(application: &Application) -> Vec<Finding> {
    let mut findings = vec![settings::configuration(application)];
    let (bundle, found) = settings::bundle(application);
    findings.extend(found);
    if let Some(bundle) = &bundle {
        findings.extend(settings::hosts(application, bundle));
        findings.extend(settings::audiences(application, bundle));
    }
    findings.extend(settings::root(application));
    findings.extend(network::check(application, bundle.as_ref()).await);
    findings.push(local::state_dir(application));
    findings.extend(local::secrets(application));
    findings.extend(local::exposed(application));
    findings
}
