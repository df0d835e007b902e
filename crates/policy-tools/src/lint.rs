//! Lints: errors and warnings of `vouchsafe policy check` about bundles that load.

mod actors;
mod addresses;
mod administration;
mod clients;
mod clock;
mod domain;
mod events;
mod expression;
mod facts;
mod invisible;
mod judge;
mod patterns;
mod permits;
mod place;
mod presence;
mod reach;
mod requests;
mod scene;
mod scopes;
mod search;
mod settings;
mod strangers;
mod value;
mod values;
mod warning;

use crate::cases::undecidable::undecidable;
use crate::cases::{self, Case};
use crate::conditions::Conditions;
use crate::error::{CheckError, SuiteError};
use crate::outcome::outcome;
use crate::profiles::Profiles;
use cedar_policy::{ValidationMode, ValidationWarning, Validator};
use clock::Clock;
use facts::Rule;
use judge::Forbids;
use miette::Diagnostic as _;
use reach::Overruling;
pub use scopes::writing_scopes;
use std::collections::BTreeSet;
use std::fmt;
pub use strangers::{Proposal, proposals};
use vouchsafe_policy::authoring::span::diagnostic_in;
use vouchsafe_policy::authoring::{proof, text_of, toml_span};
use vouchsafe_policy::{
    Bundle, BundleFiles, Diagnostic, Environment, NamedPolicy, parse_unix_seconds, policy_set, to_rfc3339,
};
pub use warning::Warning;

/// How many days ahead to warn that pinned keys expire.
pub const PINNED_KEYS_NOTICE_DAYS: u64 = 14;
const DAY_SECONDS: u64 = 86_400;

/// The result of a check. The bundle is absent if it does not load.
#[derive(Debug, Default)]
pub struct Report {
    pub errors: Vec<Diagnostic<CheckError>>,
    pub warnings: Vec<Diagnostic<Warning>>,
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

/// Loads the bundle, and reports errors and likely mistakes.
pub fn check(files: &BundleFiles, environment: &Environment) -> Report {
    let bundle = match Bundle::load(files, environment) {
        Ok(bundle) => bundle,
        Err(error) => {
            return Report { errors: SuiteError::from(error).diagnostics, ..Report::default() };
        }
    };
    let (cases, mut errors) = match cases::read(files, &bundle) {
        Ok(cases) => {
            let unmet = unmet(files, environment, &cases);
            (cases, unmet)
        }
        Err(diagnostics) => (Vec::new(), diagnostics),
    };
    let (mut warnings, impossible) = validator_warnings(files, &bundle);
    let mut dead: Vec<&str> = impossible.iter().map(String::as_str).collect();
    let checks = Checks::of(&bundle);
    for policy in bundle.policies() {
        let json = policy.cedar.to_json().unwrap_or_default();
        let conditions = Conditions::of(&json);
        let (found, is_dead) = checks.warnings(policy, &conditions);
        dead.extend(is_dead.then_some(policy.id.as_str()));
        warnings.extend(found.into_iter().map(|warning| of_policy(files, policy, warning)));
        errors.extend(presence::unknown_names(files, policy, &conditions, &bundle));
        errors.extend(addresses::forbid_that_needs_one(files, policy, &json));
    }
    errors.extend(proof::require(files).err().map(|unproven| unproven.map(CheckError::from)));
    warnings.extend(of_other_profiles(files, environment, &bundle));
    let unused = bundle.unused_templates().iter();
    let unused = unused.map(|template| template.diagnostic(files, Warning::TemplateUnused(template.id.clone())));
    warnings.extend(unused);
    let wide = administration::beyond_one_group(&bundle).into_iter();
    let acting = actors::strangers(&bundle, &cases).into_iter();
    warnings.extend(wide.chain(acting).map(|(policy, warning)| of_policy(files, policy, warning)));
    warnings.extend(clients::warnings(files, &bundle));
    warnings.extend(invisible::warnings(files));
    warnings.extend(settings::warnings(files, &bundle, environment, &dead));
    if errors.is_empty() {
        warnings.extend(untested(files, &bundle, &cases));
    }
    warnings.sort_by(|one, next| (&one.file, one.position).cmp(&(&next.file, next.position)));
    Report { errors, warnings, bundle: Some(bundle) }
}

/// Warnings about policies that are in force only at brokers with another profile.
fn of_other_profiles(files: &BundleFiles, environment: &Environment, bundle: &Bundle) -> Vec<Diagnostic<Warning>> {
    let mut seen: BTreeSet<String> = bundle.policies().iter().map(|policy| policy.id.clone()).collect();
    let mut warnings = Vec::new();
    for url in bundle.profile_names().filter_map(|name| bundle.profile(name)) {
        let environment = Environment { issuer: url.to_owned(), ..environment.clone() };
        // A bundle that does not load there is an error of the cases that name the profile.
        let Ok(other) = Bundle::load(files, &environment) else {
            continue;
        };
        let checks = Checks::of(&other);
        for policy in other.policies().iter().filter(|policy| seen.insert(policy.id.clone())) {
            let json = policy.cedar.to_json().unwrap_or_default();
            let (found, _) = checks.warnings(policy, &Conditions::of(&json));
            warnings.extend(found.into_iter().map(|warning| of_policy(files, policy, warning)));
        }
    }
    warnings
}

/// What the checks of all policies share.
struct Checks<'b> {
    bundle: &'b Bundle,
    clock: Clock,
    forbids: Forbids<'b>,
    overruling: Overruling<'b>,
}

