//! Actors (RFC 8693 §4): whose tokens they take, what limits the result, and who knows of them afterwards.

use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Barrier;
use vouchsafe_harness::administration::{ADMIN, RESOURCE_SERVER, administered, form, obtain, revoke};
use vouchsafe_harness::broker::{Broker, Setup, profile_folder};
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY, IssuerFile};
use vouchsafe_harness::exchange::{Form, GRANT_JWT_BEARER, TYPE_ACCESS, TYPE_ID, TYPE_JWT, Want, bad, check, refused};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::now;
use vouchsafe_harness::proof::{Proof, public, thumbprint};

const ACTORS_MAX: usize = 4;
const ACTORS_BYTES_MAX: usize = 4 * 1024;

const DELEGATED: Want = bad("actor.delegated");
const DENIED: Want = refused(400, "invalid_target", "policy.denied");
const INVALID: Want = bad("token.claim_invalid");
const IS_SUBJECT: Want = bad("actor.is_subject");
const NOT_ALLOWED: Want = refused(400, "invalid_target", "actor.not_allowed_by_audience");
const NOT_HELD: Want = refused(400, "invalid_scope", "scope.not_held");
const NOT_NAMED: Want = bad("actor.not_named");
const REJECTED: Want = bad("actor.token_rejected");
const REQUIRED: Want = bad("actor.required");
const TOO_MANY: Want = bad("actor.too_many");

/// The subjects of `idp` and of `main` may have tokens, and the agent `reviewer` may read for them.
const RULES: &str = r#"
@id("idp-reads")
permit (
  principal is Oidc::Idp in Issuer::"idp",
  action == Action::"issue",
  resource == Audience::"https://api.example"
) when { ["read", "write"].containsAll(context.scopes) };

@id("reviewer-acts-for-idp")
permit (
  principal is Oidc::Agents in Issuer::"agents",
  action == Action::"act_for",
  resource is Oidc::Idp in Issuer::"idp"
) when { principal.sub == "reviewer" && ["read"].containsAll(context.scopes) };

@id("reviewer-acts-for-main")
permit (
  principal is Oidc::Agents in Issuer::"agents",
  action == Action::"act_for",
  resource is GitHub::Workflow in Issuer::"main"
) when { principal.sub == "reviewer" && resource.ref == "refs/heads/main" && ["read"].containsAll(context.scopes) };
"#;

struct Scene {
    issuer: Issuer,
    setup: Setup,
}

impl Scene {
    fn new() -> Self {
        let issuer = Issuer::start(["main", "other", "idp", "agents"].map(|realm| (realm, Script::honest())));
        let mut files = issuer.files();
        files.push(IssuerFile::new("idp", issuer.url("idp"), "allow_act = true\n").of("oidc"));
        let agents = "allow_act = true\n[claims]\nsub = { type = \"text\" }\n";
        files.push(IssuerFile::new("agents", issuer.url("agents"), agents).of("oidc"));
        let setup = Setup::broker(&files, &[issuer.origin()]);
        let put = |path: &str, text: &str| {
            std::fs::write(setup.folder.join("policies").join(path), text).expect("a file of the bundle");
        };
        put("rules/actors.cedar", RULES);
        put("audiences/api.toml", &format!("id = \"{API}\"\nscopes = [\"read\", \"write\"]\nallow_act = true\n"));
        Self { issuer, setup }
    }

    /// Sets the replay mode of these issuers.
    fn replay(self, names: &[&str], mode: &str) -> Self {
        for name in names {
            let path = self.setup.folder.join(format!("policies/issuers/{name}.toml"));
            let text = std::fs::read_to_string(&path).expect("an issuer file");
            let text = text.replace("replay = \"allow\"", &format!("replay = \"{mode}\""));
            std::fs::write(&path, text).expect("an issuer file");
        }
        self
    }

