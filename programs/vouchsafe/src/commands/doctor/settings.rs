//! The manifest, the variables and the bundle, compared with one another.

use super::finding::Finding;
use crate::commands::policy::hosts as manifest_hosts;
use crate::commands::policy::settings::Started;
use vouchsafe_cli::clock;
use vouchsafe_exchange::root::{CHANGED, pointer_name};
use vouchsafe_host::{Application, POLICIES};
use vouchsafe_policy::{Bundle, Environment, folder};
use vouchsafe_policy_tools::lint;
use vouchsafe_policy_tools::report::{self, Item, Severity};
use vouchsafe_signer::{Config, Root, Variable, Variables};

/// Epoch of a signer without the variable.
const EPOCH_SECONDS: u64 = 3600;

/// The value of a variable; empty if the manifest has no such variable.
pub fn variable<'a>(application: &'a Application, name: &str) -> &'a str {
    application.resolved.application_variables.get(name).map_or("", String::as_str)
}

fn is_development(application: &Application) -> bool {
    variable(application, "development") == "true"
}

/// The manifest and the variables, which were read.
pub fn configuration(application: &Application) -> Finding {
    let (manifest, issuer) = (application.options.manifest.display(), variable(application, "issuer"));
    let text = format!("{manifest}, for the broker at {issuer}");
    match is_development(application) {
        false => Finding::ok("configuration", text),
        true => Finding::warning("configuration", format!("{text}, in development mode"))
            .fix("unset `development` before others can reach this broker".to_owned()),
    }
}

/// Loads the bundle; reports its errors and warnings.
pub fn bundle(application: &Application) -> (Option<Bundle>, Vec<Finding>) {
    let what = "bundle";
    let Some(dir) = application.mounted(POLICIES) else {
        let fix = format!("add {{ source = \"policies\", destination = \"{POLICIES}\" }} to `files`");
        return (None, vec![Finding::error(what, format!("the manifest mounts none at {POLICIES}")).fix(fix)]);
    };
    let shown = dir.display();
    if !dir.is_dir() {
        let fix = "set --policies to the folder that contains `bundle.toml`".to_owned();
        return (None, vec![Finding::error(what, format!("`{shown}` is not a folder")).fix(fix)]);
    }
    let environment = Environment {
        issuer: variable(application, "issuer").to_owned(),
        development: is_development(application),
        epoch_seconds: variable(application, "signer_epoch").parse().unwrap_or(EPOCH_SECONDS),
    };
    let (files, unread) = folder::read_readable(&dir);
    let mut report = match unread.is_empty() {
        true => lint::check(&files, &environment),
        false => lint::check_readable(&files, &environment, unread),
    };
    if let Ok(now) = clock::unix_seconds() {
        report.warnings.extend(lint::expiring_keys(&files, now));
    }
    let mut findings = of_items(what, &report::items(&files, &report));
    if let (true, Some(bundle)) = (findings.is_empty(), &report.bundle) {
        let (name, version) = (&bundle.name, &bundle.version);
        findings.push(Finding::ok(what, format!("{shown}: {name} {version}, without errors and warnings")));
    }
    (report.bundle, findings)
}

/// Hosts that the manifest allows, and those that issuers need.
pub fn hosts(application: &Application, bundle: &Bundle) -> Vec<Finding> {
    let what = "allowed hosts";
    let compared = manifest_hosts::compare(&application.options.manifest, bundle, is_development(application));
    match compared {
        Err(failure) => vec![Finding::error(what, failure.message).fix(failure.hint)],
        Ok(items) if items.is_empty() => vec![Finding::ok(what, "those that the issuers need")],
        Ok(items) => of_items(what, &items),
    }
}

fn of_items(what: &str, items: &[Item]) -> Vec<Finding> {
    let of = |item: &Item| {
        let place = item.place.as_ref().map(|place| format!(":{}", place.position.line)).unwrap_or_default();
        let why = format!("{}{place}: {}", item.file, item.message);
        let finding = match item.severity {
            Severity::Error => Finding::error(what, why),
            Severity::Warning => Finding::warning(what, why),
        };
        finding.fix(item.fix.clone())
    };
    items.iter().map(of).collect()
}

/// The signing root, compared with the one that the database remembers. `None` if the root is in an HSM.
pub fn root(application: &Application) -> Option<Finding> {
    let what = "signing root";
    if !application.manifest.variables().contains_key(Variable::SignerRoot.name()) {
        return None;
    }
    let mut variables = Variables::default();
    for each in Variable::LOCAL {
        variables.slot(each).push_str(variable(application, each.name()));
    }
    // Wrong variables are reported as such.
    let (config, root) = (Config::parse(&variables).ok()?, Root::parse(&variables).ok()?);
    Some(match application.remembered(&pointer_name(config.issuer(), config.group())) {
        Err(error) => Finding::warning(what, error.message).fix(error.hint),
        Ok(None) => Finding::ok(what, "the database remembers none yet"),
        Ok(Some(known)) if known == root.fingerprint() => Finding::ok(what, "the one that the database has seen"),
        Ok(Some(_)) => Finding::warning(what, CHANGED),
    })
}

/// Audiences, and the signer's ceilings.
pub fn audiences(application: &Application, bundle: &Bundle) -> Vec<Finding> {
    let what = "audiences";
    let variables = application.resolved.application_variables.clone();
    let started = Started::with(&application.options.manifest, &application.manifest, variables);
    let refused = started.unsignable(bundle).into_iter();
    let mut findings: Vec<_> = refused.map(|item| Finding::error(what, item.message).fix(item.fix)).collect();
    let allowed = variable(application, "signer_audiences");
    for unknown in allowed.split_whitespace().filter(|id| *id != "*") {
        if !bundle.audiences().any(|audience| audience.id == unknown) {
            let why = format!("`signer_audiences` contains `{unknown}`, which the bundle does not have");
            findings.push(Finding::warning(what, why).fix("remove it from that variable".to_owned()));
        }
    }
    match findings.is_empty() {
        true => vec![Finding::ok(what, "the signer signs for all of them")],
        false => findings,
    }
}