impl<'b> Checks<'b> {
    fn of(bundle: &'b Bundle) -> Self {
        let (clock, forbids) = (Clock::of(bundle), Forbids::of(bundle));
        Self { bundle, clock, forbids, overruling: Overruling::of(bundle) }
    }

    /// The warnings about a policy, and whether it never takes effect.
    fn warnings(&self, policy: &NamedPolicy, conditions: &Conditions<'_>) -> (Vec<Warning>, bool) {
        let bundle = self.bundle;
        let rule = Rule::of(policy, conditions, bundle);
        let mut found = values::unknown(&rule, bundle);
        if !policy.is_forbid() {
            found.extend(permits::warnings(&rule, bundle, &self.clock, &self.forbids));
            found.extend(scopes::not_offered(policy, conditions, bundle));
        }
        let overruled = || match policy.is_forbid() {
            true => None,
            false => reach::overruled(policy, conditions, &self.overruling, bundle),
        };
        let never = reach::never_matches(policy, conditions, bundle).or_else(overruled);
        let is_dead = never.is_some();
        found.extend(never);
        (found, is_dead)
    }
}

/// Like [`check`], for a folder with `unread` files. Reports those first, then the errors of the other `files` that are
/// not merely a consequence of missing ones. The report has no bundle.
pub fn check_readable(files: &BundleFiles, environment: &Environment, unread: Vec<Diagnostic>) -> Report {
    let mut report = check(files, environment);
    report.bundle = None;
    let defines = |diagnostic: &Diagnostic| !diagnostic.file.starts_with("tests/");
    if unread.iter().any(defines) {
        report.errors.retain(|error| !error.kind.is_about_missing());
    }
    report.warnings.retain(|warning| !warning.kind.is_about_missing());
    let unread = unread.into_iter().map(|it| it.map(CheckError::from));
    report.errors.splice(0..0, unread);
    report
}

/// Pinned keys that have expired at `now`, or will within [`PINNED_KEYS_NOTICE_DAYS`]. Ignores files that are not valid
/// issuer files, which [`check`] reports.
pub fn expiring_keys(files: &BundleFiles, now: u64) -> Vec<Diagnostic<Warning>> {
    let expiry = |content: &[u8]| {
        let table: toml::Table = toml::from_str(std::str::from_utf8(content).ok()?).ok()?;
        parse_unix_seconds(table.get("keys")?.get("expires")?.as_str()?)
    };
    let warning = |expires: u64| {
        let date = to_rfc3339(expires)?;
        let left = expires.saturating_sub(now);
        match left {
            0 => Some(Warning::PinnedKeysExpired(date)),
            left if left <= PINNED_KEYS_NOTICE_DAYS * DAY_SECONDS => {
                let days = left / DAY_SECONDS;
                Some(Warning::PinnedKeysExpireSoon { date, days })
            }
            _ => None,
        }
    };
    files
        .iter()
        .filter(|(path, _)| path.starts_with("issuers/") && path.ends_with(".toml"))
        .filter_map(|(path, content)| {
            let warning = warning(expiry(content)?)?;
            let text = text_of(files, path);
            let place = toml_span::value(text, &["keys", "expires"]);
            Some(Diagnostic::in_file(path, text, place, warning))
        })
        .collect()
}