    fn claims(&self, realm: &str, more: &Value) -> Value {
        let mut claims = jwt::claims(&self.issuer.url(realm), BROKER, now());
        if realm == "agents" {
            claims["sub"] = "reviewer".into();
        }
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    fn token(&self, realm: &str, more: &Value) -> String {
        jwt::mint("RS256", &self.claims(realm, more))
    }

    /// A request of `reviewer` for a subject of `realm`, both with these further claims.
    fn form(&self, realm: &str, of_subject: &Value, of_actor: &Value) -> Form {
        let actor = self.token("agents", of_actor);
        Form::of(&self.token(realm, of_subject)).and("actor_token", &actor).and("actor_token_type", TYPE_JWT)
    }

    fn actor(&self, realm: &str, sub: &str) -> Value {
        json!({ "iss": self.issuer.url(realm), "sub": sub })
    }

    /// Whom every request here acts as.
    fn reviewer(&self) -> Value {
        self.actor("agents", "reviewer")
    }

    fn database(&self) -> Connection {
        Connection::open(self.setup.database()).expect("the database")
    }
}

fn expect(broker: &Broker, form: &Form, want: Want, what: &str) -> Option<Issued> {
    let actor = form.body().contains("actor_token=").then(|| form.get("actor_token"));
    let request = form.request();
    let response = check(broker, &request, &actor.unwrap_or_default(), want);
    let response = response.unwrap_or_else(|failure| panic!("{what}: {failure}"));
    (want == Want::Issued).then(|| Issued::parse(response.json()["access_token"].as_str().expect("a token")))
}

/// A form to send, and what to expect.
type Case = (&'static str, Want, Box<dyn Fn(&Scene) -> Form>);

fn case(name: &'static str, want: Want, form: impl Fn(&Scene) -> Form + 'static) -> Case {
    (name, want, Box::new(form))
}

fn plain(scene: &Scene) -> Form {
    scene.form("idp", &json!({}), &json!({}))
}

fn parameters() -> Vec<Case> {
    let set = |name: &'static str, want, parameter: &'static str, change: fn(String) -> String| {
        case(name, want, move |scene| {
            let form = plain(scene);
            let value = change(form.get(parameter));
            form.set(parameter, &value)
        })
    };
    vec![
        case("both tokens", Want::Issued, plain),
        case("no type", bad("request.parameter_missing"), |scene| plain(scene).without("actor_token_type")),
        case("no token", bad("request.parameter_missing"), |scene| plain(scene).without("actor_token")),
        set("an id token", Want::Issued, "actor_token_type", |_| TYPE_ID.to_owned()),
        set("an access token", bad("request.actor_token_type_unsupported"), "actor_token_type", |_| {
            TYPE_ACCESS.to_owned()
        }),
        set("a scheme", bad("request.actor_token_bearer"), "actor_token", |token| format!("Bearer {token}")),
        set("a line break", bad("request.actor_token_white_space"), "actor_token", |token| {
            token.replacen('.', ".\n", 1)
        }),
        set("garbage", REJECTED, "actor_token", |_| "garbage".to_owned()),
        case("the JWT bearer grant", bad("request.actor_token_unsupported"), |scene| {
            let form = plain(scene);
            let (token, actor) = (form.get("subject_token"), form.get("actor_token"));
            let form = Form::of("x").without("subject_token").without("subject_token_type");
            let form = form.set("grant_type", GRANT_JWT_BEARER).and("assertion", &token);
            form.and("actor_token", &actor).and("actor_token_type", TYPE_JWT)
        }),
    ]
}

fn tokens() -> Vec<Case> {
    let subject = |name, want, claims: fn(&Scene) -> Value| {
        case(name, want, move |scene: &Scene| scene.form("idp", &claims(scene), &json!({})))
    };
    let actor = |name, want, claims: fn(&Scene) -> Value| {
        case(name, want, move |scene: &Scene| scene.form("idp", &json!({}), &claims(scene)))
    };
    vec![
        actor("an expired actor", REJECTED, |_| json!({ "exp": now() - 31 })),
        actor("an actor token for somebody else", REJECTED, |_| json!({ "aud": "https://other.example" })),
        actor("an actor of an unknown issuer", REJECTED, |_| json!({ "iss": "https://unknown.example" })),
        actor("an actor that policy denies", DENIED, |_| json!({ "sub": "deployer" })),
        actor("a delegated actor", DELEGATED, |_| json!({ "act": { "sub": "x" } })),
        subject("an actor named by may_act", Want::Issued, |scene| json!({ "may_act": scene.reviewer() })),
        subject("another sub in may_act", NOT_NAMED, |scene| json!({ "may_act": scene.actor("agents", "deployer") })),
        subject("another iss in may_act", NOT_NAMED, |_| json!({ "may_act": { "sub": "reviewer" } })),
        subject("an unknown condition in may_act", INVALID, |_| json!({ "may_act": { "sub": "x", "client_id": "y" } })),
        subject("scopes of the subject", NOT_HELD, |_| json!({ "scope": "write" })),
        actor("scopes of the actor", NOT_HELD, |_| json!({ "scope": "write" })),
        subject("scopes of both", Want::Issued, |_| json!({ "scope": "write read" })),
        case("one token as both", IS_SUBJECT, |scene| {
            let token = scene.token("agents", &json!({}));
            Form::of(&token).and("actor_token", &token).and("actor_token_type", TYPE_JWT)
        }),
        case("an audience without actors", NOT_ALLOWED, |scene| {
            scene.form("main", &json!({}), &json!({})).set("audience", DEPLOY).without("scope")
        }),
        case("a subject of another kind", Want::Issued, |scene| scene.form("main", &json!({}), &json!({}))),
        case("a subject that policy denies", DENIED, |scene| {
            scene.form("main", &json!({ "repository_id": "7" }), &json!({}))
        }),
        case("a subject that the actor may not act for", DENIED, |scene| {
            scene.form("main", &json!({ "ref": "refs/heads/x" }), &json!({}))
        }),
        case("a scope that the actor may not have", DENIED, |scene| {
            scene.form("idp", &json!({}), &json!({})).set("scope", "write")
        }),
    ]
}

/// `kc#52691`, `kc#50690`: the parameters chose the path, so leaving out the actor token left out its checks.
fn omissions() -> Vec<Case> {
    let alone = |name, want, claims: fn(&Scene) -> Value| {
        case(name, want, move |scene: &Scene| Form::of(&scene.token("idp", &claims(scene))))
    };
    vec![
        alone("no actor needed", Want::Issued, |_| json!({})),
        alone("an actor needed because of act", REQUIRED, |scene| json!({ "act": scene.reviewer() })),
        alone("an actor needed because of may_act", REQUIRED, |scene| json!({ "may_act": scene.reviewer() })),
        alone("act without a name", INVALID, |_| json!({ "act": {} })),
        alone("act that is null", INVALID, |_| json!({ "act": null })),
    ]
}

/// A chain of `actors` actors, from `a.example`.
fn chain(actors: usize) -> Value {
    let first = json!({ "iss": "https://a.example", "sub": "0" });
    (1..actors).fold(first, |act, at| json!({ "iss": "https://a.example", "sub": at.to_string(), "act": act }))
}

fn limits() -> Vec<Case> {
    let chained = |name, want, act: fn(&Scene) -> Value| {
        case(name, want, move |scene: &Scene| scene.form("idp", &json!({ "act": act(scene) }), &json!({})))
    };
    // Four times the longest `sub` is over the limit of all actors together.
    let long = |scene: &Scene, bytes: usize| {
        let own = scene.reviewer();
        let own = own["iss"].as_str().expect("text").len() + own["sub"].as_str().expect("text").len();
        let innermost = json!({ "iss": "i", "sub": "s".repeat(bytes - own - 1 - 2 * 1024) });
        json!({ "iss": "i".repeat(1023), "sub": "t", "act": { "iss": "i".repeat(1023), "sub": "u", "act": innermost } })
    };
    vec![
        chained("as many actors as allowed", Want::Issued, |_| chain(ACTORS_MAX - 1)),
        chained("one actor too many", TOO_MANY, |_| chain(ACTORS_MAX)),
        chained("more actors than a token may have", INVALID, |_| chain(ACTORS_MAX + 1)),
        case("actors as long as allowed", Want::Issued, move |scene| {
            scene.form("idp", &json!({ "act": long(scene, ACTORS_BYTES_MAX - 1024) }), &json!({}))
        }),
    ]
}

pub fn wants() -> Vec<Want> {
    let cases = [parameters(), tokens(), omissions(), limits()].into_iter().flatten();
    cases.map(|(_, want, _)| want).collect()
}

#[test]
fn meets_every_case() {
    let scene = Scene::new();
    let broker = scene.setup.start();
    for (name, want, form) in [parameters(), tokens(), omissions(), limits()].into_iter().flatten() {
        let form = form(&scene);
        let form = if form.body().contains("scope=") || want == NOT_ALLOWED { form } else { form.set("scope", "read") };
        expect(&broker, &form, want, name);
    }
    broker.assert_healthy();
}

#[test]
fn rejects_delegated_tokens_by_default() {
    let scene = Scene::new();
    let path = scene.setup.folder.join("policies/issuers/idp.toml");
    let text = std::fs::read_to_string(&path).expect("an issuer file").replace("allow_act = true\n", "");
    std::fs::write(&path, text).expect("an issuer file");
    let broker = scene.setup.start();
    for name in ["act", "may_act"] {
        let form = scene.form("idp", &json!({ name: scene.reviewer() }), &json!({}));
        expect(&broker, &form, INVALID, name);
    }
    expect(&broker, &plain(&scene), Want::Issued, "neither");
    broker.assert_healthy();
}

#[test]
fn issued_token_names_every_actor() {
    let scene = Scene::new();
    let broker = scene.setup.start();
    let token = expect(&broker, &plain(&scene), Want::Issued, "one actor").expect("a token");
    assert_eq!(token.claims["act"], scene.reviewer());
    assert!(token.claims["sub"].as_str().expect("text").starts_with("idp:"), "{}", token.claims);
    assert!(token.verifies(&broker.jwks()));

    let before = scene.actor("idp", "before");
    let form = scene.form("idp", &json!({ "act": before }), &json!({}));
    let token = expect(&broker, &form, Want::Issued, "two actors").expect("a token");
    let mut both = scene.reviewer();
    both["act"] = before;
    assert_eq!(token.claims["act"], both);

    // Whoever already acts is not named twice.
    let token = expect(&broker, &scene.form("idp", &json!({ "act": both }), &json!({})), Want::Issued, "again");
    assert_eq!(token.expect("a token").claims["act"], both);
    let token = expect(&broker, &Form::of(&scene.token("idp", &json!({}))), Want::Issued, "none").expect("a token");
    assert_eq!(token.claims.get("act"), None);
}

#[test]
fn record_names_actors_and_both_permits() {
    let scene = Scene::new();
    let broker = scene.setup.start();
    let form = scene.form("idp", &json!({ "act": scene.actor("main", "before") }), &json!({}));
    expect(&broker, &form, Want::Issued, "two actors");
    let denied = scene.form("idp", &json!({}), &json!({ "sub": "deployer" }));
    expect(&broker, &denied, DENIED, "denied");
    let database = scene.database();
    let mut rows =
        database.prepare("SELECT actors, determining_rules, cedar_request FROM audit ORDER BY seq").expect("the table");
    let rows = rows.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).expect("rows");
    let json = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    let rows: Vec<[Value; 3]> = rows.map(|row: Result<[String; 3], _>| row.expect("a row").map(json)).collect();
    assert_eq!(rows[0][0], json!([["agents", "reviewer"], ["main", "before"]]));
    assert_eq!(rows[0][1], json!(["idp-reads", "reviewer-acts-for-idp"]));
    assert_eq!(rows[0][2]["action"]["id"], "act_for");
    assert_eq!((&rows[1][0], &rows[1][1]), (&json!([["agents", "deployer"]]), &json!([])));
}

#[test]
fn token_ends_with_the_earlier_of_both() {
    let scene = Scene::new();
    let broker = scene.setup.start();
    for (of_subject, of_actor) in [(200, 90), (90, 200)] {
        let exp = |seconds: u64| json!({ "exp": now() + seconds });
        let form = scene.form("idp", &exp(of_subject), &exp(of_actor));
        let token = expect(&broker, &form, Want::Issued, "a short life").expect("a token");
        let lifetime = token.number("exp") - token.number("iat");
        assert!((85..=90).contains(&lifetime), "{lifetime}");
    }
}

/// `kc#50963`: an exchange stripped the binding of a token.
#[test]
fn token_is_bound_to_the_key_of_its_actor() {
    let scene = Scene::new();
    let broker = scene.setup.start();
    let (own, other) = (Key::stranger("ES256"), Key::stranger("EdDSA"));
    let jkt = thumbprint(&public(&own));
    let send = |form: &Form, key: Option<&str>| {
        let request = form.request();
        let request = match key {
            Some(alg) => request.with("dpop", &Proof::by(Key::stranger(alg)).sign()),
            None => request,
        };
        broker.send(&request)
    };
    let bound = scene.form("idp", &json!({}), &json!({ "cnf": { "jkt": jkt } }));
    assert_eq!(send(&bound, None).json()["error"], "invalid_dpop_proof");
    assert_eq!(send(&bound, Some("EdDSA")).json()["error"], "invalid_dpop_proof");
    let response = send(&bound, Some("ES256")).json();
    assert_eq!(response["token_type"], "DPoP");
    let token = Issued::parse(response["access_token"].as_str().expect("a token"));
    assert_eq!((&token.claims["cnf"]["jkt"], &token.claims["act"]), (&json!(jkt), &scene.reviewer()));
    // A subject token that is bound to a key of the subject is of no use to an actor.
    let foreign = scene.form("idp", &json!({ "cnf": { "jkt": thumbprint(&public(&other)) } }), &json!({}));
    assert_eq!(send(&foreign, Some("ES256")).json()["error"], "invalid_dpop_proof");
}

#[test]
fn tokens_of_both_are_used_up() {
    let scene = Scene::new().replay(&["idp", "agents"], "single-use");
    let broker = scene.setup.start();
    let form = plain(&scene);
    let (subject, actor) = (form.get("subject_token"), form.get("actor_token"));
    expect(&broker, &form, Want::Issued, "first");
    let spent = bad("replay.spent");
    expect(&broker, &form, spent, "both again");
    expect(&broker, &plain(&scene).set("actor_token", &actor), spent, "the actor again");
    expect(&broker, &plain(&scene).set("subject_token", &subject), spent, "the subject again");
    expect(&broker, &Form::of(&subject), spent, "the subject without an actor");
    expect(&broker, &plain(&scene), Want::Issued, "two others");
}

/// `vouchsafe token` sends both tokens, and says what to do without the actor's.
#[test]
fn command_gets_a_token_as_an_actor() {
    let scene = Scene::new();
    let (setup, address) = scene.setup.at_known_address();
    let scene = Scene { setup: setup.variable("issuer", &format!("http://{address}")), ..scene };
    let _broker = scene.setup.start();
    let url = format!("http://{address}");
    let file = |name: &str, realm: &str, more: Value| {
        let (path, mut more) = (scene.setup.folder.join(name), more);
        more["aud"] = url.clone().into();
        std::fs::write(&path, scene.token(realm, &more)).expect("a file");
        path
    };
    let subject = file("subject", "idp", json!({ "may_act": scene.reviewer() }));
    let actor = file("actor", "agents", json!({}));
    let run = |more: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new(profile_folder().join("vouchsafe"));
        command.args(["token", "--broker", &url, "--audience", API, "--scope", "read", "--subject-token-file"]);
        command.arg(&subject).args(more).output().expect("it ends")
    };
    let issued = run(&["--actor-token-file".as_ref(), actor.as_os_str()]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert_eq!(issued.status.code(), Some(0), "{}", text(&issued.stderr));
    assert_eq!(Issued::parse(&text(&issued.stdout)).claims["act"], scene.reviewer());
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(1));
    let hint = "hint: send it with --actor-token-file, --actor-token-env or --actor-from";
    assert!(text(&refused.stderr).ends_with(hint), "{}", text(&refused.stderr));
}

