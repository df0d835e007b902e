//! What `vouchsafe policy check` says beyond what keeps a bundle from loading.

mod addresses;
mod candidate;
mod caution;
mod conditions;
mod forks;
mod patterns;
mod permits;
mod presence;
mod reach;
mod settings;

use crate::bundle::Bundle;
use crate::calendar::{parse_unix_seconds, to_rfc3339};
use crate::cases::{self, Case};
use crate::decide::Effect;
use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::listing::text_of;
use crate::profiles::Profiles;
use crate::records::Environment;
use crate::rules::{Rule, found_in, policy_set};
use crate::toml_places;
pub use caution::Caution;
use cedar_policy::{ValidationMode, ValidationWarning, Validator};
pub(crate) use conditions::operands;
use miette::Diagnostic;
use std::collections::BTreeSet;
use std::fmt;

/// How many days ahead the end of pinned keys is told.
pub const PINNED_KEYS_NOTICE_DAYS: u64 = 14;
const DAY_SECONDS: u64 = 86_400;

/// What was found. A bundle with errors does not load.
#[derive(Debug, Default)]
pub struct Report {
    pub errors: Vec<Finding>,
    pub warnings: Vec<Finding<Caution>>,
    pub bundle: Option<Bundle>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

/// Loads the bundle and looks at what is hardly meant.
pub fn check(files: &BundleFiles, environment: &Environment) -> Report {
    let bundle = match Bundle::load(files, environment) {
        Ok(bundle) => bundle,
        Err(invalid) => {
            return Report {
                errors: invalid.findings,
                ..Report::default()
            };
        }
    };
    let (cases, mut errors) = match cases::read(files, &bundle) {
        Ok(cases) => {
            let unmet = unmet(files, environment, &cases);
            (cases, unmet)
        }
        Err(findings) => (Vec::new(), findings),
    };
    let (mut warnings, impossible) = validator_warnings(files, &bundle);
    let mut dead: Vec<&str> = impossible.iter().map(String::as_str).collect();
    let forbids = candidate::Forbids::of(&bundle);
    for rule in bundle.rules() {
        let mut cautions = permits::cautions(rule, &bundle, &forbids);
        let never = reach::never_matches(rule, &bundle);
        let overruled = || match rule.is_forbid() {
            true => None,
            false => reach::overruled(rule, &bundle),
        };
        if let Some(caution) = never.or_else(overruled) {
            dead.push(&rule.id);
            cautions.push(caution);
        }
        let cautions = cautions.into_iter();
        warnings.extend(cautions.map(|caution| of_rule(files, rule, caution)));
    }
    let rules = bundle.rules().iter();
    errors.extend(rules.flat_map(|rule| presence::unknown_names(files, rule, &bundle)));
    let rules = bundle.rules().iter();
    errors.extend(rules.filter_map(|rule| addresses::forbid_that_needs_one(files, rule)));
    let unused = bundle.unused_templates().iter();
    let unused =
        unused.map(|template| template.found(files, Caution::TemplateUnused(template.id.clone())));
    warnings.extend(unused);
    warnings.extend(settings::cautions(files, &bundle, &dead));
    if errors.is_empty() {
        warnings.extend(untested(files, &bundle, &cases));
    }
    warnings.sort_by(|one, next| (&one.file, one.position).cmp(&(&next.file, next.position)));
    Report {
        errors,
        warnings,
        bundle: Some(bundle),
    }
}

/// As [`check`], for a folder of which `unread` could not be read: those findings first, then what is wrong
/// with `files`, the rest of it, but for what only follows from a file that is not among them. Such a report
/// has no bundle.
pub fn check_readable(
    files: &BundleFiles,
    environment: &Environment,
    unread: Vec<Finding>,
) -> Report {
    let mut report = check(files, environment);
    report.bundle = None;
    let defines = |finding: &Finding| !finding.file.starts_with("tests/");
    if unread.iter().any(defines) {
        report
            .errors
            .retain(|error| !error.problem.is_of_something_absent());
    }
    report
        .warnings
        .retain(|warning| !warning.problem.is_of_something_absent());
    report.errors.splice(0..0, unread);
    report
}

/// Pinned keys that have expired at `now`, or will within [`PINNED_KEYS_NOTICE_DAYS`]. What does not
/// read as an issuer file is passed over: [`check`] says what is wrong with it.
pub fn expiring_keys(files: &BundleFiles, now: u64) -> Vec<Finding<Caution>> {
    let expiry = |content: &[u8]| {
        let table: toml::Table = toml::from_str(std::str::from_utf8(content).ok()?).ok()?;
        parse_unix_seconds(table.get("keys")?.get("expires")?.as_str()?)
    };
    let caution = |expires: u64| {
        let date = to_rfc3339(expires)?;
        let left = expires.saturating_sub(now);
        match left {
            0 => Some(Caution::PinnedKeysExpired(date)),
            left if left <= PINNED_KEYS_NOTICE_DAYS * DAY_SECONDS => {
                let days = left / DAY_SECONDS;
                Some(Caution::PinnedKeysExpireSoon { date, days })
            }
            _ => None,
        }
    };
    files
        .iter()
        .filter(|(path, _)| path.starts_with("issuers/") && path.ends_with(".toml"))
        .filter_map(|(path, content)| {
            let caution = caution(expiry(content)?)?;
            let text = text_of(files, path);
            let place = toml_places::value(text, &["keys", "expires"]);
            Some(Finding::found(path, text, place, caution))
        })
        .collect()
}

/// Cases that come out otherwise than they say. Cases of development issuers count too, so they are
/// decided as in development.
fn unmet(files: &BundleFiles, environment: &Environment, cases: &[Case]) -> Vec<Finding> {
    let development = Environment {
        development: true,
        ..environment.clone()
    };
    let mut profiles = match Profiles::load(files, &development) {
        Ok(profiles) => profiles,
        Err(invalid) => return invalid.findings,
    };
    let mut finding = |case: &Case| {
        let bundle = match profiles.bundle(case.profile.as_deref()) {
            Ok(bundle) => bundle,
            Err(invalid) => return invalid.findings.into_iter().next(),
        };
        let text = text_of(files, &case.path);
        let found = |path: &[&str], problem: Problem| {
            let place = toml_places::value(text, path);
            Some(Finding::found(&case.path, text, place, problem))
        };
        match case.decide(bundle) {
            Ok(decision) if case.is_met_by(&decision) => None,
            Ok(decision) => found(
                &["rules"],
                Problem::CaseUnmet {
                    expected: outcome(case.effect, &case.rules, &case.erring),
                    found: outcome(
                        decision.effect,
                        &decision.determining_rules,
                        &decision.erring_rules,
                    ),
                },
            ),
            Err(error) => Some(cases::undecidable(files, bundle, case, error)),
        }
    };
    // Whether verification refuses a token is not for the rules to say.
    let of_rules = cases.iter().filter(|case| case.refused.is_none());
    let mut findings: Vec<Finding> = of_rules.filter_map(&mut finding).collect();
    // What is wrong in the file that several cases start from is wrong once.
    findings.dedup();
    findings
}

/// A decision in words, such as "deny by `no-forks`".
pub fn outcome(effect: Effect, rules: &[String], erring: &[String]) -> String {
    let mut words = match effect {
        Effect::Deny => "deny".to_owned(),
        Effect::Permit => "permit".to_owned(),
    };
    match rules {
        [] => words.push_str(" by no rule"),
        rules => words.push_str(&format!(" by `{}`", rules.join("`, `"))),
    }
    if !erring.is_empty() {
        words.push_str(&format!(" while `{}` errs", erring.join("`, `")));
    }
    words
}

fn of_rule(files: &BundleFiles, rule: &Rule, caution: Caution) -> Finding<Caution> {
    found_in(files, rule, caution.place(rule), caution)
}

/// What Cedar's validator warns of, and the rules that it knows never to match.
fn validator_warnings(
    files: &BundleFiles,
    bundle: &Bundle,
) -> (Vec<Finding<Caution>>, Vec<String>) {
    let Ok(set) = policy_set(bundle.rules()) else {
        return (Vec::new(), Vec::new());
    };
    let result = Validator::new(bundle.schema().clone()).validate(&set, ValidationMode::Strict);
    let (mut warnings, mut impossible) = (Vec::new(), Vec::new());
    for warning in result.validation_warnings() {
        let id: &str = warning.policy_id().as_ref();
        let Some(rule) = bundle.rules().iter().find(|rule| rule.id == id) else {
            continue;
        };
        if matches!(warning, ValidationWarning::ImpossiblePolicy(_)) {
            impossible.push(rule.id.clone());
        }
        let message = warning.to_string();
        let help = warning.help().map(|help| help.to_string());
        let label = warning.labels().and_then(|mut labels| labels.next());
        let place = label
            .filter(|_| rule.link.is_none() && !impossible.contains(&rule.id))
            .map(|it| it.offset()..it.offset().saturating_add(it.len()));
        let caution = Caution::Cedar { message, help };
        warnings.push(found_in(files, rule, place, caution));
    }
    (warnings, impossible)
}

fn untested(files: &BundleFiles, bundle: &Bundle, cases: &[Case]) -> Vec<Finding<Caution>> {
    let determining: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.rules)
        .map(String::as_str)
        .collect();
    let without = bundle
        .rules()
        .iter()
        .filter(|rule| !determining.contains(rule.id.as_str()))
        .map(|rule| of_rule(files, rule, Caution::RuleWithoutTest(rule.id.clone())));
    let unknown = cases
        .iter()
        .filter(|case| !bundle.has_rule(&case.rule))
        .map(|case| Finding::of_file(&case.path, Caution::RuleOfCaseUnknown(case.rule.clone())));
    without.chain(unknown).collect()
}
