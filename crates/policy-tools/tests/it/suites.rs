//! Results of running the cases of a bundle.

use crate::support::*;
use serde_json::{Value, json};
use std::time::Duration;
use vouchsafe_policy_tools::{Suite, Verdict, coverage, export, export_profiles, junit, run};

const ALLOW: &str = "tests/api/allow/main reads.toml";

fn suite(changes: &[(&str, Option<&str>)]) -> Suite {
    run(&files(changes), &environment()).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// The verdict of the case at [`ALLOW`] with this content.
fn verdict(case: &str) -> Verdict {
    let suite = suite(&[(ALLOW, Some(case))]);
    let result = suite.results.into_iter().find(|it| it.case.path == ALLOW);
    result.expect("the case ran").verdict
}

fn unmet(expected: &str, found: &str) -> Verdict {
    Verdict::Unmet { expected: expected.to_owned(), found: found.to_owned() }
}

#[test]
fn passes_if_met_and_fully_tested() {
    let whole = suite(&[]);
    assert!(whole.passed());
    assert_eq!(whole.results.len(), 2);
    let untested = suite(&[("tests/never/deny/closed.toml", None)]);
    assert_eq!(untested.untested, ["never"]);
    assert!(!untested.passed());
    let orphan = suite(&[("tests/gone/allow/a.toml", Some(ALLOWED))]);
    assert_eq!(orphan.orphans, ["tests/gone/allow/a.toml"]);
    assert!(!orphan.passed());
}

#[test]
fn compares_decision_and_exact_policies() {
    assert_eq!(verdict(ALLOWED), Verdict::Met);
    assert_eq!(verdict(&ALLOWED.replace("[\"api\"]", "[]")), unmet("permit by no policy", "permit by `api`"));
    assert_eq!(
        verdict(&ALLOWED.replace("[\"api\"]", "[\"api\", \"never\"]")),
        unmet("permit by `api`, `never`", "permit by `api`")
    );
    assert_eq!(verdict(&ALLOWED.replace("\"read\"", "\"write\"")), unmet("permit by `api`", "deny by no policy"));
    assert_eq!(
        verdict(&ALLOWED.replace("api.example", "other.example")),
        Verdict::Undecidable("audience is not in the bundle".to_owned())
    );
}

fn with_token(token: &str, lines: &str) -> String {
    format!(
        "at = \"2027-01-01\"\ntoken = \"{token}\"\n{}",
        ALLOWED.replace("[request]", &format!("{lines}\n[request]"))
    )
}

/// A claim set with every claim of a GitHub token.
fn whole_schema() -> String {
    SCHEMA.replace(
        "run?: Long,",
        "actor: String, event_name: String, repository: String, repository_owner: String, \
         repository_owner_id: String, run_id: String, workflow: String,",
    )
}

#[test]
fn verifies_token_with_keys_and_time_of_case() {
    let keys = format!("keys = '{}'", keys());
    assert_eq!(of_token(&with_token(&token(&[]), &keys)), Verdict::Met);
    let late = with_token(&token(&[]), &keys).replace("2027-01-01", "2027-01-01T00:05:30Z");
    assert_eq!(
        of_token(&late),
        Verdict::Undecidable("the token is refused with `token.expired`: the token has expired".to_owned())
    );
    let last = with_token(&token(&[]), &keys).replace("2027-01-01", "2027-01-01T00:05:29Z");
    assert_eq!(of_token(&last), Verdict::Met);
    let forged = token(&[]);
    let forged = format!("{}AAAA", &forged[..forged.len() - 4]);
    assert_eq!(
        of_token(&with_token(&forged, &keys)),
        Verdict::Undecidable(
            "the token is refused with `token.signature_invalid`: the token's signature does not verify".to_owned()
        )
    );
    assert_eq!(
        of_token(&with_token(&token(&[]), "")),
        Verdict::Undecidable(
            "there are no keys to verify the token: add the issuer's JWK Set as `keys`, here or \
             in `tests/github.toml`"
                .to_owned()
        )
    );
}

/// Without the other case, whose claims are not those of a complete token.
fn of_token(case: &str) -> Verdict {
    let base = "[claims]\nactor = \"a\"\nevent_name = \"push\"\nref = \"refs/heads/main\"\nrepository = \"o/r\"\n\
        repository_id = \"1\"\nrepository_owner = \"o\"\nrepository_owner_id = \"65\"\nrun_id = \"1\"\n\
        workflow = \"w\"\n";
    let issuer = format!("{GITHUB}algorithms = [\"EdDSA\"]\n");
    let suite = suite(&[
        (ALLOW, Some(case)),
        ("issuers/github.toml", Some(&issuer)),
        ("schema.cedarschema", Some(&whole_schema())),
        ("tests/github.toml", Some(base)),
    ]);
    let result = suite.results.into_iter().find(|it| it.case.path == ALLOW);
    result.expect("the case ran").verdict
}

#[test]
fn case_can_expect_refused_token() {
    let keys = format!("keys = '{}'", keys());
    let path = "tests/api/deny/a.toml";
    let of = |refused: &str, at: &str| {
        let lines = format!("{keys}\nrefused = \"{refused}\"");
        let case = with_token(&token(&[]), &lines).replace("[\"api\"]", "[]").replace("2027-01-01", at);
        let issuer = format!("{GITHUB}algorithms = [\"EdDSA\"]\n");
        let suite = suite(&[(path, Some(&case)), ("issuers/github.toml", Some(&issuer))]);
        let result = suite.results.into_iter().find(|it| it.case.path == path);
        result.expect("the case ran").verdict
    };
    assert_eq!(of("token.expired", "2027-01-01T00:05:30Z"), Verdict::Met);
    assert_eq!(of("token.expired", "2027-01-01"), unmet("a token refused with `token.expired`", "an accepted token"));
    assert_eq!(
        of("token.too_old", "2027-01-01T00:05:30Z"),
        Verdict::Undecidable("the token is refused with `token.expired`: the token has expired".to_owned())
    );
}

#[test]
fn coverage_counts_condition_values() {
    let rules = coverage(&suite(&[]));
    let of = |rule: usize| {
        let conditions = rules[rule].conditions.iter();
        conditions.map(|one| (one.text.as_str(), one.times_true, one.times_false)).collect::<Vec<_>>()
    };
    assert_eq!(rules[0].asked, 2);
    assert_eq!(
        of(0),
        [
            ("principal.repository_id == \"1\"", 2, 0),
            ("[\"read\"].containsAll(context.scopes)", 2, 0),
            ("principal.ref == \"refs/heads/evil\"", 0, 2),
        ]
    );
    assert_eq!(of(1), [("principal.ref == \"refs/heads/closed\"", 1, 1)]);
    assert!(rules[1].conditions[0].is_whole());
    assert!(!rules[0].conditions[0].is_whole());
    // A condition that cannot be evaluated without an earlier one counts as neither.
    let guarded = RULES.replace("principal.repository_id == \"1\"", "principal has run && principal.run == 1");
    let covered = coverage(&suite(&[
        ("rules/api.cedar", Some(&guarded)),
        (ALLOW, Some(&ALLOWED.replace("rules = [\"api\"]", "rules = [\"api\"]\nclaims.run = 1"))),
    ]));
    let times = |at: usize| (covered[0].conditions[at].times_true, covered[0].conditions[at].times_false);
    assert_eq!((times(0), times(1)), ((1, 1), (1, 0)));
}

#[test]
fn junit_groups_cases_by_policy() {
    let wrong = ALLOWED.replace("\"read\"", "\"wr<i>te&\"");
    let suite = suite(&[(ALLOW, Some(&wrong)), ("tests/never/deny/closed.toml", None)]);
    assert_eq!(
        junit(&suite, Duration::from_millis(1500)),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"test\" tests=\"2\" failures=\"2\" errors=\"0\" time=\"1.500\">\n  \
         <testsuite name=\"api\" tests=\"1\" failures=\"1\" errors=\"0\">\n    \
         <testcase classname=\"api\" name=\"allow/main reads\" file=\"tests/api/allow/main reads.toml\">\n      \
         <failure message=\"expected permit by `api`, found deny by no policy\"/>\n    \
         </testcase>\n  \
         </testsuite>\n  \
         <testsuite name=\"never\" tests=\"1\" failures=\"1\" errors=\"0\">\n    \
         <testcase classname=\"never\" name=\"determines a case\">\n      \
         <failure message=\"this policy determines no case\"/>\n    \
         </testcase>\n  \
         </testsuite>\n\
         </testsuites>\n"
    );
    let named = format!("{ALLOWED}\n");
    let suite = self::suite(&[("tests/api/allow/a & <b>.toml", Some(&named))]);
    let xml = junit(&suite, Duration::ZERO);
    assert!(xml.contains("name=\"allow/a &amp; &lt;b&gt;\""), "{xml}");
}

/// The exported files, decided by Cedar alone, like its CLI does.
#[test]
fn stock_cedar_agrees_on_exported_cases() {
    let files = files(&[]);
    let suite = run(&files, &environment()).expect("it runs");
    let exported = export(&suite, &files).expect("it is exported");
    assert_eq!(exported.left_out, [""; 0]);
    let tests = exported.tests.as_array().expect("an array");
    assert_eq!(tests.len(), 2);
    assert_eq!(tests[0]["name"], "api/allow/main reads");
    assert_eq!(tests[0]["request"]["principal"], "GitHub::Workflow::\"a\"");
    assert_eq!(tests[0]["decision"], "allow");
    assert_eq!(tests[0]["reason"], json!(["api"]));
    let (set, schema) = cedar_of(&exported);
    for test in tests {
        let (decision, reasons, errors) = decide(test, &set, &schema);
        assert_eq!(json!(decision), test["decision"], "{test}");
        assert_eq!(json!(reasons), test["reason"], "{test}");
        assert_eq!(json!(errors), test["num_errors"], "{test}");
    }
}

fn cedar_of(exported: &vouchsafe_policy_tools::CedarSuite) -> (cedar_policy::PolicySet, cedar_policy::Schema) {
    use cedar_policy::{PolicyId, PolicySet, Schema};
    let parsed: PolicySet = exported.policies.parse().expect("policies");
    let named = parsed.policies().map(|policy| policy.new_id(PolicyId::new(policy.annotation("id").expect("an id"))));
    let set = PolicySet::from_policies(named).expect("unique ids");
    let schema = Schema::from_json_value(exported.schema.clone()).expect("a schema");
    (set, schema)
}

fn decide(test: &Value, set: &cedar_policy::PolicySet, schema: &cedar_policy::Schema) -> (String, Vec<String>, usize) {
    use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, Request};
    let uid = |name: &str| -> EntityUid { test["request"][name].as_str().expect("text").parse().expect("a uid") };
    let action = uid("action");
    let context = test["request"]["context"].clone();
    let context = Context::from_json_value(context, Some((schema, &action))).expect("a context");
    let entities = Entities::from_json_value(test["entities"].clone(), Some(schema)).expect("entities");
    let request = Request::new(uid("principal"), action, uid("resource"), context, Some(schema));
    let response = Authorizer::new().is_authorized(&request.expect("a request"), set, &entities);
    let decision = match response.decision() {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    };
    let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    reasons.sort();
    (decision.to_owned(), reasons, response.diagnostics().errors().count())
}

