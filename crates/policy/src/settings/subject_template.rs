//! `subject` of an issuer file: a template of text and `{claim}` placeholders.

use crate::diagnostics::BundleError;
use crate::diagnostics::spanned::Spanned;
use crate::limits::SUBJECT_TEMPLATE_BYTES_MAX;
use crate::settings::toml_file::TomlFile;

/// Checks the syntax of the template. Its claims are checked once the schema is known.
pub(crate) fn read(file: &mut TomlFile<'_>, entry: Option<&Spanned<String>>) -> Option<String> {
    let entry = entry?;
    file.check_value("subject", entry.get_ref(), entry.span(), SUBJECT_TEMPLATE_BYTES_MAX);
    if !is_template(entry.get_ref()) {
        file.refuse(entry.span(), BundleError::SubjectTemplateInvalid);
    }
    Some(entry.get_ref().clone())
}

/// The claims in a template, in order.
pub fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let pieces = template.split('{').skip(1);
    pieces.filter_map(|piece| piece.split_once('}').map(|(claim, _)| claim))
}

/// Whether every brace belongs to a `{claim}`, and there is at least one.
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
