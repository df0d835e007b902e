//! Tokens of Kubernetes service accounts.

use serde_json::json;

use super::*;
use vouchsafe_providers::kubernetes;

/// The claims that Kubernetes documents for a token projected into a pod.
fn kubernetes_claims() -> Value {
    let mut claims = testkit::claims();
    claims["sub"] = json!("system:serviceaccount:kube-system:coredns");
    claims["kubernetes.io"] = json!({
        "namespace": "kube-system",
        "node": { "name": "127.0.0.1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced" },
        "pod": { "name": "coredns-69cbfb9798-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33" },
        "serviceaccount": { "name": "coredns", "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af" },
        "warnafter": 1_700_081_020
    });
    claims
}

fn verify_kubernetes(change: impl FnOnce(&mut Value)) -> Result<Subject, TokenError> {
    let issuer = TrustedIssuer::try_from(IssuerRecord {
        name: "cluster".to_owned(),
        provider: "kubernetes".to_owned(),
        ..testkit::issuer_record()
    })
    .unwrap();
    let mut claims = kubernetes_claims();
    change(&mut claims);
    verify(&mint(&claims), &issuer, &keys(), NOW).map(VerifiedSubject::into_subject)
}

#[test]
fn flattens_kubernetes_private_claims() {
    let subject = verify_kubernetes(|_| ()).unwrap();
    assert_eq!(subject.principal.entity_type, "Kubernetes::ServiceAccount");
    assert_eq!(subject.principal.id, "system:serviceaccount:kube-system:coredns");
    let found: Vec<(&str, &AttributeValue)> =
        subject.principal.attributes.iter().map(|one| (one.name.as_str(), &one.value)).collect();
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    assert_eq!(
        found,
        [
            ("namespace", &text("kube-system")),
            ("node_name", &text("127.0.0.1")),
            ("node_uid", &text("58456cb0-dd00-45ed-b797-5578fdceaced")),
            ("pod_name", &text("coredns-69cbfb9798-jv9gn")),
            ("pod_uid", &text("778a530c-b3f4-47c0-9cd5-ab018fb64f33")),
            ("service_account_name", &text("coredns")),
            ("service_account_uid", &text("a087d5a0-e1dd-43ec-93ac-f13d89cd13af")),
        ]
    );
    assert!(kubernetes::CLAIMS.is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn rejects_absent_or_mistyped_kubernetes_claims() {
    let missing = |name: &'static str| TokenError::ClaimMissing(ClaimName(name.into()));
    let invalid = |name: &'static str| TokenError::ClaimInvalid(ClaimName(name.into()));
    let check = |change: fn(&mut Value), expected: Result<usize, TokenError>| {
        let found = verify_kubernetes(change).map(|subject| subject.principal.attributes.len());
        assert_eq!(found, expected);
    };
    check(|it| drop(it.as_object_mut().unwrap().remove("kubernetes.io")), Err(missing("namespace")));
    check(|it| it["kubernetes.io"] = json!({}), Err(missing("namespace")));
    check(|it| it["kubernetes.io"] = json!(null), Err(invalid("namespace")));
    check(|it| it["kubernetes.io"] = json!("x"), Err(invalid("namespace")));
    check(|it| it["kubernetes.io"] = json!([]), Err(invalid("namespace")));
    check(|it| it["kubernetes.io"]["namespace"] = json!(""), Err(invalid("namespace")));
    check(|it| it["kubernetes.io"]["namespace"] = json!(1), Err(invalid("namespace")));
    check(|it| it["kubernetes.io"]["serviceaccount"] = json!({}), Err(missing("service_account_name")));
    check(|it| it["kubernetes.io"]["serviceaccount"]["uid"] = json!(null), Err(invalid("service_account_uid")));
    check(|it| it["kubernetes.io"]["pod"] = json!(null), Err(invalid("pod_name")));
    check(|it| it["kubernetes.io"]["pod"] = json!("a"), Err(invalid("pod_name")));
    check(|it| it["kubernetes.io"]["pod"] = json!({}), Ok(5));
    check(|it| it["kubernetes.io"]["secret"] = json!({ "name": "s", "uid": "u" }), Ok(9));
    // Top-level claims of the same names are unrelated.
    check(
        |it| {
            it["namespace"] = it["kubernetes.io"]["namespace"].take();
            drop(it["kubernetes.io"].as_object_mut().unwrap().remove("namespace"));
        },
        Err(missing("namespace")),
    );
}

/// A token from a secret, as clusters before 1.24 created them (regressions.md).
#[test]
fn rejects_legacy_kubernetes_tokens() {
    let found = verify_kubernetes(|it| {
        *it = json!({
            "iss": it["iss"], "aud": it["aud"], "exp": it["exp"], "iat": it["iat"],
            "sub": "system:serviceaccount:default:mytestaccount",
            "kubernetes.io/serviceaccount/namespace": "default",
            "kubernetes.io/serviceaccount/service-account.name": "mytestaccount",
        });
    });
    assert_eq!(found.map(|_| ()), Err(TokenError::ClaimMissing(ClaimName("namespace".into()))));
    for name in ["exp", "aud"] {
        let found = verify_kubernetes(|it| drop(it.as_object_mut().unwrap().remove(name)));
        assert_eq!(found.map(|_| ()), Err(TokenError::ClaimMissing(ClaimName(name.into()))));
    }
}
