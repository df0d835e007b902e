//! Warnings about client files.

use super::warning::Warning;
use cedar_policy::PrincipalConstraint;
use sha2::{Digest, Sha256};
use vouchsafe_policy::authoring::{can_match, text_of, toml_span};
use vouchsafe_policy::{Bundle, BundleFiles, Client, ClientCredential, Diagnostic, NamedPolicy};
use vouchsafe_providers::client::ISSUER_NAME;

/// Secrets that anyone tries first, besides the client's own id.
const GUESSES: [&str; 12] = [
    "",
    "admin",
    "apache",
    "change-me",
    "changeit",
    "changeme",
    "client-secret",
    "client_secret",
    "nginx",
    "password",
    "secret",
    "test",
];

pub(super) fn warnings(files: &BundleFiles, bundle: &Bundle) -> Vec<Diagnostic<Warning>> {
    let mut diagnostics = Vec::new();
    for client in bundle.clients() {
        let id = &client.principal.id;
        let path = format!("clients/{id}.toml");
        if !bundle.policies().iter().any(|policy| lets_introspect(policy, client, bundle)) {
            diagnostics.push(Diagnostic::of_file(&path, Warning::ClientUnused(id.clone())));
        }
        if is_guessable(client) {
            let place = toml_span::value(text_of(files, &path), &["secrets"]);
            let warning = Warning::ClientSecretGuessable(id.clone());
            diagnostics.push(Diagnostic::in_file(&path, text_of(files, &path), place, warning));
        }
    }
    diagnostics
}

/// Whether the policy can permit the client to introspect tokens, as far as its scope says.
fn lets_introspect(policy: &NamedPolicy, client: &Client, bundle: &Bundle) -> bool {
    let is_other = match policy.cedar.principal_constraint() {
        PrincipalConstraint::Eq(uid) => uid.id().unescaped() != client.principal.id,
        _ => false,
    };
    if policy.is_forbid() || is_other {
        return false;
    }
    let mut issuers = bundle.issuer_entities();
    let Some((issuer, entity)) = issuers.find(|(issuer, _)| issuer.name == ISSUER_NAME) else {
        return false;
    };
    let mut audiences = bundle.audience_uids().filter(|uid| uid.id().unescaped().ends_with("/introspect"));
    audiences.any(|audience| can_match(policy, &bundle.request_scope(issuer, entity, audience)))
}

/// The bundle has only hashes, so no other weakness of a secret shows.
fn is_guessable(client: &Client) -> bool {
    let ClientCredential::Secret(hashes) = &client.credential else { return false };
    let guesses = GUESSES.into_iter().chain([client.principal.id.as_str()]);
    let mut guesses = guesses.map(|guess| base16ct::lower::encode_string(&Sha256::digest(guess)));
    guesses.any(|guess| hashes.contains(&guess))
}
