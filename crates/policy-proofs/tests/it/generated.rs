//! Generated bundles, guardrails and requests. Numbers come from a seed, so every run makes the same ones.

use crate::support::{SCHEMA, with};
use vouchsafe_policy::{Attribute, AttributeValue, BundleFiles, Principal, TokenRequest};
use vouchsafe_policy_tools::RecordedRequest;

/// SplitMix64.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("it fits")).expect("it fits")
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const REPOSITORIES: [&str; 3] = ["1", "2", "3"];
const REFS: [&str; 4] = ["refs/heads/main", "refs/heads/topic", "refs/tags/v1", "main"];
const EVENTS: [&str; 3] = ["push", "pull_request", "schedule"];
const ENVIRONMENTS: [&str; 2] = ["production", "staging"];
const SCOPES: [&str; 3] = ["read", "write", "more"];
const ADDRESSES: [&str; 4] = ["10.0.0.1", "10.200.0.1", "192.0.2.7", "2001:db8::1"];
/// Moments around the boundaries that conditions compare with; 1_798_761_600 is 2027-01-01T00:00:00Z, a Friday.
const MOMENTS: [u64; 6] = [1_798_761_599, 1_798_761_600, 1_798_761_601, 1_798_794_000, 1_799_056_800, 1_814_400_000];

/// A condition for principals of GitHub, with `and`, `or` and `not` up to `depth`.
fn condition(numbers: &mut Numbers, depth: usize) -> String {
    if depth > 0 {
        let (one, next) = (condition(numbers, depth - 1), condition(numbers, depth - 1));
        return match numbers.below(5) {
            0 => format!("({one} || {next})"),
            1 => format!("!({one})"),
            2 => format!("(if {one} then {next} else !({next}))"),
            _ => format!("({one} && {next})"),
        };
    }
    match numbers.below(16) {
        0 => format!("principal.repository_id == \"{}\"", numbers.of(&REPOSITORIES)),
        1 => format!("principal.ref == \"{}\"", numbers.of(&REFS)),
        2 => format!("principal.ref like \"{}\"", numbers.of(&["refs/heads/*", "*main", "refs/*/v*", "*"])),
        3 => format!("principal.event_name != \"{}\"", numbers.of(&EVENTS)),
        4 => format!("(principal has environment && principal.environment == \"{}\")", numbers.of(&ENVIRONMENTS)),
        5 => "principal has environment".to_owned(),
        6 => format!("[\"{}\"].containsAll(context.scopes)", numbers.of(&SCOPES)),
        7 => format!("context.scopes.contains(\"{}\")", numbers.of(&SCOPES)),
        8 => format!("[\"push\", \"{}\"].contains(principal.event_name)", numbers.of(&EVENTS)),
        9 => format!("context.requested_lifetime_seconds <= {}", numbers.of(&[1, 300, 899, 900])),
        10 => {
            let network = numbers.of(&["10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/8", "2001:db8::/32"]);
            format!("(context has client_ip && context.client_ip.isInRange(ip(\"{network}\")))")
        }
        11 => {
            // Both sides leave room for any local time.
            let operator = numbers.of(&["<", ">="]);
            format!("context.now {operator} datetime(\"2027-01-01T00:00:00Z\")")
        }
        12 => format!("context.local.berlin.hour >= {}", numbers.of(&[0, 9, 23, 24])),
        13 => format!("context.local.berlin.weekday == \"{}\"", numbers.of(&["monday", "friday", "sunday"])),
        14 => format!("principal in WorkloadGroup::\"{}\"", numbers.of(&["team", "robots"])),
        _ => format!("resource in AudienceGroup::\"{}\"", numbers.of(&["team", "inner"])),
    }
}

/// A condition that fails to evaluate for very large numbers.
fn arithmetic(numbers: &mut Numbers) -> String {
    let number = "context.requested_lifetime_seconds * 10247191144896320";
    format!("({number} > {})", numbers.of(&[0_u64, 3_000_000_000_000_000_000]))
}