/// A block of the agent's workload ends what it got for others, and keeps it from getting more; the subject goes on.
#[test]
fn blocked_actor_loses_what_it_got_for_others() {
    let scene = Scene::new();
    let scene = Scene { setup: administered(scene.setup), ..scene };
    let broker = scene.setup.start();
    let token = expect(&broker, &plain(&scene), Want::Issued, "before").expect("a token");
    let resource_server = obtain(&broker, &scene.issuer, RESOURCE_SERVER, &format!("{BROKER}/introspect"), API);
    broker.line("token");
    let introspect = |token: &Issued| {
        let request = form("/introspect", &token.jwt).with("authorization", &format!("Bearer {resource_server}"));
        broker.send(&request).json()
    };
    assert_eq!(introspect(&token)["act"], scene.reviewer());
    let admin = obtain(&broker, &scene.issuer, ADMIN, &format!("{BROKER}/admin"), "revoke");
    broker.line("token");
    let block = json!({ "id": "b", "reason": "leaked", "issuer": "agents", "subject": "reviewer", "block": true });
    let response = broker.send(&revoke(&admin, &block));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["affected"]["tokens"], 1);
    assert_eq!(introspect(&token), json!({ "active": false }));
    let revoked = refused(400, "invalid_target", "exchange.revoked");
    expect(&broker, &plain(&scene), revoked, "as an actor");
    expect(&broker, &Form::of(&scene.token("idp", &json!({}))), Want::Issued, "the subject itself");
}

