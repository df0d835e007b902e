//! The effect of replacing one bundle with another.

use crate::support::*;
use sha2::Digest as _;
use vouchsafe_policy_tools::diff::{Difference, Direction, Side, Subject, Takeover, TakeoverOf, diff};

type Changes<'a> = &'a [(&'a str, Option<&'a str>)];

fn difference(old: Changes<'_>, new: Changes<'_>) -> Difference {
    let (old, new) = (files(old), files(new));
    let side = |files| Side::load(files, &environment()).unwrap_or_else(|invalid| panic!("{invalid}"));
    diff(&side(&old), &side(&new), &[]).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// The changes of policies and settings as `direction subject name`.
fn said(old: Changes<'_>, new: Changes<'_>) -> Vec<String> {
    let of = |change: &vouchsafe_policy_tools::diff::Change| {
        format!("{:?} {:?} {}", change.direction, change.subject, change.name)
    };
    difference(old, new).changes.iter().map(of).collect()
}

/// Checks the effect of a change of policies, and of its inverse.
fn check_rules(from: &str, to: &str, there: &[&str], back: &[&str]) {
    let changed = RULES.replacen(from, to, 1);
    assert_ne!(changed, RULES, "{from}");
    let new: Changes<'_> = &[("rules/api.cedar", Some(&changed))];
    assert_eq!(said(&[], new), there, "{from} -> {to}");
    assert_eq!(said(new, &[]), back, "{to} -> {from}");
}

#[test]
fn shows_settings_as_they_are_written() {
    let changed = format!("replay = \"allow\"\nsubject = \"{{repository_id}}\"\n{GITHUB}");
    let difference = difference(&[], &[("issuers/github.toml", Some(&changed))]);
    let shown =
        difference.changes.iter().map(|change| (change.name.as_str(), change.old.as_str(), change.new.as_str()));
    let expected = [("github subject", "none", "`{repository_id}`"), ("github replay uses", "1", "unlimited")];
    for one in expected {
        assert!(shown.clone().any(|change| change == one), "{one:?}: {difference:?}");
    }
}

/// Policies about actors give access like any other.
#[test]
fn permits_to_act_widen() {
    let audience = format!("{API}allow_act = true\n");
    let audience = ("audiences/api.toml", Some(audience.as_str()));
    assert_eq!(said(&[], &[audience]), ["Widening Audience https://api.example allow_act"]);
    let rule = "@id(\"acts\") permit (principal is GitHub::Workflow in Issuer::\"github\", action == Action::\"act_for\", \
        resource is GitHub::Workflow in Issuer::\"github\") when { principal.repository_id == \"2\" };";
    let with: Changes<'_> = &[audience, ("rules/act.cedar", Some(rule))];
    assert_eq!(said(&[audience], with), ["Widening Policy acts"]);
    assert_eq!(said(with, &[audience]), ["Narrowing Policy acts"]);
}

#[test]
fn ignores_comments_order_and_layout() {
    assert!(difference(&[], &[]).is_empty());
    assert_eq!(difference(&[], &[]).decided, 2);
    let other = RULES.replace(
        "principal.repository_id == \"1\" && [\"read\"].containsAll(context.scopes)",
        "// read only\n [\"read\"].containsAll(context.scopes) && (principal.repository_id == \"1\")",
    );
    assert!(difference(&[], &[("rules/api.cedar", Some(&other))]).is_empty());
}

#[test]
fn conditions_narrow_permits_and_widen_forbids() {
    check_rules(
        "principal.repository_id == \"1\" && ",
        "principal.repository_id == \"1\" && context.requested_lifetime_seconds < 900 && ",
        &["Narrowing Policy api"],
        &["Widening Policy api"],
    );
    check_rules(
        "when { principal.ref == \"refs/heads/closed\" }",
        "when { principal.ref == \"refs/heads/closed\" && context.requested_lifetime_seconds < 900 }",
        &["Widening Policy never"],
        &["Narrowing Policy never"],
    );
    check_rules(
        "[\"read\"].containsAll",
        "[\"read\", \"write\"].containsAll",
        &["Either Policy api"],
        &["Either Policy api"],
    );
    check_rules(
        "unless { principal.ref == \"refs/heads/evil\" }",
        "",
        &["Widening Policy api"],
        &["Narrowing Policy api"],
    );
}

#[test]
fn new_audience_widens() {
    let audience = "id = \"https://two.example\"\nscopes = [\"read\"]\n";
    let rule = RULES.split("@id(\"never\")").next().expect("a rule").replace("api", "two");
    let case = ALLOWED.replace("api", "two");
    let new: Changes<'_> = &[
        ("audiences/two.toml", Some(audience)),
        ("rules/two.cedar", Some(&rule)),
        ("tests/two/allow/a.toml", Some(&case)),
    ];
    let there =
        ["Widening Case tests/two/allow/a.toml", "Widening Pair github -> https://two.example", "Widening Policy two"];
    assert_eq!(said(&[], new), there);
    assert_eq!(said(new, &[]), there.map(|it| it.replace("Widening", "Narrowing")));
    let changes = difference(&[], new).changes;
    assert_eq!(
        (changes[0].old.as_str(), changes[0].new.as_str()),
        ("audience is not in the bundle", "permit by `two`")
    );
    assert_eq!((changes[1].old.as_str(), changes[1].new.as_str()), ("by no policy", "by `two`"));
}

