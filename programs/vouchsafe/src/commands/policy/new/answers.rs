//! What a new issuer, audience or policy is like: from flags, and from answers where flags are missing.

use super::args::{AudienceArgs, IssuerArgs, RuleArgs};
use super::ask::{Asker, Question};
use std::path::Path;
use vouchsafe_cli::Failure;
use vouchsafe_policy::{Bundle, BundleFiles, Environment, Provider, parse_unix_seconds, providers};
use vouchsafe_policy_tools::scaffold::{
    self, Hours, MadePolicy, Network, NewAudience, NewFiles, NewIssuer, NewKeys, NewPolicy, ScaffoldError,
};

pub(super) fn audience(
    args: &AudienceArgs,
    files: &BundleFiles,
    environment: &Environment,
    asker: &mut Asker<'_>,
) -> Result<NewFiles, Failure> {
    must_be_new(files, &format!("audiences/{}.toml", args.name))?;
    let mut new = NewAudience {
        name: args.name.clone(),
        max_lifetime: args.max_lifetime.clone(),
        single_use: args.single_use,
        ..NewAudience::default()
    };
    // A wrong flag is no reason to ask for other values again.
    scaffold::audience(files, environment, &NewAudience { id: "https://new.invalid".to_owned(), ..new.clone() })
        .map_err(failure)?;
    let loads =
        |new: &NewAudience| scaffold::audience(files, environment, new).map(|_| ()).map_err(|error| reason(&error));
    let question = Question { what: "The `aud` of issued tokens", flag: "--id URL", choices: Vec::new() };
    new.id = asker.one(&question, args.id.as_ref(), |id| {
        loads(&NewAudience { id: id.to_owned(), ..new.clone() }).map(|()| id.to_owned())
    })?;
    let question = Question { what: "A scope that can be requested", flag: "--scope S", choices: Vec::new() };
    new.scopes = asker.list(&question, &args.scopes, |scope| {
        loads(&NewAudience { scopes: vec![scope.to_owned()], ..new.clone() }).map(|()| scope.to_owned())
    })?;
    new.scopes_required = args.scopes_required;
    scaffold::audience(files, environment, &new).map_err(failure)
}

pub(super) fn issuer(
    args: &IssuerArgs,
    files: &BundleFiles,
    environment: &Environment,
    asker: &mut Asker<'_>,
) -> Result<NewFiles, Failure> {
    must_be_new(files, &format!("issuers/{}.toml", args.name))?;
    let mut new = NewIssuer { name: args.name.clone(), claims: args.claims.clone(), ..NewIssuer::default() };
    let known: Vec<String> = providers().map(|provider| provider.name.to_owned()).collect();
    let question = Question { what: "The kind of issuer", flag: "--provider P", choices: known.clone() };
    new.provider = asker.one(&question, args.provider.as_ref(), |name| match Provider::named(name) {
        Some(provider) => Ok(provider.name.to_owned()),
        None => Err(reason(&ScaffoldError::ProviderUnknown { name: name.to_owned(), known: known.join("`, `") })),
    })?;
    // What other values than the URL have to mend.
    let beside_url = ["tenant-not-pinned", "trust-domain-without-keys"];
    let question = Question { what: "The exact `iss` of its tokens", flag: "--url URL", choices: Vec::new() };
    new.url = asker.one(&question, args.url.as_ref(), |url| {
        let errors = errors(files, environment, &NewIssuer { url: url.to_owned(), ..new.clone() });
        match errors.into_iter().find(|(code, _)| !beside_url.contains(code)) {
            Some((_, wrong)) => Err(wrong),
            None => Ok(url.to_owned()),
        }
    })?;
    let given = args.require.iter().map(|text| pair(text).map_err(Failure::usage));
    new.require = given.collect::<Result<_, _>>()?;
    let tenancy = Provider::named(&new.provider).and_then(|provider| provider.unpinned_tenancy(&new.url));
    if let (Some(names), true) = (tenancy, new.require.is_empty()) {
        new.require.push(tenant(names, files, environment, &new, asker)?);
    }
    new.keys = keys(args, asker)?;
    scaffold::issuer(files, environment, &new).map_err(failure)
}

/// One of the claims `names`, which tell the tokens of one tenant from those of the others.
fn tenant(
    names: &[&str],
    files: &BundleFiles,
    environment: &Environment,
    new: &NewIssuer,
    asker: &mut Asker<'_>,
) -> Result<(String, String), Failure> {
    let choices = names.iter().map(|name| (*name).to_owned()).collect();
    let what = "A claim that only your tokens have, as NAME=VALUE";
    let question = Question { what, flag: "--require NAME=VALUE", choices };
    asker.one(&question, None, |text| {
        let pair = pair(text)?;
        let errors = errors(files, environment, &NewIssuer { require: vec![pair.clone()], ..new.clone() });
        match errors.into_iter().find(|(code, _)| *code != "trust-domain-without-keys") {
            Some((_, wrong)) => Err(wrong),
            None => Ok(pair),
        }
    })
}

/// Why the bundle would not load with this issuer, by code.
fn errors(files: &BundleFiles, environment: &Environment, new: &NewIssuer) -> Vec<(&'static str, String)> {
    match scaffold::issuer(files, environment, new) {
        Ok(_) => Vec::new(),
        Err(ScaffoldError::Invalid(invalid)) => {
            invalid.diagnostics.iter().map(|error| (error.kind.code(), error.kind.to_string())).collect()
        }
        Err(other) => vec![("", other.to_string())],
    }
}

