//! `replay` of an issuer or audience file: `allow`, `single-use` or `bounded(n)`.

use crate::diagnostics::BundleError;
use crate::diagnostics::spanned::Spanned;
use crate::limits::{REPLAY_USES_MAX, REPLAY_USES_MIN};
use crate::settings::records::ReplayMode;
use crate::settings::toml_file::TomlFile;

/// The mode in the file, or `default`.
pub(crate) fn mode(file: &mut TomlFile<'_>, entry: Option<&Spanned<String>>, default: ReplayMode) -> ReplayMode {
    let Some(entry) = entry else { return default };
    parse(entry.get_ref()).unwrap_or_else(|| {
        file.refuse(entry.span(), BundleError::ReplayInvalid(entry.get_ref().clone()));
        ReplayMode::SingleUse
    })
}

fn parse(text: &str) -> Option<ReplayMode> {
    match text {
        "allow" => return Some(ReplayMode::Allow),
        "single-use" => return Some(ReplayMode::SingleUse),
        _ => {}
    }
    let digits = text.strip_prefix("bounded(")?.strip_suffix(')')?;
    let uses: u32 = digits.parse().ok()?;
    let plain = uses.to_string() == digits;
    (plain && (REPLAY_USES_MIN..=REPLAY_USES_MAX).contains(&uses)).then_some(ReplayMode::Bounded(uses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_the_three_modes() {
        for (text, expected) in [
            ("allow", Some(ReplayMode::Allow)),
            ("single-use", Some(ReplayMode::SingleUse)),
            ("bounded(2)", Some(ReplayMode::Bounded(2))),
            ("bounded(1000)", Some(ReplayMode::Bounded(1000))),
            ("bounded(1001)", None),
            ("bounded(1)", None),
            ("bounded(0)", None),
            ("bounded(02)", None),
            ("bounded(+2)", None),
            ("bounded(-2)", None),
            ("bounded( 2)", None),
            ("bounded()", None),
            ("bounded(2", None),
            ("bounded 2", None),
            ("bounded(4294967296)", None),
            ("Allow", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