/// Cases that are not met. Decided as in development, because cases of development issuers count too.
fn unmet(files: &BundleFiles, environment: &Environment, cases: &[Case]) -> Vec<Diagnostic<CheckError>> {
    let development = Environment { development: true, ..environment.clone() };
    let mut profiles = match Profiles::load(files, &development) {
        Ok(profiles) => profiles,
        Err(invalid) => return invalid.diagnostics,
    };
    let mut diagnostic = |case: &Case| {
        let bundle = match profiles.bundle(case.profile.as_deref()) {
            Ok(bundle) => bundle,
            Err(invalid) => return invalid.diagnostics.into_iter().next(),
        };
        let text = text_of(files, &case.path);
        let found = |path: &[&str], error: CheckError| {
            let place = toml_span::value(text, path);
            Some(Diagnostic::in_file(&case.path, text, place, error))
        };
        match case.decide(bundle) {
            Ok(decision) if case.is_met_by(&decision) => None,
            Ok(decision) => found(
                &["rules"],
                CheckError::CaseUnmet {
                    expected: outcome(case.effect, &case.policies, &case.erring),
                    found: outcome(decision.effect, &decision.determining_rules, &decision.erring_rules),
                },
            ),
            Err(error) => Some(undecidable(files, bundle, case, error)),
        }
    };
    // Verification refuses these tokens before policies are evaluated.
    let of_policies = cases.iter().filter(|case| case.refused.is_none());
    let mut diagnostics: Vec<_> = of_policies.filter_map(&mut diagnostic).collect();
    // An error in a file with default claims is reported once.
    diagnostics.dedup();
    diagnostics
}

fn of_policy(files: &BundleFiles, policy: &NamedPolicy, warning: Warning) -> Diagnostic<Warning> {
    diagnostic_in(files, policy, warning.place(policy), warning)
}

/// The warnings of Cedar's validator, and the policies that it knows never to match.
fn validator_warnings(files: &BundleFiles, bundle: &Bundle) -> (Vec<Diagnostic<Warning>>, Vec<String>) {
    let Ok(set) = policy_set(bundle.policies()) else {
        return (Vec::new(), Vec::new());
    };
    let result = Validator::new(bundle.schema().clone()).validate(&set, ValidationMode::Strict);
    let (mut warnings, mut impossible) = (Vec::new(), Vec::new());
    for warning in result.validation_warnings() {
        let id: &str = warning.policy_id().as_ref();
        let Some(policy) = bundle.policies().iter().find(|policy| policy.id == id) else {
            continue;
        };
        if matches!(warning, ValidationWarning::ImpossiblePolicy(_)) {
            impossible.push(policy.id.clone());
        }
        let message = warning.to_string();
        let help = warning.help().map(|help| help.to_string());
        let label = warning.labels().and_then(|mut labels| labels.next());
        let place = label
            .filter(|_| !policy.is_template_linked() && !impossible.contains(&policy.id))
            .map(|it| it.offset()..it.offset().saturating_add(it.len()));
        let warning = Warning::Cedar { message, help };
        warnings.push(diagnostic_in(files, policy, place, warning));
    }
    (warnings, impossible)
}

fn untested(files: &BundleFiles, bundle: &Bundle, cases: &[Case]) -> Vec<Diagnostic<Warning>> {
    let determining: BTreeSet<&str> = cases.iter().flat_map(|case| &case.policies).map(String::as_str).collect();
    let without = bundle
        .policies_of_all_actions()
        .filter(|policy| !determining.contains(policy.id.as_str()))
        .map(|policy| of_policy(files, policy, Warning::PolicyWithoutTest(policy.id.clone())));
    let unknown = cases
        .iter()
        .filter(|case| !bundle.has_policy(&case.policy))
        .map(|case| Diagnostic::of_file(&case.path, Warning::PolicyOfCaseUnknown(case.policy.clone())));
    without.chain(unknown).collect()
}