#[test]
fn export_skips_cases_with_erring_forbid() {
    let erring = "@id(\"errs\") forbid (principal is GitHub::Workflow, action, resource) \
        when { 9223372036854775807 + context.requested_lifetime_seconds == 0 };";
    let case = ALLOWED.replace("[\"api\"]", "[\"errs\"]\nerring = [\"errs\"]");
    let files = files(&[
        ("rules/errs.cedar", Some(erring)),
        (ALLOW, None),
        ("tests/never/deny/closed.toml", None),
        ("tests/errs/deny/a.toml", Some(&case)),
    ]);
    let suite = run(&files, &environment()).expect("it runs");
    assert_eq!(suite.failures().count(), 0);
    let exported = export(&suite, &files).expect("it is exported");
    assert_eq!(exported.left_out, ["tests/errs/deny/a.toml"]);
    assert_eq!(exported.tests, json!([]));
}

#[test]
fn decides_case_in_its_profile() {
    let head = "name = \"test\"\nversion = \"1\"\n[profiles]\nstaging = \"https://staging.example\"\n";
    let rules = format!(
        "{RULES}\n@id(\"more\")\n@profile(\"staging\")\npermit (principal is GitHub::Workflow in \
         Issuer::\"github\", action, resource) when {{ context.scopes == [\"write\"] }};\n"
    );
    let write = ALLOWED.replace("\"read\"", "\"write\"");
    let staged = write.replace("[\"api\"]", "[\"more\"]\nprofile = \"staging\"");
    let denied = write.replace("[\"api\"]", "[]");
    let suite = suite(&[
        ("bundle.toml", Some(head)),
        ("rules/api.cedar", Some(&rules)),
        ("tests/more/allow/staging writes.toml", Some(&staged)),
        ("tests/more/deny/nowhere else.toml", Some(&denied)),
    ]);
    assert!(suite.passed(), "{:?}", suite.failures().collect::<Vec<_>>());
    assert_eq!(suite.results.len(), 4);
    // Coverage includes the policy that only the other profile has, and sums up the others.
    let covered = coverage(&suite);
    let of = |id: &str| covered.iter().find(|rule| rule.id == id).expect("it is there");
    let times = |id: &str, at: usize| {
        let condition = &of(id).conditions[at];
        (of(id).asked, condition.times_true, condition.times_false)
    };
    assert_eq!(times("more", 0), (1, 1, 0));
    assert_eq!(times("api", 1), (4, 2, 2));
    let unknown = staged.replace("\"staging\"", "\"stagnig\"");
    let files = files(&[
        ("bundle.toml", Some(head)),
        ("rules/api.cedar", Some(&rules)),
        ("tests/more/allow/a.toml", Some(&unknown)),
    ]);
    let invalid = run(&files, &environment()).map(|_| ()).map_err(|it| it.to_string());
    assert_eq!(invalid, Err("tests/more/allow/a.toml:3:11: profile `stagnig` is not in `bundle.toml`".to_owned()));
}

