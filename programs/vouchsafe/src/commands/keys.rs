//! `vouchsafe keys`: what happens to the keys of HSM gateways.

mod act;
mod canary;
mod list;
mod probes;
mod rotate;
mod several;

use clap::Subcommand;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// See and change the keys of HSM gateways.
///
/// Acts can be repeated: what is done already is left alone (`rollback` with its `--version`). Gateways of one
/// token agree within a second, where its PKCS#11 module shows one what another changed; several `--gateway`
/// are for several tokens, or where one may be down.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  vouchsafe keys list --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys stage deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Canary(canary::Args),
    List(list::Args),
    Promote(canary::PromoteArgs),
    Retire(act::RetireArgs),
    Rollback(act::RollbackArgs),
    Rotate(rotate::Args),
    Stage(act::StageArgs),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Canary(args) => canary::run(&args),
        Command::List(args) => list::run(&args),
        Command::Promote(args) => canary::promote(&args),
        Command::Retire(args) => act::retire(&args),
        Command::Rollback(args) => act::roll_back(&args),
        Command::Rotate(args) => rotate::run(&args),
        Command::Stage(args) => act::stage(&args),
    }
}

/// How long ago `then` was, or in how long it will be; both in Unix seconds.
fn relative(now: u64, then: u64) -> String {
    let words = |seconds: u64| match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if then > now {
        format!("in {}", words(then - now))
    } else {
        format!("{} ago", words(now - then))
    }
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn times_are_told_from_now() {
        for (then, expected) in [
            (1_000_000, "0 s ago"),
            (999_881, "119 s ago"),
            (999_880, "2 min ago"),
            (1_007_199, "in 119 min"),
            (1_007_200, "in 2 h"),
            (1_172_800, "in 2 days"),
        ] {
            assert_eq!(relative(1_000_000, then), expected);
        }
    }
}