/// The key source of the issuer, from flags or answers.
fn keys(args: &IssuerArgs, asker: &mut Asker<'_>) -> Result<NewKeys, Failure> {
    let document = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    if let (Some(path), Some(expires)) = (&args.pinned, &args.expires) {
        return Ok(NewKeys::Pinned { document: document(path).map_err(Failure::usage)?, expires: expires.clone() });
    }
    if let Some(uri) = &args.jwks_uri {
        return Ok(NewKeys::JwksUri(uri.clone()));
    }
    enum Source {
        Document(String),
        Uri(String),
    }
    let what = "The URL or the file of its keys if it has no discovery document";
    let question = Question { what, flag: "--jwks-uri URL", choices: Vec::new() };
    let source = asker.optional(&question, |text| match text.contains("://") {
        true => Ok(Source::Uri(text.to_owned())),
        false => document(Path::new(text)).map(Source::Document),
    })?;
    match source {
        None => Ok(NewKeys::Discovery),
        Some(Source::Uri(uri)) => Ok(NewKeys::JwksUri(uri)),
        Some(Source::Document(document)) => {
            let what = "The date on which these keys expire, such as 2027-01-01";
            let question = Question { what, flag: "--expires DATE", choices: Vec::new() };
            let expires = asker.one(&question, None, |text| match parse_unix_seconds(text) {
                Some(_) => Ok(text.to_owned()),
                None => Err(format!("`{text}` is not a date such as 2027-01-01")),
            })?;
            Ok(NewKeys::Pinned { document, expires })
        }
    }
}

pub(super) fn policy(
    args: &RuleArgs,
    files: &BundleFiles,
    environment: &Environment,
    asker: &mut Asker<'_>,
) -> Result<MadePolicy, Failure> {
    let mut new =
        NewPolicy { id: args.id.clone(), intent: args.intent.clone(), replace: args.replace, ..NewPolicy::default() };
    if !args.replace {
        must_be_new(files, &new.path())?;
    }
    let bundle = Bundle::load(files, environment)
        .map_err(|invalid| Failure::refused(format!("the bundle does not load\n{invalid}")))?;
    let choices = bundle.issuers_of_all_environments().map(|issuer| issuer.name.clone()).collect();
    let question = Question { what: "The issuer of the workloads", flag: "--issuer-name NAME", choices };
    let issuer = asker.one(&question, args.issuer_name.as_ref(), |name| {
        scaffold::known_issuer(&bundle, name).map_err(|error| reason(&error))
    })?;
    new.issuer.clone_from(&issuer.name);
    let choices = bundle.audiences().map(|audience| audience.id.clone()).collect();
    let question = Question { what: "The audience of the tokens", flag: "--audience A", choices };
    let audience = asker.one(&question, args.audience.as_ref(), |id| {
        scaffold::known_audience(&bundle, id).map_err(|error| reason(&error))
    })?;
    new.audience.clone_from(&audience.id);
    let choices = audience.scopes.clone();
    let question = Question { what: "A scope that the workloads may request", flag: "--scope S", choices };
    let offered =
        |scope: &str| scaffold::check_scope(audience, scope).map(|()| scope.to_owned()).map_err(|error| reason(&error));
    new.scopes = match audience.scopes_required {
        true => asker.some(&question, &args.scopes, offered)?,
        false => asker.list(&question, &args.scopes, offered)?,
    };
    let choices = scaffold::claims_of(issuer).iter().map(|claim| claim.name.to_string()).collect();
    let what = "A claim that the workloads must have, as NAME=VALUE";
    let question = Question { what, flag: "--claim NAME=VALUE", choices };
    let environment_claim = args.environment.iter().map(|name| format!("environment={name}"));
    let given: Vec<String> = args.claims.iter().cloned().chain(environment_claim).collect();
    new.claims = asker.some(&question, &given, |text| {
        let (name, value) = pair(text)?;
        scaffold::known_claim(issuer, &name, &value).map_err(|error| reason(&error))?;
        Ok((name, value))
    })?;
    let networks = args.networks.iter().map(|text| Network::parse(text).map_err(failure));
    new.networks = networks.collect::<Result<_, _>>()?;
    let hours = args.office_hours.as_deref().map(|text| Hours::parse(text, &bundle));
    new.hours = hours.transpose().map_err(failure)?;
    scaffold::policy(files, environment, &new).map_err(failure)
}

fn must_be_new(files: &BundleFiles, path: &str) -> Result<(), Failure> {
    match files.content(path) {
        None => Ok(()),
        Some(_) => Err(failure(ScaffoldError::AlreadyExists(path.to_owned()))),
    }
}

/// Why one answer is wrong, without the file and line that it would have had.
fn reason(error: &ScaffoldError) -> String {
    match error {
        ScaffoldError::Invalid(invalid) => {
            let reasons: Vec<String> = invalid.diagnostics.iter().map(|error| error.kind.to_string()).collect();
            reasons.join("; ")
        }
        other => other.to_string(),
    }
}

fn failure(error: ScaffoldError) -> Failure {
    let text = error.to_string();
    match error {
        ScaffoldError::AlreadyExists(path) if path.starts_with("rules/") => {
            Failure::refused(text).hint("`--replace` replaces a policy and its cases")
        }
        ScaffoldError::AlreadyExists(_) | ScaffoldError::Invalid(_) | ScaffoldError::NeverPermits(_) => {
            Failure::refused(text)
        }
        ScaffoldError::OthersInFile(_) => Failure::refused(text).hint("edit it by hand"),
        ScaffoldError::ZoneUnknown { zone, .. } => {
            Failure::usage(text).hint(format!("add `{zone} = \"Europe/Berlin\"` to `[zones]` of `bundle.toml`"))
        }
        _ => Failure::usage(text),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| format!("`{text}` is not a claim with its value, such as `ref=refs/heads/main`"))
}