const CLIENTS: usize = 16;
const RACES: usize = 3;
const TRIES_MAX: usize = 30;

/// Requests that share one of their two tokens: never two tokens for one that can be used once.
#[test]
fn one_of_many_racing_actors_wins() {
    let scene = Scene::new().replay(&["idp", "agents"], "single-use");
    let brokers = [scene.setup.start(), scene.setup.start()];
    let mut clean = 0;
    for attempt in 0..TRIES_MAX {
        let shared = plain(&scene);
        let parameter = if attempt % 2 == 0 { "subject_token" } else { "actor_token" };
        let request = |_| plain(&scene).set(parameter, &shared.get(parameter)).request();
        let (requests, start): (Vec<_>, _) = ((0..CLIENTS).map(request).collect(), Barrier::new(CLIENTS));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let send = |(at, request)| {
                let (broker, start): (&Broker, _) = (&brokers[at % brokers.len()], &start);
                scope.spawn(move || {
                    start.wait();
                    broker.send(request)
                })
            };
            let clients: Vec<_> = requests.iter().enumerate().map(send).collect();
            clients.into_iter().map(|client| client.join().expect("a response")).collect()
        });
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert!(count(200) <= 1, "{} tokens", count(200));
        // A slow store answers 503, possibly to the winner.
        if count(503) == 0 {
            assert_eq!((count(200), count(400)), (1, CLIENTS - 1));
            clean += 1;
        }
        if clean == RACES {
            return;
        }
    }
    panic!("{clean} of {TRIES_MAX} races had no 503");
}