#[test]
fn unconditional_forbid_removes_pairs() {
    let forbid = "@id(\"stop\") forbid (principal, action, resource);";
    let new: Changes<'_> = &[("rules/stop.cedar", Some(forbid))];
    assert_eq!(
        said(&[], new),
        [
            "Narrowing Case tests/api/allow/main reads.toml",
            "Narrowing Pair github -> https://api.example",
            "Narrowing Policy stop",
        ]
    );
}

#[test]
fn settings_have_direction() {
    let audience = |lines: &str| format!("{API}{lines}\n");
    for (lines, name) in [
        ("max_lifetime = \"16m\"", "max_lifetime"),
        ("default_lifetime = \"6m\"", "default_lifetime"),
        ("outlive_subject = true", "outlive_subject"),
        ("claims = [\"ref\"]", "claims"),
    ] {
        let wider = audience(lines);
        let new: Changes<'_> = &[("audiences/api.toml", Some(&wider))];
        assert_eq!(said(&[], new), [format!("Widening Audience https://api.example {name}")]);
        assert_eq!(said(new, &[]), [format!("Narrowing Audience https://api.example {name}")]);
    }
    let required = audience("scopes_required = true");
    let required: Changes<'_> = &[("audiences/api.toml", Some(&required))];
    assert_eq!(said(&[], required)[0], "Narrowing Audience https://api.example tokens without scopes");
    assert!(said(required, &[]).contains(&"Widening Audience https://api.example tokens without scopes".to_owned()));
    let bound = audience("proof_of_possession = \"required\"");
    let bound: Changes<'_> = &[("audiences/api.toml", Some(&bound))];
    assert!(said(&[], bound).contains(&"Narrowing Audience https://api.example bearer tokens".to_owned()));
    assert!(said(bound, &[]).contains(&"Widening Audience https://api.example bearer tokens".to_owned()));
    let replay = audience("replay = \"single-use\"");
    let bounded = audience("replay = \"bounded(2)\"");
    let single: Changes<'_> = &[("audiences/api.toml", Some(&replay))];
    let twice: Changes<'_> = &[("audiences/api.toml", Some(&bounded))];
    assert_eq!(said(single, twice), ["Widening Audience https://api.example replay uses"]);
    assert_eq!(said(&[], twice), ["Narrowing Audience https://api.example replay uses"]);
    let issuer = |lines: &str| format!("{GITHUB}{lines}\n");
    for (lines, name, direction) in [
        ("leeway = \"31s\"", "leeway", "Widening"),
        ("leeway = \"29s\"", "leeway", "Narrowing"),
        ("max_token_age = \"11m\"", "max_token_age", "Widening"),
        ("audiences = [\"https://broker.example\", \"b\"]", "audiences", "Widening"),
        ("audiences = [\"b\"]", "audiences", "Either"),
        ("replay = \"allow\"", "replay uses", "Widening"),
        ("require = { repository_id = \"1\" }", "require", "Either"),
        ("subject = \"{ref}\"", "subject", "Either"),
        ("development = true", "trusted outside development", "Narrowing"),
    ] {
        let changed = issuer(lines);
        let new: Changes<'_> = &[("issuers/github.toml", Some(&changed))];
        assert_eq!(said(&[], new), [format!("{direction} Issuer github {name}")], "{lines}");
    }
}

#[test]
fn changed_issuer_url_is_takeover() {
    let moved = GITHUB.replace("idp", "new");
    let found = difference(&[], &[("issuers/github.toml", Some(&moved))]);
    let takeover = Takeover {
        of: TakeoverOf::Url,
        issuer: "github".to_owned(),
        old: "https://idp.example".to_owned(),
        new: "https://new.example".to_owned(),
    };
    assert_eq!(found.takeovers, [takeover]);
    assert!(found.widens());
    assert!(!found.narrows());
    assert!(found.changes.is_empty());
}

