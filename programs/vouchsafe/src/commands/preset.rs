//! `vouchsafe preset`: what relying parties accept, and how they are told to trust the broker.

mod targets;

use crate::commands::policy::bundle::{DIR_DEFAULT, EnvironmentArgs, load};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_policy::{Audience, Bundle, View};

/// Show what relying parties accept, and how they are told to trust the broker.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  vouchsafe preset list
  vouchsafe preset show aws --issuer https://broker.example --audience deploy")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(ListArgs),
    Show(ShowArgs),
}

/// List the presets: the views that an audience can name, and their limits.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 printed.\n\nExamples:\n  vouchsafe preset list --format json")]
struct ListArgs {
    /// How to print the list.
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Print the configuration of a relying party that trusts the broker for one audience.
///
/// Replace the words in capitals. The `sub` of a token is `<name of the issuer file>:<subject>`; `vouchsafe policy
/// explain` shows it for a token of yours.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed, 1 the bundle does not load, 2 usage error.

Examples:
  vouchsafe preset show aws --issuer https://broker.example --audience deploy
  vouchsafe preset show gcp policies --issuer https://broker.example --audience deploy --subject github:repo:acme/app:ref:refs/heads/main")]
struct ShowArgs {
    /// The view of the audience.
    #[arg(value_name = "VIEW", value_parser = view_of)]
    view: View,
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The audience: the name of its file without `.toml`, or its `id`.
    #[arg(long, value_name = "A")]
    audience: String,
    /// The `sub` that the relying party trusts; default: SUBJECT, to be replaced.
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

fn view_of(name: &str) -> Result<View, String> {
    let names: Vec<_> = View::ALL.iter().map(|view| view.preset().name).collect();
    View::of_name(name).ok_or_else(|| format!("there is no view `{name}`: use one of {}", names.join(", ")))
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.command {
        Command::List(args) => list(args.format),
        Command::Show(args) => show(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(format: Format) {
    match format {
        Format::Json => println!("{:#}", Value::from_iter(View::ALL.iter().map(|view| row(*view)))),
        Format::Text => {
            println!("{:<12} {:<20} {:>9} {:>9}", "view", "algorithms", "sub bytes", "aud bytes");
            let most = |bytes: Option<usize>| bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
            for preset in View::ALL.iter().map(|view| view.preset()) {
                let algorithms = preset.algorithms.join(" ");
                let (subject, audience) = (most(preset.subject_bytes_max), most(preset.audience_bytes_max));
                println!("{:<12} {algorithms:<20} {subject:>9} {audience:>9}", preset.name);
            }
        }
    }
}

fn row(view: View) -> Value {
    let preset = view.preset();
    json!({
        "view": preset.name,
        "algorithms": preset.algorithms,
        "subject_bytes_max": preset.subject_bytes_max,
        "audience_bytes_max": preset.audience_bytes_max,
        "key_cache_seconds": preset.key_cache_seconds,
    })
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    let broker = args.environment.issuer.as_deref();
    let broker = broker.ok_or_else(|| Failure::usage("--issuer is missing: the broker's issuer URL"))?;
    let (files, bundle) = load(&args.dir, &args.environment.environment())?;
    let mut paths = files.iter().map(|(path, _)| path).filter(|path| path.starts_with("audiences/"));
    let of_file = paths.position(|path| path == format!("audiences/{}.toml", args.audience));
    let audience = of_view(&bundle, of_file, args)?;
    let preset = args.view.preset();
    let subject = args.subject.as_deref().unwrap_or("SUBJECT");
    if let Some(bytes_max) = preset.subject_bytes_max.filter(|bytes_max| subject.len() > *bytes_max) {
        let name = preset.name;
        return Err(Failure::usage(format!(
            "--subject has {} bytes, and view `{name}` accepts {bytes_max}",
            subject.len()
        ))
        .hint("shorten it with `subject` in the issuer's file"));
    }
    let issuer = args.view.issuer(broker);
    for warning in targets::warnings(args.view, &issuer) {
        eprintln!("warning: {warning}");
    }
    print!("{}", targets::configuration(args.view, &issuer, audience, subject));
    Ok(())
}

/// The audience that the command line names, which must have the view. `of_file` is its place among the audience files,
/// whose order is that of the bundle's audiences.
fn of_view<'a>(bundle: &'a Bundle, of_file: Option<usize>, args: &ShowArgs) -> Result<&'a Audience, Failure> {
    let by_name = of_file.and_then(|at| bundle.audiences().nth(at));
    let audience = by_name.or_else(|| bundle.audience(&args.audience)).ok_or_else(|| {
        Failure::usage(format!("the bundle has no audience `{}`", args.audience))
            .hint("--audience is the name of its file, or the `id` in it")
    })?;
    let name = args.view.preset().name;
    match audience.view {
        Some(view) if view == args.view => Ok(audience),
        Some(other) => {
            Err(Failure::usage(format!("audience `{}` has view `{}`, not `{name}`", audience.id, other.preset().name)))
        }
        None => Err(Failure::usage(format!("audience `{}` has no view", audience.id))
            .hint(format!("add `view = \"{name}\"` to its file"))),
    }
}
