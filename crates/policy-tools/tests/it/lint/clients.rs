//! Warnings about client files.

use super::lints::said;
use super::support::*;
use sha2::{Digest as _, Sha256};
use vouchsafe_policy_tools::lint;

const INTROSPECT: &str = "id = \"https://broker.example/introspect\"\nscopes = [\"https://api.example\"]\n";

fn secrets(secret: &str) -> String {
    format!("secrets = [\"sha256:{}\"]\n", base16ct::lower::encode_string(&Sha256::digest(secret)))
}

fn policy(principal: &str) -> String {
    format!(
        "@id(\"a\")\npermit ({principal}, action == Action::\"issue\", \
         resource == Audience::\"https://broker.example/introspect\")\n\
         when {{ [\"https://api.example\"].containsAll(context.scopes) && !context.scopes.isEmpty() }};\n"
    )
}

fn warned(client: &str, rule: &str) -> Vec<String> {
    let report = lint::check(
        &files(&[
            ("audiences/introspect.toml", Some(INTROSPECT)),
            ("clients/apache.toml", Some(client)),
            ("rules/clients.cedar", Some(rule)),
        ]),
        &environment(),
    );
    assert!(report.bundle.is_some(), "{report}");
    let others = ["rule-without-test", "audience-unreachable"];
    let warnings = report.warnings.iter().filter(|it| !others.contains(&it.kind.code()));
    let of_clients = warnings.filter(|it| it.file.starts_with("clients/") || it.file == "rules/clients.cedar");
    of_clients.map(said).collect()
}

#[test]
fn accepts_a_client_that_may_introspect() {
    let random = secrets("vouchsafe-client-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    assert_eq!(warned(&random, &policy("principal == Vouchsafe::Client::\"apache\"")), [""; 0]);
    // Clients that are added later are permitted, too.
    let any = warned(&random, &policy("principal is Vouchsafe::Client in Issuer::\"clients\""));
    assert!(any.len() == 1 && any[0].contains("names no workload of issuer `clients`"), "{any:?}");
}

#[test]
fn warns_of_clients_without_a_policy() {
    let expected = "clients/apache.toml: client `apache` may introspect nothing: no policy permits it: add a `permit` \
        for `principal == Vouchsafe::Client::\"apache\"`, or remove the file";
    for principal in
        ["principal == Vouchsafe::Client::\"nginx\"", "principal is GitHub::Workflow in Issuer::\"github\""]
    {
        let found = warned(&secrets("x"), &policy(principal));
        assert!(found.contains(&expected.to_owned()), "{principal}: {found:?}");
    }
}

#[test]
fn warns_of_secrets_that_anyone_tries() {
    let rule = policy("principal == Vouchsafe::Client::\"apache\"");
    let expected = "clients/apache.toml: the secret of client `apache` is one that anyone tries first: run `vouchsafe \
        client secret`, which prints a random one";
    for secret in ["", "secret", "apache"] {
        assert_eq!(warned(&secrets(secret), &rule), [expected], "{secret}");
    }
}