/// The example bundle has templates, groups and local times.
#[test]
fn stock_cedar_agrees_on_example_bundle() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies");
    let files = vouchsafe_policy::folder::read(&root).unwrap_or_else(|it| panic!("{it}"));
    let suite = run(&files, &environment()).expect("it runs");
    let exported = export(&suite, &files).expect("it is exported");
    let (set, schema) = cedar_of(&exported);
    assert_eq!(set.policies().count(), suite.bundle.policies().len());
    let tests = exported.tests.as_array().expect("an array");
    assert!(tests.len() > 50, "{}", tests.len());
    check_alike(tests, &set, &schema);
    assert_eq!(exported.left_out, [""; 0]);
    // Cases that name a profile are exported with the policies that are in force there.
    let profiles = export_profiles(&suite, &files).expect("they are exported");
    let counts = profiles.iter().map(|(name, exported)| {
        assert_eq!(exported.left_out, [""; 0]);
        let tests = exported.tests.as_array().expect("an array");
        let (set, schema) = cedar_of(exported);
        check_alike(tests, &set, &schema);
        (name.as_str(), tests.len())
    });
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts, [("production", 1), ("staging", 4)]);
}

fn check_alike(tests: &[Value], set: &cedar_policy::PolicySet, schema: &cedar_policy::Schema) {
    for test in tests {
        let (decision, reasons, errors) = decide(test, set, schema);
        assert_eq!(json!(decision), test["decision"], "{test}");
        assert_eq!(json!(reasons), test["reason"], "{test}");
        assert_eq!(json!(errors), test["num_errors"], "{test}");
    }
}
