//! AWS CLI and SDKs: a `credential_process`, which assumes a role with the broker's token.

use crate::client::http::{Http, is_loopback};
use crate::client::issue::IssueArgs;
use crate::client::text::sanitize;
use serde_json::{Value, json};
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Print credentials for the AWS CLI and SDKs, as a `credential_process`.
///
/// The token is exchanged at AWS STS with `AssumeRoleWithWebIdentity`. The role must trust the broker as an OIDC
/// provider. AWS lets a session outlive the token: limit it with --session-duration, and in the role.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed, 1 refused, 2 the command line is wrong, 3 the broker or STS cannot be reached or cannot answer now.

Examples:
  aws configure set profile.ci.credential_process 'vouchsafe credential aws --broker https://broker.example \\
    --audience sts.amazonaws.com --role-arn arn:aws:iam::123456789012:role/deploy --region eu-central-1'")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
    /// The role to assume.
    #[arg(long, env = "AWS_ROLE_ARN", value_name = "ARN", help_heading = None::<&str>)]
    role_arn: String,
    /// The name of the session, which CloudTrail shows.
    #[arg(long, env = "AWS_ROLE_SESSION_NAME", value_name = "NAME", default_value = "vouchsafe", help_heading = None::<&str>)]
    role_session_name: String,
    /// The region whose STS is asked.
    #[arg(long, env = "AWS_REGION", value_name = "REGION", value_parser = parse_region, help_heading = None::<&str>)]
    region: String,
    /// How long the session lasts; at least 900 s.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = crate::client::parse_positive, help_heading = None::<&str>)]
    session_duration: std::time::Duration,
    /// Another URL of STS: https, except on loopback [default: that of the region].
    #[arg(long, env = "AWS_ENDPOINT_URL_STS", value_name = "URL", value_parser = parse_endpoint, help_heading = None::<&str>)]
    sts_endpoint: Option<String>,
}

/// The characters of a region's name, which becomes part of a host's.
fn parse_region(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match !text.is_empty() && text.bytes().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err("must be a region such as `eu-central-1`".to_owned()),
    }
}

fn parse_endpoint(text: &str) -> Result<String, String> {
    match text.starts_with("https://") || text.starts_with("http://") && is_loopback(text) {
        true => Ok(text.to_owned()),
        false => Err("must be an https URL".to_owned()),
    }
}

fn endpoint_of(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://sts.{region}.{domain}/")
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let token = args.issue.issue()?.response.access_token;
    println!("{}", assume_role(args, &args.issue.network().http()?, &token)?);
    Ok(ExitCode::SUCCESS)
}

fn assume_role(args: &Args, http: &Http, token: &str) -> Result<Value, Failure> {
    let endpoint = args.sts_endpoint.clone().unwrap_or_else(|| endpoint_of(&args.region));
    let seconds = args.session_duration.as_secs().to_string();
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", args.role_arn.as_str()),
        ("RoleSessionName", args.role_session_name.as_str()),
        ("DurationSeconds", seconds.as_str()),
        ("WebIdentityToken", token),
    ];
    let reply = http.repeat(&endpoint, |_| http.post_form_for(&endpoint, "application/xml", &form))?;
    let text = String::from_utf8_lossy(&reply.body);
    if reply.is_success() {
        return credentials(&text).ok_or_else(|| Failure::unreachable(format!("invalid response from {endpoint}")));
    }
    Err(refusal(reply.status, &text))
}

/// The text of the first element of this name; STS uses one namespace.
fn element<'a>(document: &'a roxmltree::Document, name: &str) -> Option<&'a str> {
    document.descendants().find(|node| node.tag_name().name() == name)?.text()
}

/// The answer of `AssumeRoleWithWebIdentity`, as `credential_process` wants it.
fn credentials(text: &str) -> Option<Value> {
    let document = roxmltree::Document::parse(text).ok()?;
    let text = |name| element(&document, name);
    let mut answer = json!({
        "Version": 1,
        "AccessKeyId": text("AccessKeyId")?,
        "SecretAccessKey": text("SecretAccessKey")?,
        "SessionToken": text("SessionToken")?,
        "Expiration": text("Expiration")?,
    });
    // arn:aws:sts::123456789012:assumed-role/…
    if let Some(account) = text("Arn").and_then(|arn| arn.split(':').nth(4)) {
        answer["AccountId"] = account.into();
    }
    Some(answer)
}

/// Server faults and `IDPCommunicationError` may pass; STS fetches the broker's keys for each answer.
fn refusal(status: u16, text: &str) -> Failure {
    let document = roxmltree::Document::parse(text).ok();
    let text = |name| document.as_ref().and_then(|document| element(document, name)).map(sanitize).unwrap_or_default();
    let (code, message) = (text("Code"), text("Message"));
    let described = match code.is_empty() {
        true => format!("status {status}"),
        false => format!("{code}: {message}"),
    };
    if status >= 500 || code == "IDPCommunicationError" {
        return Failure::unreachable(format!("AWS STS did not answer: {described}"));
    }
    Failure::refused(format!("AWS STS refused: {described}"))
        .hint("compare the role's trust policy with the token's `aud` and `sub`, which `vouchsafe verify` shows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_name_their_hosts() {
        assert_eq!(endpoint_of("eu-central-1"), "https://sts.eu-central-1.amazonaws.com/");
        assert_eq!(endpoint_of("cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn/");
        for (region, expected) in [("us-east-1", true), ("", false), ("evil.example/", false), ("a@b", false)] {
            assert_eq!(parse_region(region).is_ok(), expected, "{region}");
        }
        for (url, expected) in [
            ("https://sts.example", true),
            ("http://127.0.0.1:1", true),
            ("http://sts.example", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(parse_endpoint(url).is_ok(), expected, "{url}");
        }
    }

    #[test]
    fn incomplete_answer_is_none() {
        let keys = "<AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>";
        let all =
            format!("<r xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">{keys}<Expiration>E</Expiration></r>");
        let expected = r#"{"AccessKeyId":"A","Expiration":"E","SecretAccessKey":"S","SessionToken":"T","Version":1}"#;
        let sorted = credentials(&all).map(|value| {
            let map: std::collections::BTreeMap<String, Value> = serde_json::from_value(value).unwrap();
            serde_json::to_string(&map).unwrap()
        });
        assert_eq!(sorted.as_deref(), Some(expected));
        assert_eq!(credentials(&format!("<r>{keys}</r>")), None);
        assert_eq!(credentials("{}"), None);
    }

    #[test]
    fn only_faults_may_pass() {
        let error = |code: &str| format!("<E><Error><Code>{code}</Code><Message>no\n::x</Message></Error></E>");
        for (status, text, code, message) in [
            (400, error("IDPCommunicationError"), 3, "AWS STS did not answer: IDPCommunicationError: no\u{fffd}::x"),
            (500, error("InternalFailure"), 3, "AWS STS did not answer: InternalFailure: no\u{fffd}::x"),
            (403, error("AccessDenied"), 1, "AWS STS refused: AccessDenied: no\u{fffd}::x"),
            (400, "<html>".to_owned(), 1, "AWS STS refused: status 400"),
        ] {
            let failure = refusal(status, &text);
            assert_eq!((failure.code, failure.message.as_str()), (code, message));
        }
    }
}
