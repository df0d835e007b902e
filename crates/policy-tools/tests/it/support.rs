//! Small bundles in memory, and tokens for them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use vouchsafe_policy::{BundleFiles, Environment};

/// 2027-01-01T00:00:00Z.
pub const NOW: u64 = 1_798_761_600;

pub const SCHEMA: &str = r#"
entity Issuer;
entity Audience;
namespace GitHub {
  entity Workflow in [Issuer] = {
    repository_id: String,
    ref: String,
    run?: Long,
  };
}
action issue appliesTo {
  principal: [GitHub::Workflow],
  resource: [Audience],
  context: {
    requested_lifetime_seconds: Long,
    scopes: Set<String>,
    now: datetime,
    client_ip?: ipaddr,
    proof_of_possession: Bool,
  },
};
"#;

pub const GITHUB: &str = "issuer = \"https://idp.example\"\nprovider = \"github\"\n";
pub const API: &str = "id = \"https://api.example\"\nscopes = [\"read\", \"write\"]\n";

pub const RULES: &str = r#"@id("api")
permit (
  principal is GitHub::Workflow in Issuer::"github",
  action == Action::"issue",
  resource == Audience::"https://api.example"
) when { principal.repository_id == "1" && ["read"].containsAll(context.scopes) }
unless { principal.ref == "refs/heads/evil" };

@id("never")
forbid (principal is GitHub::Workflow, action, resource)
when { principal.ref == "refs/heads/closed" };
"#;

pub const BASE: &str = "id = \"a\"\n[claims]\nrepository_id = \"1\"\nref = \"refs/heads/main\"\n";

pub const ALLOWED: &str = "issuer = \"github\"\nrules = [\"api\"]\n[request]\n\
    audience = \"https://api.example\"\nscopes = [\"read\"]\n";
pub const FORBIDDEN: &str = "issuer = \"github\"\nrules = [\"never\"]\nclaims.ref = \"refs/heads/closed\"\n\
    [request]\naudience = \"https://api.example\"\n";

pub fn environment() -> Environment {
    Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 }
}

/// A bundle whose cases are all met, with `changes`: a path and its content, or none to omit the file.
pub fn files(changes: &[(&str, Option<&str>)]) -> BundleFiles {
    let whole = [
        ("bundle.toml", "name = \"test\"\nversion = \"1\"\n"),
        ("schema.cedarschema", SCHEMA),
        ("issuers/github.toml", GITHUB),
        ("audiences/api.toml", API),
        ("rules/api.cedar", RULES),
        ("tests/github.toml", BASE),
        ("tests/api/allow/main reads.toml", ALLOWED),
        ("tests/never/deny/closed.toml", FORBIDDEN),
    ];
    let mut files = BundleFiles::default();
    let kept = whole
        .iter()
        .filter(|(path, _)| !changes.iter().any(|(changed, _)| changed == path))
        .map(|(path, content)| (*path, Some(*content)));
    for (path, content) in kept.chain(changes.iter().copied()) {
        if let Some(content) = content {
            files.add(path, content.into()).expect("within the limits");
        }
    }
    files
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// The JWK Set of the key that [`token`] signs with.
pub fn keys() -> String {
    let x = URL_SAFE_NO_PAD.encode(key().verifying_key().as_bytes());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "alg": "EdDSA", "use": "sig", "x": x }] })
        .to_string()
}

/// A token of `idp.example` with all claims of GitHub's, and `changes`.
pub fn token(changes: &[(&str, Value)]) -> String {
    let mut claims = json!({
        "iss": "https://idp.example", "aud": "https://broker.example", "sub": "a", "jti": "j",
        "iat": NOW, "nbf": NOW, "exp": NOW + 300,
        "actor": "octocat", "event_name": "push", "ref": "refs/heads/main",
        "repository": "o/r", "repository_id": "1", "repository_owner": "o",
        "repository_owner_id": "65", "run_id": "1", "workflow": "deploy",
    });
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": "EdDSA", "kid": "k", "typ": "JWT" });
    let input = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(input.as_bytes()).to_bytes());
    format!("{input}.{signature}")
}
