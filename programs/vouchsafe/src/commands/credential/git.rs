//! git: a credential helper (gitcredentials(7), git-credential(1)).

use super::{host, username};
use crate::client::issue::{IssueArgs, Token};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, files};

/// Longest request; git's own attributes are a few hundred bytes.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// Print a token for git, as a credential helper.
///
/// git gets the token for the hosts of --host over https, and nothing for others.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 answered, or left to git's next helper, 1 refused, 2 the command line is wrong, 3 the broker cannot be
reached or cannot answer now.

Examples:
  git config --global credential.https://git.example.helper \\
    '!vouchsafe credential git --broker https://broker.example --audience https://git.example --host git.example'
  printf 'protocol=https\\nhost=git.example\\n' | vouchsafe credential git --broker https://broker.example \\
    --audience https://git.example --host git.example get")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
    /// A host that may get the token, with its port if that is not 443; may be repeated.
    #[arg(long = "host", value_name = "HOST", required = true, value_parser = host::parse, help_heading = None::<&str>)]
    hosts: Vec<String>,
    /// The user name that the server expects beside the token.
    #[arg(long, value_name = "NAME", default_value = "x-access-token", value_parser = username::parse, help_heading = None::<&str>)]
    username: String,
    /// Send the token as `Authorization: Bearer`, which needs git 2.46, and not as a password.
    #[arg(long, conflicts_with = "username", help_heading = None::<&str>)]
    bearer: bool,
    /// What git asks for. Only `get` is answered: a token is not stored, and expires by itself.
    action: String,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let request = files::read_from(std::io::stdin().lock(), &"git's request", REQUEST_BYTES_MAX)?;
    let request = Request::parse(&String::from_utf8_lossy(&request));
    if args.action == "get" && request.is_for(&args.hosts) {
        request.check(args.bearer)?;
        print!("{}", answer(args, &args.issue.issue()?));
    }
    Ok(ExitCode::SUCCESS)
}

/// What git says about the credential that it needs.
#[derive(Debug, Default)]
struct Request {
    protocol: String,
    host: String,
    /// Whether git understands a whole `Authorization` header.
    has_authtype: bool,
}

impl Request {
    /// Attributes that matter; a later one replaces an earlier one, as in git.
    fn parse(text: &str) -> Self {
        let mut request = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "protocol" => value.clone_into(&mut request.protocol),
                "host" => value.clone_into(&mut request.host),
                "capability[]" => request.has_authtype |= value == "authtype",
                _ => {}
            }
        }
        request
    }

    fn is_for(&self, hosts: &[String]) -> bool {
        let is_loopback = crate::client::http::is_loopback(&format!("http://{}", self.host));
        (self.protocol == "https" || self.protocol == "http" && is_loopback) && host::is_allowed(hosts, &self.host)
    }

    fn check(&self, bearer: bool) -> Result<(), Failure> {
        match bearer && !self.has_authtype {
            true => Err(Failure::usage("this git cannot send `Authorization: Bearer`")
                .hint("update git to 2.46, or leave out --bearer if the server takes the token as a password")),
            false => Ok(()),
        }
    }
}

/// One line per attribute. A token has no line break (`is_bearer_token`), nor has the user name.
fn answer(args: &Args, token: &Token) -> String {
    let secret = &token.response.access_token;
    let mut answer = match args.bearer {
        true => format!("capability[]=authtype\nauthtype=Bearer\ncredential={secret}\nephemeral=1\n"),
        false => format!("username={}\npassword={secret}\n", args.username),
    };
    if let Some(expires) = token.expires {
        answer.push_str(&format!("password_expiry_utc={expires}\n"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_only_for_its_hosts() {
        let hosts = ["git.example".to_owned(), "127.0.0.1:80".to_owned()];
        for (text, expected) in [
            ("protocol=https\nhost=git.example\npath=a\n", true),
            ("protocol=http\nhost=git.example\n", false),
            ("protocol=http\nhost=127.0.0.1:80\n", true),
            ("protocol=https\nhost=git.example:8443\n", false),
            ("protocol=https\nhost=evil.example\n", false),
            ("protocol=https\nhost=git.example\nhost=evil.example\n", false),
            ("protocol=https\nhost=git.example\rx\n", false),
            ("host=git.example\n", false),
            ("", false),
        ] {
            assert_eq!(Request::parse(text).is_for(&hosts), expected, "{text:?}");
        }
    }

    #[test]
    fn bearer_needs_a_git_that_knows_it() {
        let check = |text, bearer| Request::parse(text).check(bearer).map_err(|failure| failure.code);
        assert_eq!(check("capability[]=authtype\n", true), Ok(()));
        assert_eq!(check("capability[]=state\n", true), Err(2));
        assert_eq!(check("", false), Ok(()));
    }
}
