//! `subject` of an issuer file: a template of text and `{claim}` placeholders.

use crate::error::Problem;
use crate::limits::SUBJECT_TEMPLATE_BYTES_MAX;
use crate::spanned::Spanned;
use crate::toml_file::TomlFile;

/// Checks the template's form; its claims are checked once all of the bundle is known.
pub(crate) fn template(file: &mut TomlFile<'_>, entry: Option<&Spanned<String>>) -> Option<String> {
    let entry = entry?;
    file.check_value(
        "subject",
        entry.get_ref(),
        entry.span(),
        SUBJECT_TEMPLATE_BYTES_MAX,
    );
    if !is_template(entry.get_ref()) {
        file.refuse(entry.span(), Problem::SubjectTemplateInvalid);
    }
    Some(entry.get_ref().clone())
}

/// The claims that a template names, in its order.
pub(crate) fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let pieces = template.split('{').skip(1);
    pieces.filter_map(|piece| piece.split_once('}').map(|(claim, _)| claim))
}

/// Whether every brace is part of a `{claim}`, and there is one at least.
fn is_template(text: &str) -> bool {
    let mut pieces = text.split('{');
    let head = pieces.next().unwrap_or_default();
    let mut placeholders = 0_usize;
    for piece in pieces {
        match piece.split_once('}') {
            Some((claim, tail)) if !claim.is_empty() && !tail.contains('}') => {
                placeholders = placeholders.saturating_add(1);
            }
            _ => return false,
        }
    }
    placeholders > 0 && !head.contains('}')
}
