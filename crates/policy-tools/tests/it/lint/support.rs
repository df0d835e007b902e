//! Small bundles in memory, and principals for them.

use vouchsafe_policy::{
    Attribute, AttributeValue, Bundle, BundleFiles, Environment, LoadError, Principal, TokenRequest,
};

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
    ref_protected?: Bool,
    teams?: Set<String>,
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

/// Permits every workflow of `github` the scope `read`.
pub const PERMIT: &str = r#"@id("api")
permit (
  principal is GitHub::Workflow in Issuer::"github",
  action == Action::"issue",
  resource == Audience::"https://api.example"
) when { ["read"].containsAll(context.scopes) };
"#;

pub fn environment() -> Environment {
    Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 }
}

/// A bundle that loads, with `changes`: a path and its content, or none to omit the file.
pub fn files(changes: &[(&str, Option<&str>)]) -> BundleFiles {
    let whole = [
        ("bundle.toml", "name = \"test\"\nversion = \"1\"\n"),
        ("schema.cedarschema", SCHEMA),
        ("issuers/github.toml", GITHUB),
        ("audiences/api.toml", API),
        ("rules/api.cedar", PERMIT),
    ];
    let mut files = BundleFiles::default();
    for (path, content) in whole {
        if !changes.iter().any(|(changed, _)| *changed == path) {
            files.add(path, content.into()).expect("a whole bundle is within the limits");
        }
    }
    for (path, content) in changes {
        if let Some(content) = content {
            files.add(path, (*content).into()).expect("a change is within the limits");
        }
    }
    files
}

pub fn load(changes: &[(&str, Option<&str>)]) -> Result<Bundle, LoadError> {
    Bundle::load(&files(changes), &environment())
}

/// The bundle whose only policies are `rules`, which must load.
pub fn with_rules(rules: &str) -> Bundle {
    load(&[("rules/api.cedar", Some(rules))]).unwrap_or_else(|invalid| panic!("{invalid}"))
}

pub fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.to_owned(), value: AttributeValue::Text(value.to_owned()) }
}

pub fn principal() -> Principal {
    Principal {
        entity_type: "GitHub::Workflow".to_owned(),
        id: "repo:octo-org/octo-repo:ref:refs/heads/main".to_owned(),
        issuer_name: "github".to_owned(),
        attributes: vec![text("repository_id", "123456"), text("ref", "refs/heads/main")],
    }
}

pub fn request() -> TokenRequest {
    TokenRequest {
        audience: "https://api.example".to_owned(),
        scopes: vec!["read".to_owned()],
        requested_lifetime_seconds: 300,
        client_ip: None,
        proof_of_possession: false,
    }
}
