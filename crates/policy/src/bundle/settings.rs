//! Everything in a bundle except its policies, read and checked.

use crate::bundle::files::{BundleFiles, SCHEMA_FILE, utf8};
use crate::bundle::hidden_characters;
use crate::bundle::layout::Layout;
use crate::bundle::manifest::Manifest;
use crate::diagnostics::{BundleError, Diagnostic, LoadError};
use crate::policies::attributes::Attributes;
use crate::policies::checker::PolicyChecker;
use crate::policies::entities::Actions;
use crate::policies::schema::{self, Additions, BundleSchema};
use crate::settings::checks::{check_copied_claims, check_issuer_claims, check_unique};
use crate::settings::groups::{self, Group};
use crate::settings::records::{Audience, Client, Environment, Issuer};
use crate::settings::{audience, client, issuer};

/// A bundle without its policies.
pub(crate) struct Settings<'f> {
    pub environment: &'f Environment,
    pub layout: Layout<'f>,
    pub manifest: Manifest,
    pub issuers: Vec<Issuer>,
    pub audiences: Vec<Audience>,
    pub clients: Vec<Client>,
    pub groups: Vec<Group>,
    pub attributes: Attributes,
    pub action: Actions,
    pub checker: PolicyChecker,
}

impl<'f> Settings<'f> {
    /// Reads and checks every file that holds no policies.
    pub fn read(files: &'f BundleFiles, environment: &'f Environment) -> Result<Self, LoadError> {
        let mut diagnostics = Vec::new();
        let layout = Layout::of(files, &mut diagnostics);
        let hidden = hidden_characters::find(files);
        if !hidden.is_empty() {
            // Other diagnostics could quote a hidden character.
            diagnostics.extend(hidden);
            return Err(LoadError { diagnostics });
        }
        let manifest = Manifest::read(files).map_err(|more| diagnostics.extend(more));
        let mut issuers: Vec<Issuer> = collect(&mut diagnostics, layout.issuers.iter(), |(path, name)| {
            issuer::read(path, name, files, environment)
        });
        let audiences: Vec<Audience> =
            collect(&mut diagnostics, layout.audiences.iter(), |path| audience::read(path, files, environment));
        let clients: Vec<Client> =
            collect(&mut diagnostics, layout.clients.iter(), |(path, id)| client::read(path, id, files, environment));
        diagnostics.extend(client::check_name(&layout));
        // The file of an issuer or audience is known by its index, so only if all were read.
        if diagnostics.is_empty() {
            check_unique(files, &layout, &issuers, &audiences, &mut diagnostics);
        }
        let (Ok(manifest), true) = (manifest, diagnostics.is_empty()) else {
            return Err(LoadError { diagnostics });
        };
        // ORDER: after the issuers of files, which are known by their index.
        if !clients.is_empty() {
            issuers.push(client::issuer_of(&clients, environment));
        }
        Self::assemble(files, environment, layout, manifest, (issuers, audiences, clients))
            .map_err(|diagnostics| LoadError { diagnostics })
    }

    fn assemble(
        files: &BundleFiles,
        environment: &'f Environment,
        layout: Layout<'f>,
        manifest: Manifest,
        (issuers, audiences, clients): (Vec<Issuer>, Vec<Audience>, Vec<Client>),
    ) -> Result<Self, Vec<Diagnostic>> {
        let action = Actions::new().ok_or_else(unnameable)?;
        let BundleSchema { schema, attributes } =
            read_schema(files, &layout, &manifest, (&issuers, &audiences), &action)?;
        check_copied_claims(files, &layout, &audiences, &attributes, &issuers)?;
        check_issuer_claims(files, &layout, &issuers, &attributes)?;
        let groups = read_groups(files, &layout, &issuers, &audiences, &attributes)?;
        let checker = PolicyChecker::new(&issuers, &audiences, &groups, schema, action.clone());
        Ok(Self { environment, layout, manifest, issuers, audiences, clients, groups, attributes, action, checker })
    }
}

/// The error if a built-in Cedar name does not parse. Unreachable: built-in names always parse.
pub(crate) fn unnameable() -> Vec<Diagnostic> {
    vec![Diagnostic::of_file(SCHEMA_FILE, BundleError::EntityTypeInvalid)]
}

fn read_schema(
    files: &BundleFiles,
    layout: &Layout<'_>,
    manifest: &Manifest,
    (issuers, audiences): (&[Issuer], &[Audience]),
    action: &Actions,
) -> Result<BundleSchema, Vec<Diagnostic>> {
    let missing = || vec![Diagnostic::of_file(SCHEMA_FILE, BundleError::FileMissing)];
    let content = files.content(SCHEMA_FILE).ok_or_else(missing)?;
    let text = utf8(SCHEMA_FILE, content).map_err(|diagnostic| vec![diagnostic])?;
    let actors = audiences.iter().any(|audience| audience.allow_act);
    let (groups, clients) = (!layout.groups.is_empty(), !layout.clients.is_empty());
    let additions = Additions { zones: &manifest.zones, clients, groups, actors };
    schema::read(text, issuers, action, &additions)
}

fn read_groups(
    files: &BundleFiles,
    layout: &Layout<'_>,
    issuers: &[Issuer],
    audiences: &[Audience],
    attributes: &Attributes,
) -> Result<Vec<Group>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let groups = collect(&mut diagnostics, layout.groups.iter(), |(path, name)| {
        groups::read(path, name, files, issuers, audiences, attributes)
    });
    match diagnostics.is_empty() {
        true => Ok(groups),
        false => Err(diagnostics),
    }
}

/// The values of all items that can be read; the diagnostics of the others go to `diagnostics`.
fn collect<I, T>(
    diagnostics: &mut Vec<Diagnostic>,
    items: impl Iterator<Item = I>,
    read: impl Fn(I) -> Result<T, Vec<Diagnostic>>,
) -> Vec<T> {
    let mut values = Vec::new();
    for item in items {
        match read(item) {
            Ok(value) => values.push(value),
            Err(more) => diagnostics.extend(more),
        }
    }
    values
}