#[test]
fn changed_key_source_is_takeover() {
    let keys = |keys: &str| format!("{GITHUB}keys = {keys}\n");
    let at = |uri: &str| keys(&format!("{{ jwks_uri = \"{uri}\" }}"));
    let pinned = |expires: &str| keys(&format!("{{ pinned = \"keys.json\", expires = \"{expires}\" }}"));
    let (one, two) = (keys_of("AQ"), keys_of("Ag"));
    let of = |old: &str, old_set: &str, new: &str, new_set: &str| {
        fn set(set: &str) -> Option<&str> {
            Some(set).filter(|set| !set.is_empty())
        }
        let old: Changes<'_> = &[("issuers/github.toml", Some(old)), ("issuers/keys.json", set(old_set))];
        let new: Changes<'_> = &[("issuers/github.toml", Some(new)), ("issuers/keys.json", set(new_set))];
        let found = difference(old, new);
        let takeovers = found.takeovers.iter().map(|it| (it.of, it.old.clone(), it.new.clone())).collect::<Vec<_>>();
        let changes = found.changes.iter().map(|it| format!("{:?} {}", it.direction, it.name)).collect::<Vec<_>>();
        (takeovers, changes, found.widens(), found.narrows())
    };
    let taken =
        |old: &str, new: &str| (vec![(TakeoverOf::KeySource, old.to_owned(), new.to_owned())], vec![], true, false);
    let theirs = "https://attacker.example/jwks";
    assert_eq!(of(GITHUB, "", &at(theirs), ""), taken("discovery", theirs));
    assert_eq!(of(&at("https://idp.example/jwks"), "", &at(theirs), ""), taken("https://idp.example/jwks", theirs));
    let set = |document: &str| {
        let digest = sha2::Sha256::digest(document);
        format!("pinned keys with sha256 {}", base16ct::lower::encode_string(&digest))
    };
    let date = pinned("2027-01-01");
    assert_eq!(of(&date, &one, &date, &two), taken(&set(&one), &set(&two)));
    assert_eq!(of(&date, &one, GITHUB, ""), taken(&set(&one), "discovery"));
    // The same keys for longer are not another source.
    let later = pinned("2027-01-02");
    assert_eq!(of(&date, &one, &later, &one), (vec![], vec!["Widening github keys expire".to_owned()], true, false));
    assert_eq!(of(&later, &one, &date, &one), (vec![], vec!["Narrowing github keys expire".to_owned()], false, true));
}

fn keys_of(x: &str) -> String {
    format!("{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"{x}\"}}]}}")
}

#[test]
fn unknown_changes_count_both_ways() {
    let rules = RULES.replace("[\"read\"]", "[\"write\"]");
    let found = difference(
        &[("tests/api/allow/main reads.toml", None)],
        &[("rules/api.cedar", Some(&rules)), ("tests/api/allow/main reads.toml", None)],
    );
    let directions: Vec<_> = found.changes.iter().map(|it| (it.direction, it.subject)).collect();
    assert_eq!(directions, [(Direction::Either, Subject::Policy)]);
    assert!(found.widens() && found.narrows());
}

#[test]
fn new_group_members_widen_permits() {
    let entry = |id: &str| format!("[[workloads]]\nissuer = \"github\"\nclaims = {{ repository_id = \"{id}\" }}\n");
    let (one, two) = (entry("1"), entry("1") + &entry("2"));
    let rule = |effect: &str, scope: &str, condition: &str| {
        format!("@id(\"grouped\") {effect} ({scope}, action, resource) when {{ {condition} }};")
    };
    let of = |rule: &str| {
        let with = |group: &str| {
            let changes = [("entities/team.toml", Some(group)), ("rules/grouped.cedar", Some(rule))];
            files(&changes)
        };
        let (old, new) = (with(&one), with(&two));
        let side = |files| Side::load(files, &environment()).unwrap_or_else(|it| panic!("{it}"));
        let found = diff(&side(&old), &side(&new), &[]).unwrap_or_else(|it| panic!("{it}"));
        let back = diff(&side(&new), &side(&old), &[]).unwrap_or_else(|it| panic!("{it}"));
        let directions = |difference: &Difference| difference.changes.iter().map(|it| it.direction).collect::<Vec<_>>();
        (directions(&found), directions(&back))
    };
    let group = "principal in WorkloadGroup::\"team\"";
    let scopes = "context.scopes == [\"write\"]";
    assert_eq!(of(&rule("permit", group, scopes)), (vec![Direction::Widening], vec![Direction::Narrowing]));
    assert_eq!(of(&rule("forbid", group, scopes)), (vec![Direction::Either], vec![Direction::Either]));
    let condition = format!("!({group}) && {scopes}");
    assert_eq!(
        of(&rule("permit", "principal is GitHub::Workflow in Issuer::\"github\"", &condition)),
        (vec![Direction::Either], vec![Direction::Either])
    );
    let unused = rule("forbid", "principal", "context.proof_of_possession");
    assert_eq!(of(&unused), (vec![], vec![]));
}