/// A bundle with one to four policies for two audiences, and six guardrails.
pub fn bundle(numbers: &mut Numbers) -> BundleFiles {
    let mut rules = String::new();
    for at in 0..1 + numbers.below(4) {
        let forbid = at > 0 && numbers.chance(35);
        let principal = match numbers.below(4) {
            0 => "principal is GitHub::Workflow in WorkloadGroup::\"team\"",
            1 => "principal in WorkloadGroup::\"robots\"",
            _ => "principal is GitHub::Workflow in Issuer::\"github\"",
        };
        let resource = match numbers.below(4) {
            0 => "resource in AudienceGroup::\"team\"",
            1 => "resource == Audience::\"https://b.example\"",
            _ => "resource == Audience::\"https://a.example\"",
        };
        let depth = numbers.below(3);
        let mut when = condition(numbers, depth);
        if numbers.chance(12) {
            when = format!("{} && {when}", arithmetic(numbers));
        }
        let guarded =
            if principal.contains(" is ") { when } else { format!("principal is GitHub::Workflow && ({when})") };
        let effect = if forbid { "forbid" } else { "permit" };
        let kind = if numbers.chance(20) { "unless" } else { "when" };
        rules.push_str(&format!(
            "@id(\"rule-{at}\") {effect} ({principal}, action, {resource}) {kind} {{ {guarded} }};\n"
        ));
    }
    let mut guardrails = String::new();
    for at in 0..6 {
        let depth = numbers.below(3);
        let bound = format!("principal is GitHub::Workflow && ({})", condition(numbers, depth));
        let resource = numbers.of(&["resource", "resource in AudienceGroup::\"inner\""]);
        guardrails.push_str(&format!(
            "@id(\"guardrail-{at}\") @description(\"Generated.\") forbid (principal, action, {resource}) \
             unless {{ {bound} }};\n"
        ));
    }
    with(
        &BundleFiles::default(),
        &[
            ("bundle.toml", "name = \"generated\"\nversion = \"1\"\n[zones]\nberlin = \"Europe/Berlin\"\n"),
            ("schema.cedarschema", SCHEMA),
            ("issuers/github.toml", "issuer = \"https://idp.example\"\nprovider = \"github\"\n"),
            (
                "audiences/a.toml",
                "id = \"https://a.example\"\nscopes = [\"read\", \"write\"]\nscopes_required = true\n",
            ),
            ("audiences/b.toml", "id = \"https://b.example\"\nscopes = [\"read\", \"more\"]\n"),
            (
                "entities/team.toml",
                "audiences = [\"https://a.example\"]\n[[workloads]]\nissuer = \"github\"\n\
                 claims = { repository_id = \"1\", environment = \"production\" }\n\
                 [[workloads]]\nissuer = \"github\"\nclaims = { repository_id = \"2\" }\n",
            ),
            ("entities/robots.toml", "[[workloads]]\nissuer = \"github\"\nclaims = { sub = \"robot\" }\n"),
            ("entities/inner.toml", "audiences = [\"https://b.example\"]\n"),
            ("rules/all.cedar", &rules),
            ("guardrails/all.cedar", &guardrails),
        ],
    )
}

/// A request with values that conditions compare with.
pub fn request(numbers: &mut Numbers) -> RecordedRequest {
    let text =
        |name: &str, value: &str| Attribute { name: name.to_owned(), value: AttributeValue::Text(value.to_owned()) };
    let mut attributes = vec![
        text("actor", "octocat"),
        text("event_name", numbers.of(&EVENTS)),
        text("ref", numbers.of(&REFS)),
        text("repository", "o/r"),
        text("repository_id", numbers.of(&REPOSITORIES)),
        text("repository_owner", "o"),
        text("repository_owner_id", "65"),
        text("run_id", "1"),
        text("workflow", "w"),
    ];
    if numbers.chance(60) {
        attributes.push(text("environment", numbers.of(&ENVIRONMENTS)));
    }
    let (audience, offered) =
        numbers.of(&[("https://a.example", ["read", "write"]), ("https://b.example", ["read", "more"])]);
    let scopes = offered.into_iter().filter(|_| numbers.chance(50)).map(str::to_owned).collect();
    RecordedRequest {
        actor: None,
        principal: Principal {
            entity_type: "GitHub::Workflow".to_owned(),
            id: numbers.of(&["robot", "human"]).to_owned(),
            issuer_name: "github".to_owned(),
            attributes,
        },
        request: TokenRequest {
            audience: audience.to_owned(),
            scopes,
            requested_lifetime_seconds: numbers.of(&[1, 299, 300, 301, 900]),
            client_ip: numbers.chance(60).then(|| numbers.of(&ADDRESSES).to_owned()),
            proof_of_possession: false,
        },
        now: numbers.of(&MOMENTS),
    }
}
