//! `vouchsafe policy who-can` and `vouchsafe policy can`: access over all requests.

use super::bundle::{DIR_DEFAULT, EnvironmentArgs, load};
use super::explain::principal;
use super::prove::show::of_counterexample;
use super::solver::SolverArgs;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_policy::Bundle;
use vouchsafe_policy_proofs::access::{self, Access, Alternative, Known, Possible};

/// Print who can get a token for an audience: the exact condition for each type of principal, and an example.
///
/// Leaves out policies and conditions that decide nothing, which the solver cvc5 proves.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 decided, 1 something is not decided, or the bundle does not load, 2 usage error, or no solver.

Examples:
  vouchsafe policy who-can --audience https://deploy.example
  vouchsafe policy who-can policies --audience https://deploy.example --scope deploy:write --format json")]
pub struct WhoCanArgs {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The audience of the token.
    #[arg(long, value_name = "A")]
    audience: String,
    /// The only scope of the token; default: any scopes.
    #[arg(long, value_name = "S")]
    scope: Option<String>,
    #[command(flatten)]
    solver: SolverArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Print every audience and scope that a workload can get, whatever time, lifetime and address its requests have.
///
/// Does not verify the token: the broker checks its signature, issuer and times.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 decided, 1 something is not decided, the bundle does not load, or the broker would refuse the
token, 2 usage error, or no solver.

Examples:
  vouchsafe policy can --claims job.json
  vouchsafe policy can policies --claims - --issuer-name github --format json")]
pub struct CanArgs {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// A file with the workload's claims as a JSON object; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    claims: PathBuf,
    /// Treat the claims as those of this issuer, whatever their `iss`.
    #[arg(long, value_name = "NAME")]
    issuer_name: Option<String>,
    #[command(flatten)]
    solver: SolverArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn who_can(args: &WhoCanArgs) -> Result<ExitCode, Failure> {
    let (text, decided) = who_can_output(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!decided)))
}

pub fn can(args: &CanArgs) -> Result<ExitCode, Failure> {
    let (text, decided) = can_output(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!decided)))
}

/// The output, and whether everything is decided.
pub(super) fn who_can_output(args: &WhoCanArgs) -> Result<(String, bool), Failure> {
    let environment = args.environment.environment();
    let (files, bundle) = load(&args.dir, &environment)?;
    check_known(&bundle, &args.audience, args.scope.as_deref())?;
    let asked = (args.audience.as_str(), args.scope.as_deref());
    let found = access::who_can(&files, &environment, &args.solver.options(), args.solver.jobs(), asked);
    let found = found.map_err(|error| args.solver.failed(error))?;
    let decided = found.iter().all(Result::is_ok);
    let text = match args.format {
        Format::Json => format!("{:#}\n", Value::from(found.iter().map(json_of_access).collect::<Vec<_>>())),
        Format::Text if found.is_empty() => "nobody\n".to_owned(),
        Format::Text => found.iter().map(text_of_access).collect::<Vec<_>>().join("\n"),
    };
    Ok((text, decided))
}

fn check_known(bundle: &Bundle, audience: &str, scope: Option<&str>) -> Result<(), Failure> {
    let known = bundle.audience(audience).ok_or_else(|| {
        let all: Vec<&str> = bundle.audiences().map(|audience| audience.id.as_str()).collect();
        Failure::usage(format!("the bundle has no audience `{audience}`"))
            .hint(format!("it has `{}`", all.join("`, `")))
    })?;
    match scope {
        Some(scope) if !known.scopes.iter().any(|offered| offered == scope) => {
            Err(Failure::usage(format!("audience `{audience}` does not offer scope `{scope}`"))
                .hint(format!("it offers `{}`", known.scopes.join("`, `"))))
        }
        _ => Ok(()),
    }
}

fn text_of_access(access: &Known<Access>) -> String {
    let access = match access {
        Ok(access) => access,
        Err(why) => return format!("not decided: {why}\n"),
    };
    let profile = access.profile.as_ref().map_or_else(String::new, |name| format!(", in profile `{name}`"));
    let mut text = format!("{} of issuer `{}`{profile}\n", access.entity_type, access.issuer);
    for (at, permit) in access.permits.iter().enumerate() {
        text.push_str(&alternative(if at == 0 { "if" } else { "or if" }, permit));
    }
    text.extend(access.forbids.iter().map(|forbid| alternative("but not if", forbid)));
    text.push_str("  for example:\n");
    text.extend(access.example.lines().iter().map(|line| format!("    {line}\n")));
    text
}

fn alternative(word: &str, alternative: &Alternative) -> String {
    let Alternative { policy, conditions } = alternative;
    match conditions.is_empty() {
        true => format!("  {word} its token is valid ({policy})\n"),
        false => format!("  {word} ({policy})\n    {}\n", conditions.join(" &&\n    ")),
    }
}

fn json_of_access(access: &Known<Access>) -> Value {
    let access = match access {
        Ok(access) => access,
        Err(why) => return json!({ "undecided": why.to_string() }),
    };
    let alternatives = |all: &[Alternative]| {
        let each = all.iter().map(|it| json!({ "rule": it.policy, "conditions": it.conditions }));
        each.collect::<Vec<_>>()
    };
    json!({
        "profile": access.profile,
        "principal_type": access.entity_type,
        "issuer": access.issuer,
        "permits": alternatives(&access.permits),
        "forbids": alternatives(&access.forbids),
        "example": of_counterexample(&access.example),
    })
}

/// The output, and whether everything is decided.
pub(super) fn can_output(args: &CanArgs) -> Result<(String, bool), Failure> {
    let environment = args.environment.environment();
    let (files, bundle) = load(&args.dir, &environment)?;
    let principal = principal(&args.claims, args.issuer_name.as_deref(), &bundle)?;
    let found = access::can(&files, &environment, &args.solver.options(), args.solver.jobs(), &principal);
    let found = found.map_err(|error| args.solver.failed(error))?;
    let decided = found.iter().all(|possible| possible.outcome.is_ok());
    let text = match args.format {
        Format::Json => format!("{:#}\n", Value::from(found.iter().map(json_of_possible).collect::<Vec<_>>())),
        Format::Text if found.is_empty() => "nothing\n".to_owned(),
        Format::Text => found.iter().map(text_of_possible).collect(),
    };
    Ok((text, decided))
}

fn text_of_possible(possible: &Possible) -> String {
    let scope = possible.scope.as_ref().map_or_else(|| "no scope".to_owned(), |scope| format!("`{scope}`"));
    let profile = possible.profile.as_ref().map_or_else(String::new, |name| format!(" in profile `{name}`"));
    let about = match &possible.outcome {
        Ok(found) => {
            let circumstances = found.circumstances.iter().map(|(what, value)| format!(", for example {what} {value}"));
            format!("by `{}`{}", found.permitted_by.join("`, `"), circumstances.collect::<String>())
        }
        Err(why) => format!("not decided: {why}"),
    };
    format!("{} {scope}{profile}: {about}\n", possible.audience)
}

fn json_of_possible(possible: &Possible) -> Value {
    let (request, undecided) = match &possible.outcome {
        Ok(found) => (Some(of_counterexample(found)), None),
        Err(why) => (None, Some(why.to_string())),
    };
    json!({
        "profile": possible.profile,
        "audience": possible.audience,
        "scope": possible.scope,
        "request": request,
        "undecided": undecided,
    })
}