#[test]
fn changed_time_zone_counts_both_ways() {
    let head = |zone: &str| format!("name = \"test\"\nversion = \"1\"\n[zones]\noffice = \"{zone}\"\n");
    let (old, new) = (head("Europe/Berlin"), head("Asia/Tokyo"));
    let old: Changes<'_> = &[("bundle.toml", Some(&old))];
    let new: Changes<'_> = &[("bundle.toml", Some(&new))];
    assert_eq!(said(old, new), ["Either Zone office"]);
    assert_eq!(said(old, old), [""; 0]);
}

#[test]
fn ignores_renamed_equivalent_policy() {
    let renamed = RULES.replace("@id(\"api\")", "@id(\"api-read\")").replace("@id(\"never\")", "@id(\"closed\")");
    let in_other_words = renamed.replace(
        "principal.repository_id == \"1\" && [\"read\"].containsAll(context.scopes)",
        "[\"read\"].containsAll(context.scopes) && principal.repository_id == \"1\"",
    );
    let swapped = RULES
        .replace("@id(\"api\")", "@id(\"x\")")
        .replace("@id(\"never\")", "@id(\"api\")")
        .replace("@id(\"x\")", "@id(\"never\")");
    for other in [&renamed, &in_other_words, &swapped] {
        assert_ne!(other, RULES);
        let new: Changes<'_> = &[("rules/api.cedar", Some(other))];
        assert_eq!(said(&[], new), [""; 0], "{other}");
        assert_eq!(said(new, &[]), [""; 0], "{other}");
    }
    // A renamed policy with another meaning counts as removed and added.
    let wider = renamed.replace("principal.repository_id == \"1\" && ", "");
    assert_eq!(said(&[], &[("rules/api.cedar", Some(&wider))]), ["Widening Policy api-read", "Narrowing Policy api"]);
}

#[test]
fn compares_profiles_separately() {
    let head = "name = \"test\"\nversion = \"1\"\n[profiles]\nstaging = \"https://staging.example\"\n";
    let rules = format!(
        "{RULES}\n@id(\"more\")\n@profile(\"staging\")\npermit (principal is GitHub::Workflow in \
         Issuer::\"github\", action, resource) when {{ context.scopes == [\"write\"] }};\n"
    );
    let staged = ALLOWED.replace("\"read\"", "\"write\"").replace("[\"api\"]", "[\"more\"]\nprofile = \"staging\"");
    let old: Changes<'_> = &[("bundle.toml", Some(head))];
    let new: Changes<'_> =
        &[("bundle.toml", Some(head)), ("rules/api.cedar", Some(&rules)), ("tests/more/allow/a.toml", Some(&staged))];
    assert_eq!(said(old, new), ["Widening Case tests/more/allow/a.toml", "Widening Policy more in profile staging"]);
    assert_eq!(said(new, old), ["Narrowing Case tests/more/allow/a.toml", "Narrowing Policy more in profile staging"]);
    // A change for all brokers is listed once.
    let both = RULES.replace(" && [\"read\"].containsAll(context.scopes)", "");
    assert_eq!(said(old, &[("bundle.toml", Some(head)), ("rules/api.cedar", Some(&both))]), ["Widening Policy api"]);
    // A policy that moves to another profile is removed for one broker and added for another.
    let two = format!("{head}live = \"https://live.example\"\n");
    let moved = rules.replace("@profile(\"staging\")", "@profile(\"live\")");
    let side = |rules| [("bundle.toml", Some(two.as_str())), ("rules/api.cedar", Some(rules))];
    assert_eq!(
        said(&side(&rules), &side(&moved)),
        ["Widening Policy more in profile live", "Narrowing Policy more in profile staging"]
    );
}
