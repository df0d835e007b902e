use super::*;

const GOOD: &str = r#"
listen = "127.0.0.1:8480"
state_dir = "state"
development = true
[module]
path = "/module.so"
token = "vouchsafe"
pin_variable = "PATH"
[[group]]
name = "default"
issuer = "http://127.0.0.1:3000"
algorithms = ["ES256"]
epoch_seconds = 3600
[[credential]]
name = "broker"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
groups = ["default"]
"#;

fn read(text: &str) -> Result<Config, String> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gateway-{}-{number}.toml", std::process::id()));
    std::fs::write(&path, text).expect("writes");
    let config = Config::read(&path).map_err(|failure| failure.message);
    std::fs::remove_file(&path).expect("removes");
    config
}

#[track_caller]
fn refuses(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from}");
    let message = read(&GOOD.replacen(from, to, 1)).map(drop).expect_err(to);
    assert!(message.contains(expected), "{message}");
}

#[test]
fn reads_a_minimal_file() {
    let config = read(GOOD).expect("reads");
    assert_eq!((config.module.sessions, config.module.queue), (4, 64));
    assert!(config.log_sync);
    assert!(!format!("{config:?}").contains(&*config.module.pin));
}

#[test]
fn reports_what_is_wrong_and_where() {
    refuses("token = ", "tokne = ", ":7:1: unknown field `tokne`");
    refuses("development = true\n", "", "[tls] is missing");
    refuses("127.0.0.1:8480", "0.0.0.0:8480", "`development` allows loopback only");
    refuses("pin_variable = \"PATH\"", "", "exactly one of `pin_file` and `pin_variable`");
    refuses("\"PATH\"", "\"NO_SUCH_VARIABLE\"", "environment variable NO_SUCH_VARIABLE is not set");
    refuses("pin_variable = \"PATH\"", "pin_file = \"/nowhere\"", "/nowhere");
    refuses("3600", "299", "group `default`: `epoch_seconds`");
    let digest = "2".repeat(64);
    refuses(
        "groups = [\"default\"]",
        &format!("groups = [\"default\"]\ncertificate_sha256 = [\"{digest}\"]"),
        "`certificate_sha256` needs client certificates",
    );
    for (line, expected) in [
        ("admin_listen = \"127.0.0.1:8481\"", "require each other"),
        (
            "admin_listen = \"0.0.0.0:8481\"\n[[admin]]\nname = \"ops\"\nsha256 = \"1111111111111111111111111111111111111111111111111111111111111111\"",
            "`admin_listen` is 0.0.0.0",
        ),
        (
            "[[admin]]\nname = \"ops\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"",
            "is also the hash of another credential",
        ),
    ] {
        refuses("[module]\n", &format!("{line}\n[module]\n"), expected);
    }
    refuses("[module]\n", "metrics_listen = \"10.0.0.1:9480\"\n[module]\n", "`metrics_listen` is 10.0.0.1");
    for (line, expected) in [
        ("sessions = 0", "`sessions` must be 1 to 64"),
        ("sessions = 65", "`sessions` must be 1 to 64"),
        ("queue = 0", "`queue` must be"),
        ("deadline_ms = 49", "`deadline_ms` must be"),
        ("deadline_ms = 60001", "`deadline_ms` must be"),
        ("pin = \"1234\"", "unknown field `pin`"),
    ] {
        refuses("[module]\n", &format!("[module]\n{line}\n"), expected);
    }
}

#[test]
fn bounds_endless_files() {
    let failure = Config::read(Path::new("/dev/zero")).map(drop);
    let message = failure.expect_err("endless").message;
    assert!(message.contains("larger than 1048576 bytes"), "{message}");
}

#[test]
fn rejects_public_metrics_addresses() {
    let tls = "[tls]\ncertificate = \"a\"\nkey = \"b\"\n[module]";
    let production = GOOD.replace("development = true\n", "");
    for (address, is_refused) in [
        ("127.0.0.1:9480", false),
        ("10.1.2.3:9480", false),
        ("172.31.0.1:9480", false),
        ("172.32.0.1:9480", true),
        ("100.64.0.1:9480", false),
        ("100.128.0.1:9480", true),
        ("169.254.0.1:9480", false),
        ("0.0.0.0:9480", false),
        ("8.8.8.8:9480", true),
        ("[::1]:9480", false),
        ("[::]:9480", false),
        ("[fd00::1]:9480", false),
        ("[fe80::1]:9480", false),
        ("[2001:4860::1]:9480", true),
        ("[::ffff:8.8.8.8]:9480", true),
        ("[::ffff:10.0.0.1]:9480", false),
    ] {
        let listen = format!("metrics_listen = \"{address}\"\n{tls}");
        let outcome = read(&production.replace("[module]", &listen)).map(drop);
        let refused = outcome.is_err_and(|it| it.contains("must not be a public address"));
        assert_eq!(refused, is_refused, "{address}");
    }
}
